//! Whole files: what is made of them, and that it loads.

use super::{super::train_config::TrainConfig, *};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::path::Path;

const GUI: &str = include_str!("../../../tests/fixtures/import/gui.json");
const SD_SCRIPTS: &str = include_str!("../../../tests/fixtures/import/sd_scripts.toml");
const DATASET: &str = include_str!("../../../tests/fixtures/import/dataset.toml");
const LORA_SCRIPTS: &str = include_str!("../../../tests/fixtures/import/lora_scripts.toml");
const ONETRAINER: &str = include_str!("../../../tests/fixtures/import/onetrainer.json");
const CONCEPTS: &str = include_str!("../../../tests/fixtures/import/concepts.json");
const METADATA: &str = include_str!("../../../tests/fixtures/import/metadata_plain.json");
const METADATA_OF_DATASETS: &str = include_str!("../../../tests/fixtures/import/metadata_datasets.json");

fn import(text: &str) -> Result<Imported> {
    let read = |name: &str| match name {
        "dataset.toml" => Ok(DATASET.to_owned()),
        "concepts.json" => Ok(CONCEPTS.to_owned()),
        _ => bail!("no such file"),
    };
    import_text("file", text, None, &Surroundings { read: &read, exists: &|name| name == "models/folder" })
}

fn import_map(json: &str, trains_text_encoder: bool) -> Result<Imported> {
    let metadata = serde_json::from_str(json).context("a map of texts")?;
    import_metadata("silk.safetensors", &metadata, trains_text_encoder)
}

/// The import, which must load.
#[track_caller]
fn loaded(imported: Result<Imported>) -> (Imported, TrainConfig) {
    let imported = imported.unwrap_or_else(|error| panic!("{error:#}"));
    let config = TrainConfig::from_yaml(&imported.yaml, Path::new(""));
    let config = config.unwrap_or_else(|error| panic!("{error:#}\n{}", imported.yaml));
    (imported, config)
}

/// That each line stands in the YAML; `key: value` without its comment, `# key: value` where it is commented out.
#[track_caller]
fn has_lines(imported: &Imported, lines: &[&str]) {
    let there: Vec<&str> =
        imported.yaml.lines().map(|line| line.split("  #").next().unwrap_or(line).trim_end()).collect();
    for line in lines {
        assert!(there.contains(line), "`{line}` is missing:\n{}", imported.yaml);
    }
}

#[track_caller]
fn tells(imported: &Imported, fate: Fate, parts: &[&str]) {
    let told: Vec<String> = imported.findings.of(fate).map(Finding::line).collect();
    for part in parts {
        assert!(told.iter().any(|line| line.contains(part)), "`{part}` is not told: {told:#?}");
    }
}

/// A small configuration of sd-scripts with these lines, none of them twice.
fn sd_scripts(lines: &str) -> Result<Imported> {
    let required = [("pretrained_model_name_or_path", "\"a/b/c\""), ("train_data_dir", "\"silk\"")];
    let given = |name: &str| lines.lines().any(|line| line.starts_with(name));
    let required = required.iter().filter(|(name, _)| !given(name)).map(|(name, value)| format!("{name} = {value}\n"));
    import(&(required.collect::<String>() + lines))
}

/// The GUI's preset with other values.
fn gui(changes: Value) -> Result<Imported> {
    let mut map: Value = serde_json::from_str(GUI)?;
    for (name, value) in changes.as_object().expect("an object") {
        map[name] = value.clone();
    }
    import(&map.to_string())
}

