//! A short summary of a run for the terminal.

use super::{
    choices::{HUBER_SCHEDULES, LORA_TARGETS, LOSS_TYPES, LR_SCHEDULERS, NETWORK_TYPES, SAVE_PRECISIONS, word_for},
    loss_config::{HuberSchedule, LossType, TIMESTEPS},
    network_config::{DoraAxis, NetworkConfig, NetworkType},
    show::number,
    train_config::{GradientCheckpointing, LrScheduler, MixedPrecision, TrainConfig, Warmup},
};

impl LrScheduler {
    /// diffusers' name.
    pub fn name(self) -> &'static str {
        word_for(LR_SCHEDULERS, &self)
    }
}

impl LossType {
    /// sd-scripts' name.
    pub fn name(self) -> &'static str {
        word_for(LOSS_TYPES, &self)
    }
}

impl HuberSchedule {
    /// sd-scripts' name.
    pub fn name(self) -> &'static str {
        word_for(HUBER_SCHEDULES, &self)
    }
}

impl NetworkType {
    /// LyCORIS' name.
    pub fn name(self) -> &'static str {
        word_for(NETWORK_TYPES, &self)
    }
}

impl TrainConfig {
    /// The run in a few lines for the terminal.
    pub fn summary(&self) -> Vec<String> {
        let line = |name: &str, text: String| format!("{name:<11}{text}");
        vec![
            line("base model", self.base_model_text()),
            line("data", format!("{}, {}", self.train_data_dir.display(), self.resolution)),
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
        let rank = f64::from(self.lora_rank);
        let (divided, scale) = match self.network.rs_lora {
            true => ("alpha/√rank", (self.lora_alpha / rank.sqrt() * 1e4).round() / 1e4),
            false => ("alpha/rank", self.lora_alpha / rank),
        };
        let target = word_for(LORA_TARGETS, &self.lora_target);
        let mut text = format!("rank {rank}, alpha {}, {divided} {}, {target}", number(self.lora_alpha), number(scale));
        for option in network_options(&self.network) {
            text += &format!(", {option}");
        }
        text
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
        for option in loss_options(self) {
            text += &format!(", {option}");
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

/// What a network has that it does not have by default, a phrase each.
fn network_options(network: &NetworkConfig) -> Vec<String> {
    let mut options = Vec::new();
    match network.network_type {
        NetworkType::Lora => {}
        NetworkType::Dora if network.dora_axis == DoraAxis::Output => options.push("dora of outputs".to_owned()),
        kind => options.push(kind.name().to_owned()),
    }
    if network.conv_dim > 0 {
        options.push(format!("convolutions rank {}, alpha {}", network.conv_dim, number(network.conv_alpha)));
    }
    if network.trains_text_encoder() {
        let only = if network.network_train_text_encoder_only { " only" } else { "" };
        options.push(format!("text encoder{only} at {}", number(network.text_encoder_lr)));
    }
    let lists = [&network.block_dims, &network.block_alphas, &network.conv_block_dims, &network.conv_block_alphas];
    let flags =
        [(lists.iter().any(|list| !list.is_empty()), "sizes by block"), (network.has_lr_factors(), "rates by block")];
    options.extend(flags.into_iter().filter(|(on, _)| *on).map(|(_, phrase)| phrase.to_owned()));
    let (unet, text) = (network.loraplus_unet_lr_ratio, network.loraplus_text_encoder_lr_ratio);
    if network.has_loraplus() {
        let text = if text == unet { String::new() } else { format!(" and {} in the text encoder", number(text)) };
        options.push(format!("LoRA+ {}{text}", number(unet)));
    }
    options.extend(network_sizes(network));
    options
}

fn network_sizes(network: &NetworkConfig) -> impl Iterator<Item = String> {
    let ema = if network.use_ema { network.ema_decay } else { 0.0 };
    let sizes = [
        (network.network_dropout, "dropout"),
        (network.rank_dropout, "rank dropout"),
        (network.module_dropout, "module dropout"),
        (network.scale_weight_norms, "norms up to"),
        (ema, "EMA"),
    ];
    let length = network.max_token_length;
    let tokens = (length != NetworkConfig::default().max_token_length).then(|| format!("{length} tokens"));
    sizes
        .into_iter()
        .filter(|(size, _)| *size > 0.0)
        .map(|(size, name)| format!("{name} {}", number(size)))
        .chain(tokens)
}

/// What a run does to loss and noise that it does not by default, a phrase each.
fn loss_options(config: &TrainConfig) -> Vec<String> {
    let TrainConfig { loss, noise, .. } = config;
    let mut options = Vec::new();
    if loss.loss_type != LossType::L2 {
        options.push(format!("loss {}", loss.loss_type.name()));
    }
    options.extend(config.min_snr_gamma.map(|gamma| format!("min-SNR γ {}", number(gamma))));
    let flags = [
        (loss.scale_v_pred_loss_like_noise_pred, "v loss scaled like noise loss"),
        (loss.debiased_estimation_loss, "debiased loss"),
        (loss.zero_terminal_snr, "zero terminal SNR"),
        (loss.masked_loss, "masked loss"),
        (loss.alpha_mask, "loss masked by transparency"),
    ];
    options.extend(flags.into_iter().filter(|(on, _)| *on).map(|(_, phrase)| phrase.to_owned()));
    let numbers = [
        (loss.v_pred_like_loss, "v-like loss"),
        (config.noise_offset, "noise offset"),
        (f64::from(noise.multires_noise_iterations), "multi-resolution noise"),
        (noise.ip_noise_gamma, "input perturbation"),
    ];
    options
        .extend(numbers.into_iter().filter(|(size, _)| *size > 0.0).map(|(x, name)| format!("{name} {}", number(x))));
    if (loss.min_timestep, loss.max_timestep) != (0, TIMESTEPS) {
        options.push(format!("timesteps {} to {}", loss.min_timestep, loss.max_timestep - 1));
    }
    options
}
