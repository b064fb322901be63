//! The resolved configuration as YAML (every key, with a comment where the value is not the file's own) and as a short
//! summary for the terminal.

use super::{
    keys::{LORA_TARGETS, LR_SCHEDULERS, Meaning, SAVE_PRECISIONS, SETTINGS},
    train_config::{AdamW, GradientCheckpointing, LrScheduler, MixedPrecision, PreviewPrompts, TrainConfig, Warmup},
    value,
};
use std::path::Path;

/// Every key with its value. `comment` says where a value came from; it gives nothing for one written in the file.
pub(super) fn to_yaml(config: &TrainConfig, comment: impl Fn(&str) -> Option<String>) -> String {
    let mut yaml = String::new();
    for key in SETTINGS {
        let Meaning::Setting { show, .. } = key.meaning else { continue };
        let line = format!("{}: {}", key.name, show(config));
        match comment(key.name) {
            Some(comment) => yaml += &format!("{line:<48}  # {comment}\n"),
            None => yaml += &format!("{line}\n"),
        }
    }
    yaml
}

/// A string as a one-line YAML scalar, in quotes where YAML would read something else.
pub(super) fn text(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_alphabetic() || matches!(c, '.' | '/'))
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '/' | '_' | '-'));
    let reads_back = || serde_yaml::from_str::<serde_yaml::Value>(text).is_ok_and(|value| value == text);
    if plain && reads_back() { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

pub(super) fn path(path: &Path) -> String {
    text(&path.to_string_lossy())
}

pub(super) fn optional<T>(value: &Option<T>, show: impl Fn(&T) -> String) -> String {
    value.as_ref().map_or_else(|| "null".to_owned(), show)
}

/// The shortest decimal that reads back as the same number; small ones as people write them, 1e-4.
pub(super) fn number(number: f64) -> String {
    if number != 0.0 && number.abs() < 1e-3 { format!("{number:e}") } else { number.to_string() }
}

pub(super) fn adamw(optimizer: &AdamW) -> String {
    let (beta1, beta2) = optimizer.betas;
    let [beta1, beta2, decay, eps] = [beta1, beta2, optimizer.weight_decay, optimizer.eps].map(number);
    format!("{{betas: [{beta1}, {beta2}], weight_decay: {decay}, eps: {eps}}}")
}

pub(super) fn warmup(warmup: Warmup) -> String {
    match warmup {
        Warmup::Steps(steps) => steps.to_string(),
        Warmup::Share(share) => number(share),
    }
}

/// A list on one line, or a file's path.
pub(super) fn preview_prompts(prompts: &PreviewPrompts) -> String {
    match prompts {
        PreviewPrompts::File(file) => path(file),
        PreviewPrompts::Lines(lines) => serde_json::Value::from(lines.clone()).to_string(),
    }
}

impl LrScheduler {
    /// diffusers' name.
    pub fn name(self) -> &'static str {
        value::word_for(LR_SCHEDULERS, &self)
    }
}

impl TrainConfig {
    /// The run in a few lines for the terminal.
    pub fn summary(&self) -> Vec<String> {
        let line = |name: &str, text: String| format!("{name:<11}{text}");
        vec![
            line("base model", self.base_model_text()),
            line(
                "data",
                format!("{}, {}×{}", self.train_data_dir.display(), self.resolution.width, self.resolution.height),
            ),
            line("LoRA", self.lora_text()),
            line("training", self.training_text()),
            line("rate", self.rate_text()),
            line("output", self.output_text()),
        ]
    }

    fn base_model_text(&self) -> String {
        let model = self.base_model.display();
        match &self.vae {
            Some(vae) => format!("{model}, VAE {}", vae.display()),
            None => model.to_string(),
        }
    }

    fn lora_text(&self) -> String {
        let scale = number(self.lora_alpha / f64::from(self.lora_rank));
        let target = value::word_for(LORA_TARGETS, &self.lora_target);
        format!("rank {}, alpha {}, alpha/rank {scale}, {target}", self.lora_rank, number(self.lora_alpha))
    }

    fn training_text(&self) -> String {
        let mut text = match self.max_train_steps {
            Some(steps) => format!("{steps} steps"),
            None => format!("{} epochs", self.epochs),
        };
        text += &format!(", batch {}", self.batch_size);
        if self.gradient_accumulation_steps > 1 {
            text += &format!(" × {} accumulated", self.gradient_accumulation_steps);
        }
        if let Some(gamma) = self.min_snr_gamma {
            text += &format!(", min-SNR γ {}", number(gamma));
        }
        if self.noise_offset > 0.0 {
            text += &format!(", noise offset {}", number(self.noise_offset));
        }
        match self.gradient_checkpointing {
            GradientCheckpointing::On => text += ", gradient checkpointing",
            GradientCheckpointing::Cheap => text += ", norms and GEGLUs computed again",
            GradientCheckpointing::Off | GradientCheckpointing::Auto => {}
        }
        if self.mixed_precision == MixedPrecision::Fp16 {
            text += ", fp16 activations";
        }
        text + &format!(", seed {}", self.seed)
    }

    fn rate_text(&self) -> String {
        let scheduler = self.lr_scheduler.name();
        let warmup = match self.lr_warmup_steps {
            Warmup::Steps(0) => String::new(),
            Warmup::Steps(steps) => format!(", warm-up {steps} steps"),
            Warmup::Share(share) => format!(", warm-up {} %", (share * 1e4).round() / 1e2),
        };
        format!("{}, {scheduler}{warmup}", number(self.unet_lr))
    }

    fn output_text(&self) -> String {
        let file = self.output_dir.join(format!("{}.safetensors", self.output_name));
        let precision = value::word_for(SAVE_PRECISIONS, &self.save_precision);
        let every = match self.save_every_n_epochs {
            1 => "saved each epoch".to_owned(),
            n => format!("saved each {n} epochs"),
        };
        format!("{}, {precision}, {every}", file.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_read_back_as_themselves() {
        let odd =
            ["true", "null", "1e-4", "12", "a: b", "苏绣 花", "苏绣", "it's", "C:\\new", "", "./a/b", "- a", "#x"];
        for original in odd {
            let back: String = serde_yaml::from_str(&text(original)).unwrap();
            assert_eq!(back, original, "{}", text(original));
        }
        assert_eq!(text("./data/suzhou_flower"), "./data/suzhou_flower");
    }

    #[test]
    fn numbers_are_short() {
        for (value, shown) in [(2e-4, "2e-4"), (1e-8, "1e-8"), (0.0, "0"), (24.0, "24"), (0.05, "0.05")] {
            assert_eq!(number(value), shown);
        }
    }
}