#[test]
fn a_preset_of_the_gui() {
    let (imported, config) = loaded(import(GUI));
    has_lines(
        &imported,
        &[
            "lora_rank: 32",
            "lora_alpha: 16",
            "lora_target: transformer",
            "resolution: \"512,768\"",
            "epochs: 12",
            "lr_warmup_steps: 0.1",
            "lr_scheduler_num_cycles: 12",
            "optimizer_type: AdamW",
            "optimizer_args: {weight_decay: 0.1, betas: [0.9, 0.99]}",
            "validation_split: 0",
            "noise_offset: 0.05",
            "seed: 1234",
            "caption_extension: .txt",
            "sample_prompts: [\"a silk flower --w 512\", \"a crane --n blurry\"]",
            "train_data_dir: \"D:\\\\train\\\\img\"",
            "# put a file here: theirs was `runwayml/stable-diffusion-v1-5` on the Hugging",
        ],
    );
    assert_eq!(config.max_grad_norm, 1.0);
    assert_eq!(config.noise.multires_noise_iterations, 0);
    tells(&imported, Fate::Renamed, &["network_dim → lora_rank", "lr_warmup → lr_warmup_steps: 10 % of the steps"]);
    let nothing = ["the type of noise is Original", "conv_dim, conv_alpha: the type of LoRA is Standard", "xformers"];
    tells(&imported, Fate::NoEffect, &nothing);
    tells(&imported, Fate::NoEffect, &["settings that are off, empty or 0", "max_grad_norm: 0"]);
    tells(&imported, Fate::ByHand, &["additional_parameters \"--log_prefix=silk\"", "base_model: put a file here"]);
}

#[test]
fn the_gui_decides_by_its_switches_what_counts() {
    let multires = loaded(gui(json!({"noise_offset_type": "Multires"}))).1;
    assert_eq!((multires.noise_offset, multires.noise.multires_noise_iterations), (0.0, 6));
    let (constant, config) = loaded(gui(json!({"lr_scheduler": "constant"})));
    has_lines(&constant, &["lr_scheduler: constant"]);
    assert_eq!(config.lr_warmup_steps, crate::config::Warmup::Steps(0));
    let steps = loaded(gui(json!({"max_train_steps": 500}))).1;
    assert_eq!(steps.max_train_steps, Some(500));
    has_lines(&gui(json!({"learning_rate": 0, "unet_lr": 0})).unwrap(), &["learning_rate: 2e-6"]);
    let lokr = json!({"LoRA_type": "LyCORIS/LoKr", "factor": 8, "conv_dim": 4, "LyCORIS_preset": "attn-mlp"});
    let (imported, _) = loaded(gui(lokr));
    assert!(imported.yaml.contains("network_type: lokr") && imported.yaml.contains("lokr_factor: 8"));
    tells(&imported, Fate::NoEffect, &["conv_dim: the preset has no convolutions"]);
    let (imported, _) = loaded(gui(json!({"LoRA_type": "Kohya LoCon"})));
    assert!(imported.yaml.contains("conv_dim: 1"), "{}", imported.yaml);
}

#[test]
fn sd_scripts_with_a_data_set_of_two_subsets() {
    let (imported, config) = loaded(import(SD_SCRIPTS));
    has_lines(
        &imported,
        &[
            "train_data_dir: ./data/silk",
            "num_repeats: 3",
            "resolution: 640",
            "batch_size: 4",
            "epochs: 8",
            "lora_alpha: 1",
            "lr_warmup_steps: 0",
            "max_grad_norm: 0",
            "caption_extension: .txt",
        ],
    );
    assert_eq!((config.max_train_steps, config.max_grad_norm), (None, 0.0));
    for mentioned in ["reg_data_dir: ./data/flowers", "max_token_length: 225", "rank_dropout: 0.1", "conv_dim: 4"] {
        assert!(imported.yaml.contains(mentioned), "{mentioned}\n{}", imported.yaml);
    }
    tells(
        &imported,
        Fate::NoEffect,
        &["train_data_dir: the data set", "max_train_steps: the number", "sdpa", "slice_p"],
    );
    tells(&imported, Fate::NotTakenOver, &["v_parametrisation: true", "class_tokens", "resume: ./state"]);
    tells(&imported, Fate::ByHand, &["subset ./data/wool (2 repeats)"]);
    assert!(!imported.yaml.contains("./ignored"), "{}", imported.yaml);
}

