//! A short summary of a run for the terminal.

use super::{
    choices::{LORA_TARGETS, LR_SCHEDULERS, SAVE_PRECISIONS, word_for},
    show::number,
    train_config::{GradientCheckpointing, LrScheduler, MixedPrecision, TrainConfig, Warmup},
};

impl LrScheduler {
    /// diffusers' name.
    pub fn name(self) -> &'static str {
        word_for(LR_SCHEDULERS, &self)
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
        let target = word_for(LORA_TARGETS, &self.lora_target);
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
        let precision = word_for(SAVE_PRECISIONS, &self.save_precision);
        let every = match self.save_every_n_epochs {
            1 => "saved each epoch".to_owned(),
            n => format!("saved each {n} epochs"),
        };
        format!("{}, {precision}, {every}", file.display())
    }
}
