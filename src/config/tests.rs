//! Whole files through [`load`].

use super::{network_tests::every_network_key, *};
use crate::{families::Prediction, size::Size};
use std::path::{Path, PathBuf};

pub(super) const REQUIRED: &str = "base_model: model.safetensors\ntrain_data_dir: ./data/flowers\n";

pub(super) fn load_text(text: &str, overrides: &[&str]) -> anyhow::Result<Loaded> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.yaml");
    std::fs::write(&path, text).unwrap();
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    load(&path, &overrides)
}

/// The configuration of the required keys and `extra` lines.
pub(super) fn config(extra: &str) -> TrainConfig {
    load_text(&format!("{REQUIRED}{extra}"), &[]).unwrap_or_else(|error| panic!("{extra}: {error:#}")).config
}

/// The error of the required keys (lines 1 and 2) and `extra` lines.
pub(super) fn error(extra: &str) -> String {
    let result = load_text(&format!("{REQUIRED}{extra}"), &[]);
    format!("{:#}", result.err().unwrap_or_else(|| panic!("accepted: {extra}")))
}

fn optimizer(kind: OptimizerKind, arguments: &[(&str, &str)]) -> OptimizerSettings {
    let mut optimizer = OptimizerSettings::new(kind);
    for (name, value) in arguments {
        optimizer.set(name, &(*value).into()).unwrap();
    }
    optimizer
}

const FOUNDING_ARTICLE: &str = r#"train_data_dir: "./data/suzhou_flower"
metadata_path: "./data/suzhou_flower/metadata.csv"
base_model: "./models/v1-5-pruned.safetensors"
lora_rank: 12
epochs: 20
batch_size: 2
learning_rate: 2e-4
"#;

#[test]
fn the_founding_articles_file_runs_as_it_stands() {
    let loaded = load_text(FOUNDING_ARTICLE, &[]).unwrap();
    let expected = TrainConfig {
        train_data_dir: PathBuf::from("./data/suzhou_flower"),
        metadata_path: Some(PathBuf::from("./data/suzhou_flower/metadata.csv")),
        base_model: PathBuf::from("./models/v1-5-pruned.safetensors"),
        lora_rank: 12,
        lora_alpha: 24.0,
        epochs: 20,
        batch_size: 2,
        learning_rate: 2e-4,
        unet_lr: 2e-4,
        output_name: "suzhou_flower".into(),
        ..TrainConfig::unresolved()
    };
    assert_eq!(loaded.config, expected);
    assert_eq!(loaded.notes, Vec::<String>::new());
    let line = |key: &str| loaded.yaml.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert_eq!(line("lora_rank"), "lora_rank: 12");
    assert!(line("lora_alpha").ends_with("# 2 × lora_rank"));
    assert!(line("seed").ends_with("# default"));
    let summary = loaded.config.summary().join("\n");
    assert!(summary.contains("rank 12, alpha 24, alpha/rank 2, attention"), "{summary}");
    assert!(summary.contains("20 epochs, batch 2") && summary.contains("2e-4, cosine, warm-up 5 %"), "{summary}");
}

