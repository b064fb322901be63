//! From pictures and captions to latents and text embeddings, computed once; the encoders are gone before training.

use std::{
    collections::HashMap,
    path::Path,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    config::TrainConfig,
    data::{
        dataset::Example,
        image::{load_at_size, to_model_input},
        latent_cache::CacheKey,
        tokenizer::END_TOKEN,
    },
    families::SD_V1,
    gpu::Gpu,
    models::encode::{LatentEncoder, TextEncoder},
    size::Size,
    train::events::{Event, Tell, say},
    weights::{Checkpoint, PartTensors},
};

use super::{
    kept::Kept,
    masks::load_masks,
    material::{Material, Networks},
    settings::text_chunks,
};

/// Prompts encoded at once.
const TEXT_BATCH: usize = 8;

/// Pictures that wait for the VAE, decoded and resized.
const PICTURES_AHEAD: usize = 2;

/// Everything training reads of the data set.
pub struct EncodedData {
    /// Scaled latents of each example, (H, W, 4).
    pub latents: Vec<Vec<f32>>,
    /// How much each pixel of an example's latents counts, (H, W); nothing where no loss is masked.
    masks: Vec<Vec<f32>>,
    /// Of the distinct captions: text embeddings, (tokens, width), or embedded tokens for an encoder that is trained.
    texts: Vec<Vec<f32>>,
    /// Each example's place in `texts`.
    text_of: Vec<usize>,
}

impl EncodedData {
    /// Encodes all examples, or takes them from the cache.
    ///
    /// # Errors
    /// A picture or mask that does not decode, named; latents that are not finite; a failure of the device or the disk.
    pub fn new(
        gpu: &Gpu,
        material: &Material,
        networks: &Networks<'_>,
        config: &TrainConfig,
        tell: &mut Tell<'_>,
    ) -> Result<Self> {
        let (captions, text_of) = distinct_captions(&material.examples);
        let ids = |caption: &&str| material.tokenizer.encode_chunks(caption, text_chunks(config));
        let ids: Vec<Vec<u32>> = captions.iter().map(ids).collect::<Result<_>>()?;
        let texts = match &networks.text {
            Some(model) => ids.iter().map(|ids| model.embed(ids, model.config.positions)).collect::<Result<_>>()?,
            None => encode_captions(gpu, &material.checkpoint, config, (&captions, &ids), tell)?,
        };
        let masks = load_masks(&material.examples, config, tell)?;
        let latents = encode_pictures(gpu, material, config, tell)?;
        Ok(Self { latents, masks, texts, text_of })
    }

    /// The mask of an example, (H, W); empty where no loss is masked.
    pub fn mask(&self, example: usize) -> &[f32] {
        self.masks.get(example).map_or(&[], Vec::as_slice)
    }

