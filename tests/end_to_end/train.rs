//! Whole training runs of the program.

use std::{fs, path::Path};

use lora_wgpu::{
    config,
    models::{UNet, UNetConfig},
    nn::Builder,
    weights::{
        Checkpoint, SafetensorsFile,
        lora::{self, LoraModule, Part, Site, SiteKind},
    },
};

use crate::support::{
    synthetic::{checkpoint, checkpoint_f16},
    workspace::{NAME, PICTURES, Workspace},
};

/// What WebUIs and model pages read from a LoRA file.
const METADATA_KEYS: [&str; 24] = [
    "ss_v2",
    "ss_base_model_version",
    "ss_network_module",
    "ss_network_dim",
    "ss_network_alpha",
    "ss_network_args",
    "ss_output_name",
    "ss_sd_model_name",
    "ss_sd_model_hash",
    "ss_new_sd_model_hash",
    "ss_clip_skip",
    "ss_training_started_at",
    "ss_resolution",
    "ss_num_train_images",
    "ss_bucket_info",
    "ss_dataset_dirs",
    "ss_tag_frequency",
    "modelspec.sai_model_spec",
    "modelspec.architecture",
    "modelspec.implementation",
    "modelspec.title",
    "modelspec.date",
    "sshs_model_hash",
    "sshs_legacy_hash",
];

/// Every module of the synthetic U-Net that a LoRA can stand on.
fn modules() -> Vec<Site> {
    let checkpoint = Checkpoint::open(checkpoint(), None).expect("the synthetic checkpoint");
    let builder = Builder::adaptable(&checkpoint.unet, Part::Unet);
    UNet::new(&builder, UNetConfig::of(&checkpoint.unet).expect("its widths"));
    let sites = builder.finish("the family", "U-Net").expect("a complete U-Net").sites;
    sites.into_iter().filter(|site| site.kind != SiteKind::Conv3x3).collect()
}

fn read_lora(path: &Path) -> Vec<LoraModule> {
    lora::read(path, &modules()).expect("a LoRA file just written").modules
}

/// Strength-free values of a module: (alpha / rank) · up, and down.
fn effective(module: &LoraModule) -> (Vec<f32>, &[f32]) {
    let strength = module.alpha / module.rank as f32;
    (module.up.iter().map(|value| value * strength).collect(), &module.down)
}

/// The tensors' bytes alone: the metadata hold the time.
fn tensor_bytes(path: &Path) -> Vec<(String, Vec<u8>)> {
    let file = SafetensorsFile::open(path).expect("a LoRA file just written");
    file.tensors().map(|tensor| (tensor.name.to_owned(), tensor.bytes.to_vec())).collect()
}

const TWO_EPOCHS: [&str; 7] = [
    "max_train_steps=null",
    "epochs=2",
    "batch_size=2",
    "gradient_accumulation_steps=2",
    "lora_target=transformer",
    "resolution=[128, 64]",
    "save_precision=float",
];

#[test]
fn a_run_leaves_what_users_need_and_repeats_bit_by_bit() {
    let workspace = Workspace::new();
    let finished = workspace.train(&TWO_EPOCHS).expect_success();
    assert!(finished.stdout.contains(&format!("<lora:{NAME}:")), "{}", finished.stdout);
    let expected = [
        "diffusers/pytorch_lora_weights.safetensors".to_owned(),
        format!("{NAME}-000001.safetensors"),
        format!("{NAME}.events.jsonl"),
        format!("{NAME}.json"),
        format!("{NAME}.metrics.jsonl"),
        format!("{NAME}.preview.png"),
        format!("{NAME}.report.html"),
        format!("{NAME}.safetensors"),
        format!("{NAME}.yaml"),
    ];
    assert_eq!(workspace.written(), expected);
    check_lora_files(&workspace);
    check_metrics(&workspace);
    check_resolved_configuration(&workspace);

    let again = Workspace::new();
    again.train(&TWO_EPOCHS).expect_success();
    assert!(tensor_bytes(&workspace.lora()) == tensor_bytes(&again.lora()), "two equal runs differ");
}

