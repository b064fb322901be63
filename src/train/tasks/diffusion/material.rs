//! What a run is made of, opened and checked before anything is computed: pictures, captions, checkpoint, networks.

use std::{collections::HashSet, path::Path, rc::Rc};

use anyhow::{Context, Result};

use crate::{
    config::TrainConfig,
    data::{dataset::Example, sheet::DataSheet, split::Split, tokenizer::ClipTokenizer},
    families::SD_V1,
    gpu::Gpu,
    models::{ClipText, ClipTextConfig, UNet, VaeConfig, VaeEncoder, adaptable},
    nn::{Builder, Built},
    train::events::{Event, Tell, say},
    weights::{
        Checkpoint,
        lora::{self, AdapterModule, Part, Site},
    },
};

use super::{
    assembly::Trained,
    data::{choose_split, open_dataset, say_split},
    settings::{rules, text_chunks},
    step::TrainedText,
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

/// The networks of a run, built but not uploaded.
pub(super) struct Networks<'a> {
    pub unet: UNet,
    unet_built: Built<'a>,
    /// Where it is trained; else text is encoded once, before training.
    pub text: Option<Rc<ClipText<'a>>>,
    text_built: Option<Built<'a>>,
    pub text_config: ClipTextConfig,
}

impl<'a> Networks<'a> {
    /// # Errors
    /// Missing or misshapen tensors.
    pub fn build(config: &TrainConfig, checkpoint: &'a Checkpoint) -> Result<Self> {
        let rules = rules(config, 0);
        let (unet, mut unet_built) = adaptable::unet(checkpoint)?;
        if rules.unet.is_none() {
            unet_built.sites.clear();
        }
        let text_config = ClipTextConfig::of(&checkpoint.text_encoder)?;
        let (mut text, mut text_built) = (None, None);
        if rules.text.is_some() {
            let (model, built) = adaptable::text_encoder(checkpoint)?;
            (text, text_built) = (Some(Rc::new(model)), Some(built));
        }
        Ok(Self { unet, unet_built, text, text_built, text_config })
    }

    /// Layers that adapters may stand on, the text encoder's first.
    pub fn sites(&self) -> Vec<Site> {
        self.built().flat_map(|built| built.sites.iter().cloned()).collect()
    }

    fn built(&self) -> impl Iterator<Item = &Built<'a>> {
        self.text_built.iter().chain([&self.unet_built])
    }

    /// Bytes of device memory that the weights take.
    pub fn bytes(&self) -> u64 {
        self.built().map(Built::bytes).sum()
    }

    /// The text encoder as a step records it, where it is trained.
    pub fn trained_text(&self, config: &TrainConfig) -> Option<TrainedText<'_>> {
        self.text.as_deref().map(|model| TrainedText { model, clip_skip: config.clip_skip as usize })
    }

    /// Tokens of a text embedding.
    pub fn tokens(&self, config: &TrainConfig) -> usize {
        self.text_config.tokens(text_chunks(config))
    }

    /// Uploads all weights, counting megabytes.
    ///
    /// # Errors
    /// A tensor that holds a value that is not finite; a failure of the device.
    pub fn upload(&self, gpu: &Gpu, tell: &mut Tell<'_>) -> Result<()> {
        const ITEMS: &str = "MB of the base model loaded";
        let megabytes = |bytes: u64| (bytes / 1_000_000) as usize;
        let of = megabytes(self.bytes());
        let mut uploaded = 0;
        for built in self.built() {
            built.upload(gpu, |bytes| {
                uploaded += bytes;
                tell(&Event::Phase { items: ITEMS, done: megabytes(uploaded), of });
            })?;
        }
        tell(&Event::Phase { items: ITEMS, done: of, of });
        Ok(())
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

/// Reads `network_weights`: the adapters that stand on `sites`; what is there for a network that is not trained is said.
pub(super) fn read_initial(
    path: &Path,
    networks: &Networks<'_>,
    checkpoint: &Checkpoint,
    tell: &mut Tell<'_>,
) -> Result<Vec<AdapterModule>> {
    let contents = lora::read_adapters(path, &adaptable::sites(checkpoint)?).context("network_weights")?;
    contents.warnings.iter().for_each(|warning| say(tell, &format!("warning: {warning}")));
    let parts: HashSet<Part> = networks.sites().iter().map(|site| site.part).collect();
    let is_trained = |module: &AdapterModule| parts.contains(&module.site.part);
    let (trained, left): (Vec<_>, Vec<_>) = contents.modules.into_iter().partition(is_trained);
    if let Some(first) = left.first() {
        let (network, trained) = match first.site.part {
            Part::TextEncoder => ("text encoder", "U-Net"),
            Part::Unet => ("U-Net", "text encoder"),
        };
        let count = left.len();
        say(
            tell,
            &format!("warning: network_weights: {count} {network} modules are left out: only the {trained} is trained"),
        );
    }
    Ok(trained)
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