    /// The text input of an example.
    pub fn text(&self, example: usize) -> &[f32] {
        &self.texts[self.text_of[example]]
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
    let text_of = places.collect();
    (captions, text_of)
}

/// Text embeddings of captions, whose ids are given for each pass of the encoder.
fn encode_captions(
    gpu: &Gpu,
    checkpoint: &Checkpoint,
    config: &TrainConfig,
    (captions, ids): (&[&str], &[Vec<u32>]),
    tell: &mut Tell<'_>,
) -> Result<Vec<Vec<f32>>> {
    let passes: Vec<u32> = ids.concat();
    let chunks = text_chunks(config);
    let batch = (captions.len() * chunks).min(TEXT_BATCH);
    let encoder = TextEncoder::new(gpu, &checkpoint.text_encoder, batch)?;
    let (length, width) = (encoder.tokens(), encoder.width());
    let phase = |done| Event::Phase { items: "captions encoded", done, of: captions.len() };
    tell(&phase(0));
    let mut states: Vec<f32> = Vec::with_capacity(passes.len() * width);
    for pass in passes.chunks(batch * length) {
        let mut ids = pass.to_vec();
        ids.resize(batch * length, END_TOKEN);
        let context = encoder.encode(gpu, &ids, config.clip_skip as usize)?;
        states.extend(&context[..pass.len() * width]);
        tell(&phase(states.len() / (chunks * length * width)));
    }
    let contexts = states.chunks_exact(chunks * length * width).map(|states| joined(states, chunks, width));
    let contexts: Vec<Vec<f32>> = contexts.collect();
    for (caption, context) in captions.iter().zip(&contexts) {
        ensure!(all_finite(context), "the text encoder gives values that are not finite for the caption {caption:?}");
    }
    Ok(contexts)
}

/// What [`ops::join_chunks`](crate::ops::join_chunks) makes of one text's states.
fn joined(states: &[f32], chunks: usize, width: usize) -> Vec<f32> {
    let pass = states.len() / chunks;
    let inner = states.chunks_exact(pass).flat_map(|states| &states[width..pass - width]);
    let (first, last) = (&states[..width], &states[states.len() - width..]);
    first.iter().chain(inner).chain(last).copied().collect()
}

fn encode_pictures(gpu: &Gpu, material: &Material, config: &TrainConfig, tell: &mut Tell<'_>) -> Result<Vec<Vec<f32>>> {
    let Material { examples, checkpoint, .. } = material;
    let size = config.resolution;
    let keys = || {
        let model = fingerprint(&checkpoint.vae);
        examples.iter().map(|example| CacheKey::for_picture(&example.path, size, &model)).collect()
    };
    let mut kept = Kept::open(config, examples.len(), keys)?;
    let phase = |done| Event::Phase { items: "pictures encoded", done, of: examples.len() };
    kept.notes().iter().for_each(|note| say(tell, &format!("note: {note}")));
    let missing = kept.missing();
    let mut done = examples.len() - missing.len();
    tell(&phase(done));
    if !missing.is_empty() {
        let encoder = LatentEncoder::new(gpu, &checkpoint.vae, size)?;
        let latent = size.cells(SD_V1.latent.cell);
        let paths: Vec<&Path> = missing.iter().map(|&index| examples[index].path.as_path()).collect();
        let start = Instant::now();
        let waited = for_each_picture(&paths, size, |at, picture| {
            let latents = encode(gpu, &encoder, paths[at], &picture)?;
            kept.put(missing[at], &[latent.height, latent.width, SD_V1.latent.channels], latents)?;
            done += 1;
            tell(&phase(done));
            Ok(())
        })?;
        say(tell, &in_words(paths.len(), start.elapsed(), waited));
    }
    Ok(kept.all())
}

/// How long `count` pictures took, and how much of it the device had none to encode.
fn in_words(count: usize, took: Duration, waited: Duration) -> String {
    let share = 100.0 * waited.as_secs_f64() / took.as_secs_f64().max(1e-9);
    format!(
        "{count} pictures encoded in {:.0} s, {share:.0} % of it waiting for them to be decoded",
        took.as_secs_f64()
    )
}

/// Hands every picture, ready for the VAE, to `take` with its place in `paths`, in order. The next ones are decoded
/// meanwhile, one at a time; the answer is how long `take` had to wait for them.
fn for_each_picture(
    paths: &[&Path],
    size: Size,
    mut take: impl FnMut(usize, Vec<f32>) -> Result<()>,
) -> Result<Duration> {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(PICTURES_AHEAD);
        scope.spawn(move || {
            for path in paths {
                let picture = load_at_size(path, size).map(|picture| to_model_input(&picture));
                // Nobody takes more once one has failed.
                if sender.send(picture).is_err() {
                    return;
                }
            }
        });
        let mut waited = Duration::ZERO;
        for at in 0..paths.len() {
            let start = Instant::now();
            let picture = receiver.recv().expect("one for each path")?;
            waited += start.elapsed();
            take(at, picture)?;
        }
        Ok(waited)
    })
}

/// The mean of a picture's latents, scaled.
fn encode(gpu: &Gpu, encoder: &LatentEncoder, path: &Path, picture: &[f32]) -> Result<Vec<f32>> {
    let moments = encoder.encode(gpu, picture)?;
    let latents: Vec<f32> = moments.mean.iter().map(|mean| mean * SD_V1.latent.scale).collect();
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