#[test]
fn rates_belong_to_their_optimizer() {
    let (imported, config) = loaded(sd_scripts("optimizer_type = \"Ranger\"\nlearning_rate = 1.0\nunet_lr = 1.0\n"));
    assert!(config.unet_lr < 1e-3, "{}", imported.yaml);
    tells(&imported, Fate::NotTakenOver, &["optimizer_type: Ranger", "learning_rate: 1, unet_lr: 1"]);
    let (imported, config) = loaded(sd_scripts(
        "optimizer_type = \"Prodigy\"\nlearning_rate = 1.0\nnetwork_args = [\"loraplus_lr_ratio=16\"]\n\
         optimizer_args = [\"decouple=True\", \"d_coef=2\"]\n",
    ));
    assert_eq!((config.optimizer.name(), config.unet_lr), ("Prodigy", 1.0), "{}", imported.yaml);
    has_lines(&imported, &["optimizer_args: {decouple: true, d_coef: 2}"]);
    let contradiction =
        ["loraplus_unet_lr_ratio: 16, loraplus_text_encoder_lr_ratio: 16: `loraplus_lr_ratio`: Prodigy"];
    tells(&imported, Fate::NotTakenOver, &contradiction);
    let arguments = "use_8bit_adam = true\noptimizer_args = [\"weight_decay=0.5\", \"amsgrad=False\", \"wavelet=1\"]\n";
    let (imported, _) = loaded(sd_scripts(arguments));
    has_lines(&imported, &["optimizer_args: {weight_decay: 0.5}"]);
    tells(&imported, Fate::Renamed, &["use_8bit_adam → optimizer_type: 8-bit and paged kinds run"]);
    tells(&imported, Fate::NotTakenOver, &["wavelet: 1: AdamW: unknown argument"]);
}

#[test]
fn what_sd_scripts_takes_by_default_is_written_out() {
    let (imported, config) = loaded(sd_scripts(""));
    has_lines(
        &imported,
        &[
            "lora_rank: 4",
            "lora_alpha: 1",
            "learning_rate: 2e-6",
            "max_train_steps: 1600",
            "lr_scheduler: constant",
            "caption_extension: .caption",
            "validation_split: 0",
        ],
    );
    assert!(imported.yaml.contains("train_text_encoder: true") && imported.yaml.contains("text_encoder_lr: 2e-6"));
    assert_eq!((config.lora_rank, config.validation_split), (4, Some(0.0)));
    tells(&imported, Fate::WrittenOut, &["lora_alpha: sd-scripts' default", "max_train_steps", "learning_rate"]);
    for only_unet in ["network_train_unet_only = true", "text_encoder_lr = 0.0"] {
        let (imported, _) = loaded(sd_scripts(only_unet));
        assert!(!imported.yaml.contains("train_text_encoder: true"), "{only_unet}: {}", imported.yaml);
    }
}

#[test]
fn networks_are_told_by_module_and_arguments() {
    let lycoris = "network_module = \"lycoris.kohya\"\nnetwork_dim = 8\nnetwork_alpha = 4\n";
    for (arguments, mentioned) in [
        ("\"algo=loha\"", ["network_type: loha", "conv_dim: 8", "conv_alpha: 4"]),
        ("\"algo=locon\", \"dora_wd=True\"", ["network_type: dora", "dora_axis: output", "conv_dim: 8"]),
        ("\"algo=ia3\", \"conv_dim=2\"", ["network_type: ia3", "conv_dim: 2", "conv_alpha: 4"]),
        ("\"preset=attn-only\", \"dropout=0.2\"", ["lora_target: attention", "network_dropout: 0.2", "lora_rank: 8"]),
    ] {
        let (imported, _) = loaded(sd_scripts(&format!("{lycoris}network_args = [{arguments}]\n")));
        for part in mentioned {
            assert!(imported.yaml.contains(part), "{arguments}: {part}\n{}", imported.yaml);
        }
    }
}