/// Every key but those of the network, none at its default.
const EVERY_KEY: &str = "base_model: a
vae: b
prediction_type: v_prediction
clip_skip: 2
train_data_dir: c
metadata_path: d.csv
caption_extension: caption
allow_missing_captions: true
conditioning_data_dir: masks
resolution: \"768,512\"
num_repeats: 3
cache_latents: true
validation_split: 0.1
lora_rank: 16
lora_alpha: 8
lora_target: transformer
network_weights: e.safetensors
epochs: 7
max_train_steps: 100
batch_size: 2
gradient_accumulation_steps: 4
learning_rate: 3e-4
unet_lr: 1e-5
optimizer_args: [\"weight_decay=0.1\", \"betas=.8,.99\"]
optimizer_type: lion
lr_scheduler: cosine_with_restarts
lr_warmup_steps: 20
lr_scheduler_num_cycles: 3
lr_scheduler_power: 2
lr_scheduler_min_lr_ratio: 0.1
lr_scheduler_timescale: 50
lr_decay_steps: 0.2
max_grad_norm: 0
gradient_checkpointing: true
mixed_precision: fp16
noise_offset: 0.05
min_snr_gamma: true
noise_offset_random_strength: true
adaptive_noise_scale: -0.01
multires_noise_iterations: 8
multires_noise_discount: 0.4
ip_noise_gamma: 0.1
ip_noise_gamma_random_strength: true
loss_type: smooth_l1
huber_c: 0.2
huber_schedule: exponential
huber_scale: 2
debiased_estimation_loss: true
scale_v_pred_loss_like_noise_pred: true
zero_terminal_snr: true
masked_loss: true
alpha_mask: true
min_timestep: 10
max_timestep: 900
seed: 18446744073709551615
device: 1
vram_limit: 3.5GB
output_dir: 'f: g'
output_name: 苏绣 2024
save_every_n_epochs: 2
save_precision: bf16
logging_dir: h
log_with: none
log_prefix: run_
sample_prompts: [a rose --s 12, 'b: c']
sample_every_n_epochs: 0
sample_every_n_steps: 50
sample_at_first: true
sample_sampler: dpmsolver++
metadata_author: The heirs
metadata_license: CC BY 4.0
metadata_description: 'Two: threads'
metadata_tags: [silk, peony]
trigger_phrase: suzhou embroidery
";

fn every_key() -> String {
    EVERY_KEY.to_owned() + network_tests::EVERY_NETWORK_KEY
}

#[test]
fn the_resolved_yaml_loads_as_the_same_configuration() {
    for text in [every_key(), FOUNDING_ARTICLE.to_owned()] {
        let first = load_text(&text, &[]).unwrap();
        let second = load_text(&first.yaml, &[]).unwrap();
        assert_eq!(first.config, second.config, "{}", first.yaml);
    }
}

#[test]
fn every_key_reaches_its_field() {
    let config = load_text(&every_key(), &[]).unwrap().config;
    let expected = TrainConfig {
        base_model: "a".into(),
        vae: Some("b".into()),
        prediction_type: Prediction::VPrediction,
        clip_skip: 2,
        train_data_dir: "c".into(),
        metadata_path: Some("d.csv".into()),
        caption_extension: Some(".caption".into()),
        allow_missing_captions: true,
        conditioning_data_dir: Some("masks".into()),
        resolution: Size::new(768, 512),
        num_repeats: 3,
        cache_latents_to_disk: false,
        validation_split: Some(0.1),
        lora_rank: 16,
        lora_alpha: 8.0,
        lora_target: LoraTarget::Transformer,
        network: every_network_key(),
        network_weights: Some("e.safetensors".into()),
        epochs: 7,
        max_train_steps: Some(100),
        batch_size: 2,
        gradient_accumulation_steps: 4,
        learning_rate: 3e-4,
        unet_lr: 1e-5,
        optimizer: optimizer(OptimizerKind::Lion, &[("betas", "0.8,0.99"), ("weight_decay", "0.1")]),
        lr_scheduler: LrScheduler::CosineWithRestarts,
        lr_warmup_steps: Warmup::Steps(20),
        lr_scheduler_num_cycles: 3,
        lr_scheduler_power: 2.0,
        lr_scheduler_min_lr_ratio: 0.1,
        lr_scheduler_timescale: Some(50),
        lr_decay_steps: Warmup::Share(0.2),
        max_grad_norm: 0.0,
        gradient_checkpointing: GradientCheckpointing::On,
        mixed_precision: MixedPrecision::Fp16,
        noise_offset: 0.05,
        min_snr_gamma: Some(5.0),
        loss: LossConfig {
            loss_type: LossType::SmoothL1,
            huber_c: 0.2,
            huber_schedule: HuberSchedule::Exponential,
            huber_scale: 2.0,
            debiased_estimation_loss: true,
            scale_v_pred_loss_like_noise_pred: true,
            v_pred_like_loss: 0.0,
            zero_terminal_snr: true,
            masked_loss: true,
            alpha_mask: true,
            min_timestep: 10,
            max_timestep: 900,
        },
        noise: NoiseConfig {
            noise_offset_random_strength: true,
            adaptive_noise_scale: -0.01,
            multires_noise_iterations: 8,
            multires_noise_discount: 0.4,
            ip_noise_gamma: 0.1,
            ip_noise_gamma_random_strength: true,
        },
        seed: u64::MAX,
        device: Some("1".into()),
        vram_limit: Some(3_500_000_000),
        output_dir: "f: g".into(),
        output_name: "苏绣 2024".into(),
        save_every_n_epochs: 2,
        save_precision: SavePrecision::Bf16,
        logging_dir: "h".into(),
        log_with: LogWith::None,
        log_prefix: "run_".into(),
        previews: Previews {
            prompts: PreviewPrompts::Lines(vec!["a rose --s 12".into(), "b: c".into()]),
            every_n_epochs: 0,
            every_n_steps: 50,
            at_first: true,
            sampler: "dpmpp_2m",
        },
        provenance: Provenance {
            author: Some("The heirs".into()),
            license: Some("CC BY 4.0".into()),
            description: Some("Two: threads".into()),
            tags: vec!["silk".into(), "peony".into()],
            trigger_phrase: Some("suzhou embroidery".into()),
        },
    };
    assert_eq!(config, expected);
}

#[test]
fn aliases_mean_their_keys() {
    let text = "pretrained_model_name_or_path: a\ninstance_data_dir: b/c\nnetwork_dim: 4\nnetwork_alpha: 1\nsnr_gamma: 5\n\
                max_train_epochs: 3\nv_parameterization: true\nnetwork_train_unet_only: true\n\
                text_encoder_layer_skip: 1\nunet_lr: \"1e-4\"\n";
    let loaded = load_text(text, &[]).unwrap();
    let config = &loaded.config;
    assert_eq!(config.base_model, Path::new("a"));
    assert_eq!((config.output_name.as_str(), config.lora_rank, config.lora_alpha), ("c", 4, 1.0));
    assert_eq!((config.min_snr_gamma, config.epochs, config.clip_skip), (Some(5.0), 3, 2));
    assert_eq!(config.prediction_type, Prediction::VPrediction);
    assert!(
        loaded.yaml.contains("lora_rank: 4 ") && loaded.yaml.contains("# network_dim in the file"),
        "{}",
        loaded.yaml
    );
}

#[test]
fn preview_prompts_are_lines_or_a_file() {
    let prompts = |line: &str| config(&format!("sample_prompts: {line}\n")).previews.prompts;
    assert_eq!(prompts("a rose"), PreviewPrompts::Lines(vec!["a rose".into()]));
    assert_eq!(prompts("./Prompts.TXT"), PreviewPrompts::File("./Prompts.TXT".into()));
}

#[test]
fn a_key_without_value_counts_as_left_out() {
    assert_eq!(config("learning_rate:\nlora_alpha: null\nsample_prompts: ~\n"), config(""));
    let error = format!("{:#}", load_text("base_model:\ntrain_data_dir: a\n", &[]).unwrap_err());
    assert!(error.contains("train.yaml") && error.contains("`base_model` is missing"), "{error}");
}

#[test]
fn overrides_win_and_name_themselves_in_errors() {
    let text = format!("{REQUIRED}epochs: wrong\nvae: a\n");
    let loaded = load_text(&text, &["epochs=3", "vae=", "resolution=768,512", "optimizer_args={eps: 1e-6}"]).unwrap();
    assert_eq!((loaded.config.epochs, loaded.config.vae), (3, None));
    assert_eq!(loaded.config.resolution, Size::new(768, 512));
    assert_eq!(loaded.config.optimizer, optimizer(OptimizerKind::AdamW, &[("eps", "1e-6")]));
    assert!(loaded.yaml.contains("# --set epochs"));
    for (set, wanted) in [
        ("epoch=3", "--set epoch: unknown key; did you mean `epochs`?"),
        ("epochs=0", "--set epochs: expected a whole number"),
        ("epochs", "--set epochs: expected key=value"),
        ("seed=[", "--set seed: "),
    ] {
        let error = format!("{:#}", load_text(REQUIRED, &[set]).unwrap_err());
        assert!(error.starts_with(wanted), "{error}");
    }
    assert!(load_text(REQUIRED, &["epochs=1", "max_train_epochs=2"]).unwrap_err().to_string().contains("given twice"));
}

#[test]
fn odd_but_usable_settings_draw_a_note() {
    let extra = "optimizer_type: AdamW8bit\nlr_scheduler: constant\nlr_warmup_steps: 10\n";
    let notes = load_text(&format!("{REQUIRED}{extra}"), &[]).unwrap().notes;
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert_eq!(config("lr_scheduler: constant\n").lr_warmup_steps, Warmup::Steps(0));
    let notes = load_text(&format!("{REQUIRED}cache_latents: false\n"), &[]).unwrap().notes;
    assert!(matches!(&notes[..], [note] if note.starts_with("cache_latents: ")), "{notes:?}");
}

#[test]
fn an_optimizer_that_finds_its_step_size_has_rate_one() {
    let loaded = load_text(&format!("{REQUIRED}optimizer_type: Prodigy\n"), &[]).unwrap();
    let config = &loaded.config;
    assert_eq!((config.learning_rate, config.unet_lr, config.lr_warmup_steps), (1.0, 1.0, Warmup::Steps(0)));
    assert_eq!(loaded.notes, Vec::<String>::new());
    let line = loaded.yaml.lines().find(|line| line.starts_with("learning_rate: 1 ")).unwrap();
    assert!(line.contains("# a factor of the step size"), "{line}");
    let small = load_text(&format!("{REQUIRED}optimizer_type: DAdaptation\nlearning_rate: 1e-4\n"), &[]).unwrap();
    let [stand_in, factor] = &small.notes[..] else { panic!("{:?}", small.notes) };
    assert_eq!(stand_in, "optimizer_type: DAdaptation runs as DAdaptAdam");
    assert!(factor.contains("DAdaptAdam finds its step size itself") && factor.contains("1 is usual"), "{factor}");
    assert_eq!(small.config.unet_lr, 1e-4);
}

#[test]
fn schedule_free_runs_without_schedule() {
    let free = config("optimizer_type: AdamWScheduleFree\n");
    assert_eq!((free.lr_scheduler, free.lr_warmup_steps), (LrScheduler::Constant, Warmup::Steps(0)));
    let scheduled = error("optimizer_type: AdamWScheduleFree\nlr_scheduler: cosine\n");
    assert!(scheduled.contains("AdamWScheduleFree wants no schedule; set `lr_scheduler: constant`"), "{scheduled}");
    let warmed = error("optimizer_type: AdamWScheduleFree\nlr_warmup_steps: 10\n");
    assert!(warmed.contains("set `optimizer_args: [\"warmup_steps=100\"]`"), "{warmed}");
    assert!(error("optimizer_type: RAdamScheduleFree\nlr_warmup_steps: 10\n").contains("warms up by itself"));
}

#[test]
fn adafactors_own_rate_wins_and_says_so() {
    let notes = |extra: &str| load_text(&format!("{REQUIRED}optimizer_type: AdaFactor\n{extra}"), &[]).unwrap().notes;
    assert_eq!(notes(""), Vec::<String>::new());
    assert!(matches!(&notes("learning_rate: 1e-4\n")[..], [note] if note.contains("have no effect: Adafactor")));
    let fixed = "optimizer_args: [\"relative_step=False\", \"scale_parameter=False\"]\nlearning_rate: 1e-4\n";
    assert_eq!(notes(fixed), Vec::<String>::new());
    let ignored = notes("optimizer_args: {beta1: None}\n");
    assert!(matches!(&ignored[..], [note] if note.contains("have no effect here")), "{ignored:?}");
    assert!(
        error("optimizer_type: Adafactor\noptimizer_args: {warmup_init: true, relative_step: false}\n")
            .contains("relative_step: true")
    );
}

#[test]
fn the_files_encoding_is_checked() {
    assert!(load_text(&format!("\u{feff}{REQUIRED}"), &[]).is_ok());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.yaml");
    std::fs::write(&path, b"base_model: \xcb\xd5\xd0\xe5\n").unwrap();
    let error = format!("{:#}", load(&path, &[]).unwrap_err());
    assert!(error.contains("train.yaml: not UTF-8"), "{error}");
    let missing = format!("{:#}", load(&folder.path().join("none.yaml"), &[]).unwrap_err());
    assert!(missing.contains("cannot read the configuration") && missing.contains("none.yaml"), "{missing}");
}

#[test]
fn a_folder_without_a_name_asks_for_one() {
    let nameless = format!("{:#}", load_text("base_model: a\ntrain_data_dir: /\n", &[]).unwrap_err());
    assert!(nameless.contains("add `output_name: my_lora`"), "{nameless}");
    assert!(!load_text("base_model: a\ntrain_data_dir: .\n", &[]).unwrap().config.output_name.is_empty());
}

#[test]
fn a_polynomial_schedule_needs_a_rate_above_its_end() {
    assert!(error("lr_scheduler: polynomial\nlearning_rate: 1e-8\n").contains("ends at 1e-7"));
}

#[test]
fn a_text_without_a_file_has_its_paths_below_its_folder() {
    let text = "base_model: models/a.safetensors\ntrain_data_dir: /pictures/silk\nsample_prompts: b.txt\n";
    let config = TrainConfig::from_yaml(text, Path::new("/museum")).unwrap();
    assert_eq!(config.base_model, Path::new("/museum/models/a.safetensors"));
    assert_eq!(config.train_data_dir, Path::new("/pictures/silk"));
    assert_eq!(config.output_dir, Path::new("/museum/./output"));
    assert_eq!(config.previews.prompts, PreviewPrompts::File("/museum/b.txt".into()));
    assert_eq!((config.output_name.as_str(), config.lora_alpha), ("silk", 16.0));
    let demo = TrainConfig::from_yaml("base_model: demo\ntrain_data_dir: .\n", Path::new("/museum")).unwrap();
    assert_eq!((demo.base_model.to_str(), demo.output_name.as_str()), (Some("demo"), "museum"));
    let error = TrainConfig::from_yaml("seed: x\n", Path::new("")).unwrap_err().to_string();
    assert!(error.starts_with("configuration: 3 mistakes\nconfiguration:1: `seed`: "), "{error}");
}