fn check_lora_files(workspace: &Workspace) {
    let kohya = read_lora(&workspace.lora());
    let diffusers = read_lora(&workspace.output().join("diffusers/pytorch_lora_weights.safetensors"));
    assert_eq!((kohya.len(), diffusers.len()), (192, 192));
    assert!(kohya.iter().all(|module| module.rank == 4 && module.alpha == 8.0));
    for (left, right) in kohya.iter().zip(&diffusers) {
        assert!(left.up.iter().any(|&value| value != 0.0), "{} was not trained", left.site.path);
        // alpha / rank is 2 here, so that folding it in is exact.
        assert!(effective(left) == effective(right), "{}: the two layouts differ", left.site.path);
    }
    let file = SafetensorsFile::open(&workspace.lora()).expect("a LoRA file just written");
    for key in METADATA_KEYS {
        assert!(file.metadata().contains_key(key), "no {key}");
    }
    assert_eq!(file.metadata()["ss_output_name"], NAME);
    assert_eq!(file.metadata()["ss_num_train_images"], PICTURES.to_string());
}

/// Six pictures in batches of two make three batches, and two at a time two updates, the second a short one.
fn check_metrics(workspace: &Workspace) {
    let steps = workspace.metrics("grad_norm");
    let numbers: Vec<_> = steps.iter().map(|line| (line["step"].as_u64(), line["images"].as_u64())).collect();
    assert_eq!(numbers, [(Some(1), Some(4)), (Some(2), Some(2)), (Some(3), Some(4)), (Some(4), Some(2))]);
    assert!(steps.iter().all(|line| line["loss"].as_f64() > Some(0.0)), "{steps:?}");
    assert_eq!(workspace.probe_losses().len(), 3, "before the first epoch and after each");
}

fn check_resolved_configuration(workspace: &Workspace) {
    let path = workspace.output().join(format!("{NAME}.yaml"));
    let loaded = config::load(&path, &[]).expect("the resolved configuration loads");
    assert_eq!((loaded.config.epochs, loaded.config.batch_size, loaded.config.lora_rank), (2, 2, 4));
    let original = config::load(&workspace.path("config.yaml"), &TWO_EPOCHS.map(str::to_owned)).expect("it ran");
    assert_eq!(loaded.config.output_name, original.config.output_name);
    assert_eq!(loaded.config.resolution, original.config.resolution);
}

#[test]
fn a_memory_limit_is_kept_by_fp16_then_by_splitting_batches_and_then_by_checkpointing() {
    let workspace = Workspace::new();
    let plan = |settings: &[&str]| workspace.plan(&[&["resolution=512"], settings].concat()).expect_success().stderr;
    let gigabytes = |said: &str| -> f64 {
        let plan = said.split_once("memory plan: ").expect("a plan").1;
        plan.split_once(' ').expect("a number").0.parse().expect("a number")
    };
    let within = |gigabytes: f64| format!("vram_limit={:.0}MB", 900.0 * gigabytes);
    let four = plan(&["batch_size=4"]);
    assert!(!four.contains("at once instead of") && !four.contains("activations in fp16"), "{four}");
    let half = plan(&["batch_size=4", &within(gigabytes(&four))]);
    assert!(half.contains("activations in fp16") && !half.contains("at once instead of"), "{half}");
    assert!(gigabytes(&half) <= 0.7 * gigabytes(&four), "{half}");
    let split = plan(&["batch_size=4", "mixed_precision=no", &within(gigabytes(&four))]);
    assert!(split.contains("2 at once instead of 4, with gradients summed over 2"), "{split}");
    assert!(gigabytes(&split) <= 0.9 * gigabytes(&four), "{split}");
    let whole = ["batch_size=4", "mixed_precision=no", "lora_target=transformer"];
    let [kept, cheap] = ["false", "cheap"]
        .map(|mode| gigabytes(&plan(&[&whole[..], &[&format!("gradient_checkpointing={mode}")]].concat())));
    assert!(cheap <= 0.97 * kept, "{cheap} GB with cheap values computed again, {kept} GB without");
    let one = plan(&["batch_size=1", "mixed_precision=fp16"]);
    let least = plan(&["batch_size=4", &within(gigabytes(&one))]);
    assert!(least.contains("fp16") && least.contains("gradient checkpointing"), "{least}");
}

