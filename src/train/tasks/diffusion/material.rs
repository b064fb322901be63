//! What a run is made of, opened and checked before anything is computed: pictures, captions, checkpoint, networks.

use std::path::Path;

use anyhow::{Context, Result};

use crate::{
    config::TrainConfig,
    data::{dataset::Example, sheet::DataSheet, split::Split, tokenizer::ClipTokenizer},
    families::SD_V1,
    gpu::Gpu,
    models::{ClipText, ClipTextConfig, UNet, UNetConfig, VaeConfig, VaeEncoder},
    nn::{Builder, Built},
    sample::loras::KnownModules,
    train::events::{Event, Tell, say},
    weights::{
        Checkpoint,
        lora::{self, AdapterModule, Part},
    },
};

use super::{
    assembly::Trained,
    data::{choose_split, open_dataset, say_split},
};

/// Pictures, captions and the checkpoint.
pub(super) struct Material {
    pub tokenizer: ClipTokenizer,
    pub examples: Vec<Example>,
    pub sheet: DataSheet,
    pub split: Split,
    pub checkpoint: Checkpoint,
}

impl Material {
    /// Opens and checks everything, and says what is odd about it.
    ///
    /// # Errors
    /// Whatever is wrong with the data or the checkpoint.
    pub fn open(config: &TrainConfig, tell: &mut Tell<'_>) -> Result<Self> {
        let tokenizer = ClipTokenizer::new()?;
        let (examples, sheet) = open_dataset(config, &tokenizer, tell)?;
        let split = choose_split(config, &examples)?;
        say_split(&split, &examples, tell);
        let checkpoint = Checkpoint::open(&config.base_model, config.vae.as_deref())?;
        warn_about_checkpoint(config, &checkpoint, tell);
        check_encoders(&checkpoint)?;
        Ok(Self { tokenizer, examples, sheet, split, checkpoint })
    }

    /// A caption that is trained on.
    pub fn example_caption(&self) -> &str {
        &self.examples[self.split.train[0]].caption
    }
}

/// The networks that are trained on, built but not uploaded.
pub(super) struct Networks<'a> {
    pub unet: UNet,
    pub built: Built<'a>,
    /// Tokens of a text embedding.
    pub tokens: usize,
}

impl<'a> Networks<'a> {
    /// # Errors
    /// Missing or misshapen tensors.
    pub fn build(checkpoint: &'a Checkpoint) -> Result<Self> {
        let builder = Builder::adaptable(&checkpoint.unet, Part::Unet);
        let unet = UNet::new(&builder, UNetConfig::of(&checkpoint.unet)?);
        let tokens = ClipTextConfig::of(&checkpoint.text_encoder)?.positions;
        Ok(Self { unet, built: builder.finish(SD_V1.name, "U-Net")?, tokens })
    }
}

/// Says what is odd about the checkpoint.
fn warn_about_checkpoint(config: &TrainConfig, checkpoint: &Checkpoint, tell: &mut Tell<'_>) {
    checkpoint.warnings().iter().for_each(|warning| say(tell, &format!("warning: {warning}")));
    let ours = config.prediction_type.name();
    if let Some(theirs) = checkpoint.prediction_type().filter(|theirs| *theirs != ours) {
        say(
            tell,
            &format!(
                "warning: the base model predicts {theirs}, but the configuration says {ours}; set prediction_type"
            ),
        );
    }
}

/// Builds the encoders without uploading them, so that whatever they lack is said before anything is computed.
fn check_encoders(checkpoint: &Checkpoint) -> Result<()> {
    let builder = Builder::new(&checkpoint.text_encoder);
    ClipText::new(&builder, ClipTextConfig::of(&checkpoint.text_encoder)?);
    builder.finish(SD_V1.name, "text encoder")?;
    let builder = Builder::new(&checkpoint.vae);
    VaeEncoder::new(&builder, VaeConfig::of(&checkpoint.vae)?);
    builder.finish(SD_V1.name, "VAE")?;
    Ok(())
}

/// Reads `network_weights`; all modules of the base model count as known, so that a text encoder's part is recognized.
pub(super) fn read_initial(path: &Path, checkpoint: &Checkpoint, tell: &mut Tell<'_>) -> Result<Vec<AdapterModule>> {
    let contents = lora::read(path, &KnownModules::of(checkpoint)?.modules).context("network_weights")?;
    contents.warnings.iter().for_each(|warning| say(tell, &format!("warning: {warning}")));
    let (unet, text): (Vec<_>, Vec<_>) =
        contents.modules.into_iter().partition(|module| module.site.part == Part::Unet);
    if !text.is_empty() {
        say(
            tell,
            &format!(
                "warning: network_weights: {} text encoder modules are left out: only the U-Net is trained",
                text.len()
            ),
        );
    }
    Ok(unet.into_iter().map(AdapterModule::from).collect())
}

/// Says how large the adapters are.
pub(super) fn say_adapters(trained: &Trained, config: &TrainConfig, tell: &mut Tell<'_>) {
    let adapters = &trained.adapters;
    say(
        tell,
        &format!(
            "LoRA: {} modules, {} parameters, rank {}, alpha {} (strength alpha/rank = {})",
            adapters.module_count(),
            adapters.store.parameter_count(),
            config.lora_rank,
            config.lora_alpha,
            config.lora_alpha / f64::from(config.lora_rank),
        ),
    );
}

/// Uploads the U-Net, counting megabytes.
pub(super) fn upload_unet(gpu: &Gpu, built: &Built<'_>, tell: &mut Tell<'_>) -> Result<()> {
    let megabytes = |bytes: u64| (bytes / 1_000_000) as usize;
    let of = megabytes(built.bytes());
    let mut uploaded = 0;
    built.upload(gpu, |bytes| {
        uploaded += bytes;
        tell(&Event::Phase { items: "MB of the U-Net loaded", done: megabytes(uploaded), of });
    })?;
    tell(&Event::Phase { items: "MB of the U-Net loaded", done: of, of });
    Ok(())
}
