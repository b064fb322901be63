//! The files of a run: LoRA files in both layouts, the resolved configuration, metrics.

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};

use crate::{
    config::{self, NetworkType, TrainConfig},
    data::sheet::DataSheet,
    families::Prediction,
    weights::{
        Checkpoint,
        lora::{
            AdapterModule, Algorithm, BucketCount, DatasetDir, FloatType, LoraMetadata, LossMetadata, NetworkMetadata,
            diffusers_lacks, write_diffusers, write_kohya,
        },
        write_atomically,
    },
};

/// Where a run writes, and what its LoRA files say about it.
pub struct Output {
    folder: PathBuf,
    name: String,
    precision: FloatType,
    metadata: LoraMetadata,
}

/// The two files of one save.
pub struct SavedFiles {
    /// For WebUIs.
    pub kohya: PathBuf,
    /// For diffusers, whose layout does not have every kind of adapter.
    pub diffusers: Option<PathBuf>,
}

impl Output {
    /// Collects what LoRA files say about the run.
    pub fn new(config: &TrainConfig, checkpoint: &Checkpoint, sheet: &DataSheet, run: &RunLength) -> Self {
        let metadata = metadata(config, checkpoint, sheet, run);
        let precision = save_precision(config);
        Self { folder: config.output_dir.clone(), name: config.output_name.clone(), precision, metadata }
    }

    /// Writes the files of the run's end: `<output_name>.safetensors` and diffusers' twin.
    ///
    /// # Errors
    /// A value that is not finite; trouble with the disk. Files of the same name stay as they were then.
    pub fn save_final(&mut self, modules: &[AdapterModule], epoch: u32, step: u32) -> Result<SavedFiles> {
        self.save(&self.name.clone(), modules, epoch, step)
    }

    /// Writes the files of an epoch: `<output_name>-000001.safetensors` as sd-scripts names it, and diffusers' twin.
    ///
    /// # Errors
    /// As [`Output::save_final`].
    pub fn save_epoch(&mut self, modules: &[AdapterModule], epoch: u32, step: u32) -> Result<SavedFiles> {
        self.save(&format!("{}-{epoch:06}", self.name), modules, epoch, step)
    }

    /// Writes the files of a run that was stopped: `<output_name>-step00000042.safetensors` as sd-scripts names it, and
    /// diffusers' twin. A finished run's file of the same name is another one.
    ///
    /// # Errors
    /// As [`Output::save_final`].
    pub fn save_stopped(&mut self, modules: &[AdapterModule], epoch: u32, step: u32) -> Result<SavedFiles> {
        self.save(&format!("{}-step{step:08}", self.name), modules, epoch, step)
    }

    fn save(&mut self, stem: &str, modules: &[AdapterModule], epoch: u32, step: u32) -> Result<SavedFiles> {
        self.metadata.output_name = stem.to_owned();
        self.metadata.epoch = epoch as usize;
        self.metadata.steps = step as usize;
        self.metadata.finished_at = now();
        let kohya = self.folder.join(format!("{stem}.safetensors"));
        let diffusers = self.folder.join("diffusers").join("pytorch_lora_weights.safetensors");
        write_kohya(&kohya, modules, &self.metadata, self.precision)?;
        if diffusers_lacks(modules).is_some() {
            return Ok(SavedFiles { kohya, diffusers: None });
        }
        create_folder(&self.folder.join("diffusers"))?;
        write_diffusers(&diffusers, modules, self.precision)?;
        Ok(SavedFiles { kohya, diffusers: Some(diffusers) })
    }
}

/// How long a run is planned to be, as kohya's metadata have it.
#[derive(Clone, Copy, Debug)]
pub struct RunLength {
    pub epochs: u32,
    pub steps: u32,
    pub batches_per_epoch: usize,
    pub warmup_steps: u32,
}

/// The precision of LoRA files, in the writer's terms.
pub(in crate::train) fn save_precision(config: &TrainConfig) -> FloatType {
    match config.save_precision {
        config::SavePrecision::Float => FloatType::F32,
        config::SavePrecision::Fp16 => FloatType::F16,
        config::SavePrecision::Bf16 => FloatType::BF16,
    }
}

/// Stores the resolved configuration beside the run.
///
/// # Errors
/// Trouble with the disk.
pub fn save_config(folder: &Path, name: &str, yaml: &str) -> Result<PathBuf> {
    let path = folder.join(format!("{name}.yaml"));
    write_atomically(&path, |out| out.write_all(yaml.as_bytes()))?;
    Ok(path)
}

