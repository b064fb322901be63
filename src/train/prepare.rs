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
        let mut cache = if config.cache_latents_to_disk {
            LatentCache::on_disk(&config.output_dir.join("cache"))?
        } else {
            LatentCache::in_memory()
        };
        let (captions, context_of) = distinct_captions(examples);
        let (contexts, tokens) = encode_captions(gpu, checkpoint, config, &captions, tokenizer)?;
        let latents = encode_pictures(gpu, checkpoint, config, examples, &mut cache)?;
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
    cache: &mut LatentCache,
) -> Result<Vec<Vec<f32>>> {
    let size = (config.resolution.width as usize, config.resolution.height as usize);
    let model = if config.cache_latents_to_disk { fingerprint(&checkpoint.vae) } else { String::new() };
    let mut counter = Counter::new("pictures encoded", examples.len());
    let mut encoder = None;
    let mut latents = Vec::with_capacity(examples.len());
    for example in examples {
        let key = CacheKey::for_picture(&example.path, size, &model)?;
        let cached = cache.get(&key);
        let encoded = match cached {
            Some(values) => values,
            None => {
                let encoder = match &mut encoder {
                    Some(encoder) => encoder,
                    empty => empty.insert(LatentEncoder::new(gpu, &checkpoint.vae, size.0, size.1)?),
                };
                let values = encode_picture(gpu, encoder, &example.path, size)?;
                cache.put(&key, &[size.1 / 8, size.0 / 8, 4], &values)?;
                values
            }
        };
        latents.push(encoded);
        counter.add(1);
    }
    cache.take_notes().iter().for_each(|note| counter.line(&format!("note: {note}")));
    counter.finish();
    Ok(latents)
}

/// The mean of a picture's latents, scaled.
fn encode_picture(gpu: &Gpu, encoder: &LatentEncoder, path: &Path, size: (usize, usize)) -> Result<Vec<f32>> {
    let picture = prepare(path, size.0, size.1)?;
    let moments = encoder.encode(gpu, &to_model_input(&picture))?;
    let latents: Vec<f32> = moments.mean.iter().map(|mean| mean * SCALING_FACTOR).collect();
    ensure!(all_finite(&latents), "the VAE gives values that are not finite for {}", path.display());
    Ok(latents)
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