#[test]
fn lora_scripts_with_lycoris() {
    let (imported, config) = loaded(import(LORA_SCRIPTS));
    has_lines(&imported, &["lora_rank: 16", "lora_alpha: 8", "clip_skip: 2", "output_name: aki"]);
    assert!(imported.yaml.contains("network_type: lokr") && imported.yaml.contains("lokr_factor: 8"));
    assert!(imported.yaml.contains("max_token_length: 225"), "{}", imported.yaml);
    let prompt = "masterpiece, 1girl --n lowres --w 512 --h 640 --d 2333 --s 24 --l 7";
    assert_eq!(config.previews.prompts, crate::config::PreviewPrompts::Lines(vec![prompt.into()]));
    tells(
        &imported,
        Fate::NoEffect,
        &["lr_restart_cycles: nothing reads it", "text_encoder_lr: the text encoder is not"],
    );
}

#[test]
fn onetrainer_with_its_concepts() {
    let (imported, config) = loaded(import(ONETRAINER));
    has_lines(
        &imported,
        &[
            "base_model: models/v1-5-pruned.safetensors",
            "train_data_dir: ./data/silk",
            "num_repeats: 3",
            "resolution: 512",
            "lora_alpha: 1",
            "lr_scheduler: cosine_with_min_lr",
            "lr_warmup_steps: 50",
            "min_snr_gamma: 5",
            "max_timestep: 900",
            "mixed_precision: fp16",
            "output_name: silk",
            "clip_skip: 2",
        ],
    );
    assert_eq!(config.output_dir, Path::new("models/lora"));
    for mentioned in ["use_ema: true", "flip_aug: true", "keep_tokens: 2", "text_encoder_lr: 5e-5"] {
        assert!(imported.yaml.contains(mentioned), "{mentioned}\n{}", imported.yaml);
    }
    tells(&imported, Fate::NotTakenOver, &["there are no PRIOR_PREDICTION concepts", "resolution: 512,768"]);
    tells(&imported, Fate::NotTakenOver, &["dropout_probability: 0.1", "mixed_precision: fp16: theirs is bfloat_16"]);
    tells(&imported, Fate::ByHand, &["concept ./data/wool"]);
    let without = import(&ONETRAINER.replace("concepts.json", "gone.json"));
    tells(&loaded(without).0, Fate::ByHand, &["concept_file_name gone.json", "train_data_dir: fill in"]);
}

#[test]
fn metadata_in_both_forms() {
    let (plain, _) = loaded(import_map(METADATA, true));
    has_lines(
        &plain,
        &[
            "resolution: [512, 768]",
            "batch_size: 2",
            "epochs: 10",
            "loss_type: huber",
            "lora_alpha: 8",
            "optimizer_args: {weight_decay: 0.1, betas: [0.9, 0.99]}",
            "# put the folder of the pictures here: it was 5_silk (5 repeats, 20 pictures)",
        ],
    );
    assert!(plain.yaml.contains("train_text_encoder: true") && plain.yaml.contains("conv_dim: 4"), "{}", plain.yaml);
    assert!(!plain.yaml.contains("caption_extension"), "{}", plain.yaml);
    tells(&plain, Fate::ByHand, &["it was trained on v1-5-pruned.safetensors"]);
    let (datasets, _) = loaded(import_map(METADATA_OF_DATASETS, false));
    let lines = ["resolution: [640, 640]", "batch_size: 4", "num_repeats: 3"];
    has_lines(&datasets, &lines);
    assert!(datasets.yaml.contains("it was silk") && !datasets.yaml.contains("train_text_encoder: true"));
    assert!(datasets.yaml.contains("flip_aug: true"), "{}", datasets.yaml);
}