pub(in crate::train) fn create_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

/// Seconds since 1970.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

fn metadata(config: &TrainConfig, checkpoint: &Checkpoint, sheet: &DataSheet, run: &RunLength) -> LoraMetadata {
    let dirs = sheet
        .folders
        .iter()
        .map(|(name, facts)| (name.clone(), DatasetDir { n_repeats: facts.n_repeats, img_count: facts.img_count }));
    let tags = sheet.folders.iter().map(|(name, facts)| (name.clone(), facts.tag_frequency.clone()));
    let base_name = config.base_model.file_name().map(|name| name.to_string_lossy().into_owned());
    LoraMetadata {
        base_model_name: base_name.unwrap_or_default(),
        base_model_hashes: checkpoint.hashes().cloned(),
        rank: config.lora_rank as usize,
        alpha: config.lora_alpha as f32,
        resolution: config.resolution,
        num_train_images: sheet.shown_per_epoch,
        num_batches_per_epoch: run.batches_per_epoch,
        buckets: vec![BucketCount { size: config.resolution, count: sheet.shown_per_epoch }],
        dataset_dirs: dirs.collect(),
        tag_frequency: tags.collect(),
        started_at: now(),
        num_epochs: run.epochs as usize,
        max_train_steps: run.steps as usize,
        learning_rate: config.learning_rate,
        network: network_metadata(config),
        unet_lr: (!config.network.network_train_text_encoder_only).then_some(config.unet_lr),
        text_encoder_lr: config.network.train_text_encoder.then_some(config.network.text_encoder_lr),
        optimizer: config.optimizer.python_call(),
        lr_scheduler: config.lr_scheduler.name().to_owned(),
        lr_warmup_steps: run.warmup_steps as usize,
        seed: config.seed,
        batch_size: config.batch_size as usize,
        gradient_accumulation_steps: config.gradient_accumulation_steps as usize,
        mixed_precision: if config.mixed_precision == config::MixedPrecision::Fp16 { "fp16" } else { "no" }.to_owned(),
        loss: loss_metadata(config),
        v_prediction: config.prediction_type == Prediction::VPrediction,
        clip_skip: config.clip_skip as usize,
        author: config.provenance.author.clone(),
        description: config.provenance.description.clone(),
        license: config.provenance.license.clone(),
        tags: (!config.provenance.tags.is_empty()).then(|| config.provenance.tags.join(", ")),
        trigger_phrase: config.provenance.trigger_phrase.clone(),
        ..LoraMetadata::default()
    }
}

fn network_metadata(config: &TrainConfig) -> NetworkMetadata {
    let network = &config.network;
    let conv = (network.conv_dim > 0).then_some((network.conv_dim as usize, network.conv_alpha));
    let algorithm = match network.network_type {
        NetworkType::Lora => Algorithm::Lora,
        NetworkType::Dora => Algorithm::Dora { by_output: network.dora_axis == config::DoraAxis::Output },
        NetworkType::Loha => Algorithm::Loha,
        NetworkType::Lokr => Algorithm::Lokr { factor: network.lokr_factor },
    };
    NetworkMetadata {
        algorithm,
        conv,
        rs_lora: network.rs_lora,
        network_dropout: network.network_dropout,
        rank_dropout: network.rank_dropout,
        module_dropout: network.module_dropout,
        scale_weight_norms: network.scale_weight_norms,
        max_token_length: network.max_token_length as usize,
    }
}

fn loss_metadata(config: &TrainConfig) -> LossMetadata {
    let TrainConfig { loss, noise, .. } = config;
    LossMetadata {
        loss_type: loss.loss_type.name().to_owned(),
        huber_schedule: loss.huber_schedule.name().to_owned(),
        huber_c: loss.huber_c,
        huber_scale: loss.huber_scale,
        min_snr_gamma: config.min_snr_gamma.unwrap_or_default(),
        debiased_estimation: loss.debiased_estimation_loss,
        zero_terminal_snr: loss.zero_terminal_snr,
        masked_loss: loss.is_masked(),
        timesteps: (loss.min_timestep, loss.max_timestep),
        noise_offset: config.noise_offset,
        noise_offset_random_strength: noise.noise_offset_random_strength,
        adaptive_noise_scale: noise.adaptive_noise_scale,
        multires_noise_iterations: noise.multires_noise_iterations,
        multires_noise_discount: noise.multires_noise_discount,
        ip_noise_gamma: noise.ip_noise_gamma,
        ip_noise_gamma_random_strength: noise.ip_noise_gamma_random_strength,
    }
}