#[test]
fn the_probe_loss_falls_and_a_second_run_goes_on_from_the_file() {
    let workspace = Workspace::new();
    let fast = ["max_train_steps=20", "learning_rate=0.01", "save_precision=float"];
    workspace.train(&fast).expect_success();
    let losses = workspace.probe_losses();
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    assert!(last < 0.9 * first, "{losses:?}");

    let next = Workspace::new();
    let start = format!("network_weights={}", workspace.lora().display());
    next.train(&[&start]).expect_success();
    let begin = next.probe_losses()[0];
    assert!((begin - last).abs() < 1e-6 * last, "ended at {last}, went on from {begin}");
}

#[test]
fn a_batch_larger_than_the_data_set_counts_each_picture_once() {
    let losses = ["batch_size=6", "batch_size=8"].map(|batch| {
        let workspace = Workspace::new();
        workspace.train(&[batch]).expect_success();
        let steps = workspace.metrics("grad_norm");
        assert_eq!((steps.len(), steps[0]["images"].as_u64()), (1, Some(6)));
        steps[0]["loss"].as_f64().expect("a number")
    });
    assert!((losses[0] - losses[1]).abs() < 1e-5 * losses[0], "{losses:?}");
}

#[test]
fn the_founding_articles_configuration_runs() {
    let workspace = Workspace::new();
    for index in 0..PICTURES {
        workspace.remove(&format!("data/p{index}.txt"));
    }
    let rows = (0..PICTURES).map(|index| format!("p{index}.png,traditional Suzhou embroidery, motif {index}\n"));
    workspace.write("data/metadata.csv", format!("filename,prompt\n{}", rows.collect::<String>()));
    let article = format!(
        "train_data_dir: {:?}\nmetadata_path: {:?}\nbase_model: {:?}\nlora_rank: 12\nepochs: 20\nbatch_size: 2\n\
         learning_rate: 2e-4\n",
        workspace.data(),
        workspace.path("data/metadata.csv"),
        checkpoint_f16(),
    );
    workspace.write("config.yaml", article);
    // Its 60 steps at 512×512 would take minutes on a software driver.
    let folders = [("output_dir", workspace.output()), ("logging_dir", workspace.path("logs"))];
    let folders = folders.map(|(key, path)| format!("{key}={}", path.display()));
    let name = format!("output_name={NAME}");
    let short = ["resolution=64", "max_train_steps=2"];
    workspace.train(&[&[&*folders[0], &*folders[1], &*name], &short[..]].concat()).expect_success();
    let module = &read_lora(&workspace.lora())[0];
    assert_eq!((module.rank, module.alpha), (12, 24.0));
    assert_eq!(workspace.metrics("grad_norm").len(), 2);
}

#[test]
fn a_caption_file_that_no_picture_needs_is_named() {
    let workspace = Workspace::new();
    workspace.write("data/nobody.txt", "a caption without a picture");
    let finished = workspace.train(&[]).expect_success();
    let named =
        |line: &str| line.starts_with("warning: caption files that were not read") && line.ends_with("nobody.txt");
    assert!(finished.stderr.lines().any(named), "{}", finished.stderr);
    assert!(fs::exists(workspace.lora()).expect("a readable folder"));
}

#[test]
fn latents_kept_on_disk_change_nothing_but_the_time() {
    let workspace = Workspace::new();
    let cached = |workspace: &Workspace| {
        let files = workspace.written();
        files.into_iter().filter(|file| file.starts_with("cache/")).count()
    };
    workspace.train(&[]).expect_success();
    let losses = workspace.probe_losses();
    assert_eq!(cached(&workspace), 0, "nothing is kept unless asked for");
    for run in ["that fills the cache", "that finds it"] {
        workspace.train(&["cache_latents_to_disk=true"]).expect_success();
        assert!(workspace.probe_losses().ends_with(&losses), "a run {run}: {:?}", workspace.probe_losses());
        assert_eq!(cached(&workspace), PICTURES as usize, "a run {run}");
    }
}
