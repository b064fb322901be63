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
        latent_cache::{CacheKey, LatentCache},
        tokenizer::END_TOKEN,
    },
    families::SD_V1,
    gpu::Gpu,
    models::encode::{LatentEncoder, TextEncoder},
    size::Size,
    train::events::{Event, Tell, say},
    weights::PartTensors,
};

use super::material::Material;

/// Prompts encoded at once.
const TEXT_BATCH: usize = 8;

/// Pictures that wait for the VAE, decoded and resized.
const PICTURES_AHEAD: usize = 2;

/// Everything training reads of the data set.
pub struct EncodedData {
    /// Scaled latents of each example, (H, W, 4).
    pub latents: Vec<Vec<f32>>,
    /// Text embeddings of the distinct captions, (tokens, width).
    contexts: Vec<Vec<f32>>,
    /// Each example's place in `contexts`.
    context_of: Vec<usize>,
}

impl EncodedData {
    /// Encodes all examples, or takes them from the cache.
    ///
    /// # Errors
    /// A picture that does not decode, named; latents that are not finite; a failure of the device or the disk.
    pub fn new(gpu: &Gpu, material: &Material, config: &TrainConfig, tell: &mut Tell<'_>) -> Result<Self> {
        let (captions, context_of) = distinct_captions(&material.examples);
        let contexts = encode_captions(gpu, material, config, &captions, tell)?;
        let latents = encode_pictures(gpu, material, config, tell)?;
        Ok(Self { latents, contexts, context_of })
    }

    /// The text embedding of an example.
    pub fn text(&self, example: usize) -> &[f32] {
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
    material: &Material,
    config: &TrainConfig,
    captions: &[&str],
    tell: &mut Tell<'_>,
) -> Result<Vec<Vec<f32>>> {
    let batch = captions.len().min(TEXT_BATCH);
    let encoder = TextEncoder::new(gpu, &material.checkpoint.text_encoder, batch)?;
    let length = encoder.tokens();
    let phase = |done| Event::Phase { items: "captions encoded", done, of: captions.len() };
    tell(&phase(0));
    let mut contexts = Vec::with_capacity(captions.len());
    for chunk in captions.chunks(batch) {
        let mut ids = Vec::with_capacity(batch * length);
        for caption in chunk {
            ids.extend(material.tokenizer.encode(caption)?.ids);
        }
        ids.resize(batch * length, END_TOKEN);
        let context = encoder.encode(gpu, &ids, config.clip_skip as usize)?;
        contexts.extend(context.chunks_exact(length * encoder.width()).take(chunk.len()).map(<[f32]>::to_vec));
        tell(&phase(contexts.len()));
    }
    for (caption, context) in captions.iter().zip(&contexts) {
        ensure!(all_finite(context), "the text encoder gives values that are not finite for the caption {caption:?}");
    }
    Ok(contexts)
}

fn encode_pictures(gpu: &Gpu, material: &Material, config: &TrainConfig, tell: &mut Tell<'_>) -> Result<Vec<Vec<f32>>> {
    let Material { examples, checkpoint, .. } = material;
    let size = config.resolution;
    let mut kept = match config.cache_latents_to_disk {
        true => KeptLatents::open(config, &checkpoint.vae, size, examples)?,
        false => KeptLatents::none(examples.len()),
    };
    let phase = |done| Event::Phase { items: "pictures encoded", done, of: examples.len() };
    kept.notes().iter().for_each(|note| say(tell, &format!("note: {note}")));
    let missing: Vec<usize> = (0..examples.len()).filter(|&index| kept.latents[index].is_none()).collect();
    let mut done = examples.len() - missing.len();
    tell(&phase(done));
    if !missing.is_empty() {
        let encoder = LatentEncoder::new(gpu, &checkpoint.vae, size)?;
        let paths: Vec<&Path> = missing.iter().map(|&index| examples[index].path.as_path()).collect();
        let start = Instant::now();
        let waited = for_each_picture(&paths, size, |at, picture| {
            let latents = encode(gpu, &encoder, paths[at], &picture)?;
            kept.put(missing[at], latents, size)?;
            done += 1;
            tell(&phase(done));
            Ok(())
        })?;
        say(tell, &in_words(paths.len(), start.elapsed(), waited));
    }
    Ok(kept.latents.into_iter().map(|latents| latents.expect("all pictures are encoded")).collect())
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

/// Latents of the examples as far as they are known, and where new ones are kept for later runs.
struct KeptLatents {
    latents: Vec<Option<Vec<f32>>>,
    disk: Option<(LatentCache, Vec<CacheKey>)>,
}

impl KeptLatents {
    /// Nothing is known yet, and nothing is kept.
    fn none(count: usize) -> Self {
        Self { latents: vec![None; count], disk: None }
    }

    /// What earlier runs with the same VAE have left.
    fn open(config: &TrainConfig, vae: &PartTensors, size: Size, examples: &[Example]) -> Result<Self> {
        let mut cache = LatentCache::open(&config.output_dir.join("cache"))?;
        let model = fingerprint(vae);
        let keys = examples.iter().map(|example| CacheKey::for_picture(&example.path, size, &model));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let latents = keys.iter().map(|key| cache.get(key)).collect();
        Ok(Self { latents, disk: Some((cache, keys)) })
    }

    fn notes(&mut self) -> Vec<String> {
        self.disk.as_mut().map(|(cache, _)| cache.take_notes()).unwrap_or_default()
    }

    fn put(&mut self, index: usize, latents: Vec<f32>, size: Size) -> Result<()> {
        if let Some((cache, keys)) = &mut self.disk {
            let size = size.cells(SD_V1.latent.cell);
            cache.put(&keys[index], &[size.height, size.width, SD_V1.latent.channels], &latents)?;
        }
        self.latents[index] = Some(latents);
        Ok(())
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
