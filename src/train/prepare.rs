//! From pictures and captions to latents and text embeddings, computed once; the encoders are gone before training.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result, ensure};

use crate::{
    config::TrainConfig,
    data::{
        dataset::Example,
        image::{prepare, to_model_input},
        latent_cache::{CacheKey, LatentCache},
        tokenizer::{ClipTokenizer, END_TOKEN},
    },
    gpu::Gpu,
    models::SCALING_FACTOR,
    weights::{Checkpoint, PartTensors},
};

use super::{
    counter::Counter,
    encode::{LatentEncoder, TextEncoder},
};

/// Prompts encoded at once.
const TEXT_BATCH: usize = 8;

/// Everything training reads of the data set.
pub struct PreparedData {
    /// Scaled latents of each example, (H, W, 4).
    pub latents: Vec<Vec<f32>>,
    /// Text embeddings of the distinct captions, (tokens, width).
    contexts: Vec<Vec<f32>>,
    /// Each example's place in `contexts`.
    context_of: Vec<usize>,
    pub tokens: usize,
}

impl PreparedData {
    /// Encodes all examples, or takes them from the cache.
    ///
    /// # Errors
    /// A picture that does not decode, named; latents that are not finite; a failure of the device or the disk.
    pub fn new(
        gpu: &Gpu,
        checkpoint: &Checkpoint,
        config: &TrainConfig,
        examples: &[Example],
        tokenizer: &ClipTokenizer,
    ) -> Result<Self> {
        let (captions, context_of) = distinct_captions(examples);
        let (contexts, tokens) = encode_captions(gpu, checkpoint, config, &captions, tokenizer)?;
        let latents = encode_pictures(gpu, checkpoint, config, examples)?;
        Ok(Self { latents, contexts, context_of, tokens })
    }

    /// The text embedding of an example.
    pub fn context(&self, example: usize) -> &[f32] {
        &self.contexts[self.context_of[example]]
    }
}

fn distinct_captions(examples: &[Example]) -> (Vec<&str>, Vec<usize>) {
    let mut captions = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let places = examples.iter().map(|example| {
        *places.entry(&example.caption).or_insert_with(|| {
            captions.push(example.caption.as_str());
            captions.len() - 1
        })
    });
    let context_of = places.collect();
    (captions, context_of)
}

fn encode_captions(
    gpu: &Gpu,
    checkpoint: &Checkpoint,
    config: &TrainConfig,
    captions: &[&str],
    tokenizer: &ClipTokenizer,
) -> Result<(Vec<Vec<f32>>, usize)> {
    let batch = captions.len().min(TEXT_BATCH);
    let encoder = TextEncoder::new(gpu, &checkpoint.text_encoder, batch)?;
    let length = encoder.tokens();
    let mut counter = Counter::new("captions encoded", captions.len());
    let mut contexts = Vec::with_capacity(captions.len());
    for chunk in captions.chunks(batch) {
        let mut ids = Vec::with_capacity(batch * length);
        for caption in chunk {
            ids.extend(tokenizer.encode(caption)?.ids);
        }
        ids.resize(batch * length, END_TOKEN);
        let states = encoder.encode(gpu, &ids)?;
        let context = if config.clip_skip == 2 { states.skip2 } else { states.last };
        contexts.extend(context.chunks_exact(length * encoder.width()).take(chunk.len()).map(<[f32]>::to_vec));
        counter.add(chunk.len());
    }
    counter.finish();
    for (caption, context) in captions.iter().zip(&contexts) {
        ensure!(all_finite(context), "the text encoder gives values that are not finite for the caption {caption:?}");
    }
    Ok((contexts, length))
}

fn encode_pictures(
    gpu: &Gpu,
    checkpoint: &Checkpoint,
    config: &TrainConfig,
    examples: &[Example],
) -> Result<Vec<Vec<f32>>> {
    let size = (config.resolution.width as usize, config.resolution.height as usize);
    let mut encoder = PictureEncoder { gpu, vae: &checkpoint.vae, size, compiled: None };
    let mut kept = config.cache_latents_to_disk.then(|| KeptLatents::open(config, &checkpoint.vae)).transpose()?;
    let mut counter = Counter::new("pictures encoded", examples.len());
    let mut latents = Vec::with_capacity(examples.len());
    for Example { path, .. } in examples {
        latents.push(match &mut kept {
            Some(kept) => kept.get_or_encode(path, &mut encoder)?,
            None => encoder.encode(path)?,
        });
        counter.add(1);
    }
    let notes = kept.map(|mut kept| kept.cache.take_notes()).unwrap_or_default();
    notes.iter().for_each(|note| counter.line(&format!("note: {note}")));
    counter.finish();
    Ok(latents)
}

/// Latents of earlier runs, and the fingerprint of the VAE that they must be of.
struct KeptLatents {
    cache: LatentCache,
    model: String,
}

impl KeptLatents {
    fn open(config: &TrainConfig, vae: &PartTensors) -> Result<Self> {
        Ok(Self { cache: LatentCache::open(&config.output_dir.join("cache"))?, model: fingerprint(vae) })
    }

    fn get_or_encode(&mut self, path: &Path, encoder: &mut PictureEncoder) -> Result<Vec<f32>> {
        let (width, height) = encoder.size;
        let key = CacheKey::for_picture(path, encoder.size, &self.model)?;
        if let Some(latents) = self.cache.get(&key) {
            return Ok(latents);
        }
        let latents = encoder.encode(path)?;
        self.cache.put(&key, &[height / 8, width / 8, 4], &latents)?;
        Ok(latents)
    }
}

/// The VAE's encoder at the training size, compiled for the first picture that needs it.
struct PictureEncoder<'a> {
    gpu: &'a Gpu,
    vae: &'a PartTensors,
    size: (usize, usize),
    compiled: Option<LatentEncoder>,
}

impl PictureEncoder<'_> {
    /// The mean of a picture's latents, scaled.
    fn encode(&mut self, path: &Path) -> Result<Vec<f32>> {
        let (width, height) = self.size;
        let encoder = match &mut self.compiled {
            Some(encoder) => encoder,
            empty => empty.insert(LatentEncoder::new(self.gpu, self.vae, width, height)?),
        };
        let moments = encoder.encode(self.gpu, &to_model_input(&prepare(path, width, height)?))?;
        let latents: Vec<f32> = moments.mean.iter().map(|mean| mean * SCALING_FACTOR).collect();
        ensure!(all_finite(&latents), "the VAE gives values that are not finite for {}", path.display());
        Ok(latents)
    }
}

fn all_finite(values: &[f32]) -> bool {
    values.iter().all(|value| value.is_finite())
}

/// Tells one VAE from another by its weights, for cached latents.
fn fingerprint(part: &PartTensors) -> String {
    let mut hasher = blake3::Hasher::new();
    for name in part.names() {
        if let Some(tensor) = part.get(name) {
            hasher.update(name.as_bytes()).update(tensor.bytes);
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// Checks that `folder` can be written before anything expensive happens.
///
/// # Errors
/// A folder that cannot be created or written.
pub fn check_writable(folder: &Path) -> Result<()> {
    let attempt = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        tempfile::NamedTempFile::new_in(folder).map(drop)
    };
    attempt().with_context(|| format!("output_dir: {} cannot be written", folder.display()))
}
