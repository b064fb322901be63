//! CLIP on the device: unit vectors of pictures and of prompts, whose products tell how well they fit.

use anyhow::{Context, Result};

use crate::{
    data::tokenizer::{BEGIN_TOKEN, END_TOKEN},
    gpu::Gpu,
    models::{ClipImage, ClipPrompt, VisionConfig},
    nn::Builder,
    tape::{Input, Program, Tape},
    weights::{ModelFolder, PartTensors},
};

/// Prompts that are embedded at once.
const BATCH: usize = 16;

/// CLIP's weights.
pub struct ClipParts {
    vision: PartTensors,
    text: PartTensors,
}

impl ClipParts {
    /// # Errors
    /// A weight in a storage type that cannot be computed with.
    pub fn open(folder: &ModelFolder) -> Result<Self> {
        Ok(Self { vision: folder.part("vision_config")?, text: folder.part("text_config")? })
    }

    /// What similarities are multiplied by before they become probabilities.
    ///
    /// # Errors
    /// The model has none.
    pub fn logit_scale(&self) -> Result<f32> {
        let stored = self.text.get("logit_scale").context("the CLIP model lacks `logit_scale`")?;
        Ok(stored.to_f32()?.first().context("the CLIP model's `logit_scale` is empty")?.exp())
    }
}

/// CLIP's image encoder, compiled for one picture.
pub struct ImageEmbedder {
    config: VisionConfig,
    program: Program,
    patches: Input,
}

impl ImageEmbedder {
    /// Builds, uploads and compiles.
    ///
    /// # Errors
    /// Missing or misshapen tensors; a failure of the device.
    pub fn new(gpu: &Gpu, parts: &ClipParts) -> Result<Self> {
        let builder = Builder::new(&parts.vision);
        let model = ClipImage::new(&builder, &parts.vision)?;
        builder.finish("CLIP", "image encoder")?.upload(gpu, |_| {})?;
        let config = &model.vision.config;
        let mut tape = Tape::new();
        let patches = tape.input("patches", &[1, config.tokens(), config.patch_values()]);
        let positions = tape.input("positions", &[1, config.tokens(), config.width]);
        let embedded = model.forward(&mut tape, patches.value, positions.value);
        tape.keep("embedded", embedded);
        let program = Program::compile(gpu, "CLIP's image encoder", tape)?;
        program.write(gpu, positions, model.vision.table());
        Ok(Self { config: model.vision.config, program, patches })
    }

    /// Side and patch size of the pictures that it looks at, in pixels.
    pub fn image(&self) -> &VisionConfig {
        &self.config
    }

    /// The unit vector of a picture, given as [`VisionConfig::tokens`] patches.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn embed(&self, gpu: &Gpu, patches: &[f32]) -> Result<Vec<f32>> {
        self.program.write(gpu, self.patches, patches);
        self.program.replay(gpu);
        let tokens = self.program.read(gpu, "embedded")?;
        Ok(unit(&tokens[..tokens.len() / self.config.tokens()]))
    }
}

/// The unit vectors of `prompts`, each given as its tokens without marks.
///
/// # Errors
/// Missing or misshapen tensors; a token that the vocabulary lacks; a failure of the device.
pub fn embed_prompts(
    gpu: &Gpu,
    parts: &ClipParts,
    prompts: &[Vec<u32>],
    mut progress: impl FnMut(usize),
) -> Result<Vec<Vec<f32>>> {
    let builder = Builder::new(&parts.text);
    let model = ClipPrompt::new(&builder, &parts.text)?;
    builder.finish("CLIP", "text encoder")?.upload(gpu, |_| {})?;
    // A token sees those before it only: what follows the longest prompt's end mark need not be computed.
    let longest = prompts.iter().map(|prompt| prompt.len() + 2).max().unwrap_or(2);
    let length = longest.min(model.text.config.positions);
    let mut tape = Tape::new();
    let embedded = tape.input("embedded", &[BATCH, length, model.text.config.width]);
    let points = model.forward(&mut tape, embedded.value);
    tape.keep("points", points);
    let program = Program::compile(gpu, "CLIP's text encoder", tape)?;
    let mut vectors = Vec::with_capacity(prompts.len());
    for batch in prompts.chunks(BATCH) {
        let ids: Vec<u32> = batch.iter().flat_map(|prompt| marked(prompt, length)).collect();
        let mut rows = model.text.embed(&ids, length)?;
        rows.resize(BATCH * length * model.text.config.width, 0.0);
        program.write(gpu, embedded, &rows);
        program.replay(gpu);
        let points = program.read(gpu, "points")?;
        let width = points.len() / (BATCH * length);
        for (index, prompt) in batch.iter().enumerate() {
            let end = index * length + (prompt.len() + 1).min(length - 1);
            vectors.push(unit(&points[end * width..][..width]));
        }
        progress(batch.len());
    }
    Ok(vectors)
}

/// Begin mark, as many tokens as fit, end marks to `length`.
fn marked(prompt: &[u32], length: usize) -> Vec<u32> {
    let mut ids = vec![BEGIN_TOKEN];
    ids.extend(prompt.iter().take(length - 2));
    ids.resize(length, END_TOKEN);
    ids
}

/// `vector` at length 1.
pub(super) fn unit(vector: &[f32]) -> Vec<f32> {
    let norm = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    vector.iter().map(|&x| (f64::from(x) / norm) as f32).collect()
}