#[test]
fn other_families_and_other_trainings_are_refused_by_name() {
    let refused = |imported: Result<Imported>| format!("{:#}", imported.expect_err("a refusal"));
    for (error, wanted) in [
        (refused(gui(json!({"sdxl": true}))), "Stable Diffusion XL"),
        (refused(gui(json!({"v2": true}))), "Stable Diffusion 2"),
        (refused(gui(json!({"flux1_checkbox": true}))), "Flux"),
        (refused(sd_scripts("network_module = \"networks.lora_flux\"")), "Flux"),
        (refused(sd_scripts("model_train_type = \"sdxl-lora\"")), "Stable Diffusion XL"),
        (refused(sd_scripts("model_train_type = \"sd-dreambooth\"")), "only LoRAs"),
        (
            refused(sd_scripts("pretrained_model_name_or_path = \"stabilityai/stable-diffusion-xl-base-1.0\"")),
            "Stable Diffusion XL",
        ),
        (refused(import(&ONETRAINER.replace("SION_15", "SION_XL_10_BASE"))), "Stable Diffusion XL"),
        (refused(import(&ONETRAINER.replace("LORA\",\n  \"model", "EMBEDDING\",\n  \"model"))), "EMBEDDING"),
        (refused(import_map(&METADATA.replace("sd_v1", "sdxl_base_v1-0"), true)), "Stable Diffusion XL"),
        (refused(import_map("{\"format\": \"pt\"}", true)), "no `ss_` entries"),
        (refused(import(DATASET)), "give this one as --dataset"),
        (refused(import("seed = 1\n")), "no configuration of kohya's GUI"),
        (refused(import("{\"seed\": 1")), "JSON is malformed"),
        (refused(import("base_model: a\n")), "neither JSON nor TOML"),
        (refused(sd_scripts("dataset_config = \"gone.toml\"")), "--dataset"),
    ] {
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
}

#[test]
fn hub_ids_are_told_from_folders() {
    let base_model = |name: &str| {
        let imported = sd_scripts(&format!("pretrained_model_name_or_path = {}\n", Value::from(name)));
        loaded(imported).1.base_model.display().to_string()
    };
    assert_eq!(base_model("runwayml/stable-diffusion-v1-5"), "./models/v1-5-pruned.safetensors");
    for path in ["models/folder", "./sd/v15", "sd/v15.ckpt", "D:/sd/v15", "/sd"] {
        assert_eq!(base_model(path), path);
    }
}

#[test]
fn contradictions_leave_a_file_that_loads() {
    let (imported, config) = loaded(sd_scripts("zero_terminal_snr = true\nadaptive_noise_scale = 0.1\n"));
    assert!(!config.loss.zero_terminal_snr && config.noise.adaptive_noise_scale == 0.0);
    tells(&imported, Fate::NotTakenOver, &["zero_terminal_snr: true", "adaptive_noise_scale: 0.1"]);
    let (imported, config) = loaded(sd_scripts("zero_terminal_snr = true\nv_parameterization = true\n"));
    assert!(config.loss.zero_terminal_snr, "{}", imported.yaml);
    let (imported, _) = loaded(sd_scripts("network_dim = 100000\nresolution = \"500,500\"\n"));
    tells(&imported, Fate::NotTakenOver, &["lora_rank: 100000", "resolution: \"500,500\""]);
}

#[test]
fn no_line_is_wider_than_a_terminal_but_for_its_value() {
    for imported in
        [import(GUI), import(SD_SCRIPTS), import(LORA_SCRIPTS), import(ONETRAINER), import_map(METADATA, true)]
    {
        let imported = imported.unwrap();
        for line in imported.yaml.lines() {
            let is_comment = line.starts_with("# ") && !line.contains(": [");
            let bare = line.split("  #").next().unwrap_or(line);
            assert!(line.chars().count() <= 80 || bare == line && !is_comment, "{line}");
        }
    }
}
