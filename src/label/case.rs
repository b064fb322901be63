//! Recorded captions and embeddings: what transformers makes of given pixels, for `check`.

use anyhow::{Context, Result, bail, ensure};

use crate::{
    data::{tokenizer::END_TOKEN, vision_input::patches},
    gpu::Gpu,
    models::VisionConfig,
    nn::nchw_to_nhwc,
    weights::{ModelFolder, ModelKind, OwnedTensor, SafetensorsFile},
};

use super::{
    captioner::{BlipParts, Captioner},
    generate::{GenerationOptions, Marks, generate},
    tagger::{ClipParts, ImageEmbedder, embed_prompts},
};

/// What a case gives; everything else in its file is what transformers made of it.
pub const GIVEN: [&str; 4] = ["pixel_values", "text_ids", "input_ids", "attention_mask"];

/// Recorded captions, the prompt each was begun with, the beams, and the tokens that were added to the prompt.
const CAPTIONS: [(&str, &[u32], usize, usize); 3] =
    [("gen_greedy", &[], 1, 12), ("gen_beam3", &[], 3, 12), ("gen_prompt_greedy", &[108, 110], 1, 8)];
/// What captions are padded with to the length of the longest.
const PADDING: u32 = 0;

/// A recorded case of a captioner or of a tagger.
pub struct LabelCase {
    pictures: Vec<Vec<f32>>, // (S, S, 3) each
    size: usize,
    kind: ModelKind,
    /// (rows, tokens): beginnings whose logits are recorded, or prompts.
    ids: Vec<Vec<u32>>,
}

impl LabelCase {
    /// Whether `file` holds such a case.
    pub fn is_one(file: &SafetensorsFile) -> bool {
        file.get("pixel_values").is_some()
    }

    /// Reads a case.
    ///
    /// # Errors
    /// A tensor that is missing or something else than expected.
    pub fn read(file: &SafetensorsFile) -> Result<Self> {
        Self::of(file).with_context(|| format!("{} is no case of a captioner or tagger", file.path().display()))
    }

    fn of(file: &SafetensorsFile) -> Result<Self> {
        let pixels = file.require("pixel_values")?;
        let &[_, 3, size, width] = pixels.shape else { bail!("`pixel_values` has the shape {:?}", pixels.shape) };
        ensure!(size == width, "`pixel_values` has the shape {:?}", pixels.shape);
        let (kind, ids) = match file.get("text_ids") {
            Some(_) => (ModelKind::BlipCaptioner, "text_ids"),
            None => (ModelKind::Clip, "input_ids"),
        };
        let pixels = nchw_to_nhwc(&pixels.to_f32()?, 3, size * size);
        let pictures: Vec<Vec<f32>> = pixels.chunks_exact(3 * size * size).map(<[f32]>::to_vec).collect();
        ensure!(!pictures.is_empty(), "`pixel_values` holds no picture");
        Ok(Self { pictures, size, kind, ids: rows_of(file, ids)? })
    }

    /// Computes what the case's file records, with the model in `folder`.
    ///
    /// # Errors
    /// A model of another kind, or one that the case does not fit; a failure of the device.
    pub fn run(&self, gpu: &Gpu, folder: &ModelFolder) -> Result<Vec<OwnedTensor>> {
        match self.kind {
            ModelKind::BlipCaptioner => self.caption(gpu, folder),
            ModelKind::Clip => self.tag(gpu, folder),
        }
    }

    /// What kind of model it was recorded with.
    pub fn kind(&self) -> ModelKind {
        self.kind
    }

    fn patches(&self, config: &VisionConfig) -> Result<impl Iterator<Item = Vec<f32>> + use<'_>> {
        let (ours, patch) = (config.image_size(), config.patch);
        ensure!(ours == self.size, "the case's pictures are {} pixels wide, the model's {ours}", self.size);
        Ok(self.pictures.iter().map(move |picture| patches(picture, ours, patch)))
    }

    fn caption(&self, gpu: &Gpu, folder: &ModelFolder) -> Result<Vec<OwnedTensor>> {
        let parts = BlipParts::open(folder)?;
        let mut captioner = Captioner::new(gpu, &parts, 1, self.ids.iter().map(Vec::len).max().unwrap_or(1))?;
        let (mut embeds, mut logits) = (Vec::new(), Vec::new());
        for (patches, ids) in self.patches(captioner.image())?.zip(&self.ids) {
            captioner.look(gpu, &patches);
            embeds.extend(captioner.image_embeds(gpu)?);
            for &token in ids {
                logits.extend(captioner.next(gpu, &[token], &[0])?);
            }
        }
        let (pictures, config) = (self.pictures.len(), captioner.image().clone());
        let tokens = self.ids.first().map_or(0, Vec::len);
        let vocabulary = logits.len() / (pictures * tokens);
        let mut recorded = vec![
            OwnedTensor::f32("image_embeds", &embeds, &[pictures, config.tokens(), config.width]),
            OwnedTensor::f32("logits", &logits, &[pictures, tokens, vocabulary]),
        ];
        for (name, prompt, num_beams, added) in CAPTIONS {
            let prompt: Vec<u32> = [parts.begin].iter().chain(prompt).copied().collect();
            let max_length = prompt.len() + added;
            let mut captioner = Captioner::new(gpu, &parts, num_beams, max_length)?;
            let options =
                GenerationOptions { num_beams, min_length: 0, max_length, repetition_penalty: 1.0, nucleus: None };
            let mut captions = Vec::new();
            for patches in self.patches(captioner.image())? {
                captioner.look(gpu, &patches);
                let mut next = |tokens: &[u32], parents: &[usize]| captioner.next(gpu, tokens, parents);
                let marks = Marks { end: parts.end };
                captions.push(generate(&prompt, &options, &marks, &mut || 0.0, &mut next)?);
            }
            recorded.push(padded_ids(name, &captions));
        }
        Ok(recorded)
    }

    fn tag(&self, gpu: &Gpu, folder: &ModelFolder) -> Result<Vec<OwnedTensor>> {
        let parts = ClipParts::open(folder)?;
        let embedder = ImageEmbedder::new(gpu, &parts)?;
        let images = self.patches(embedder.image())?.map(|patches| embedder.embed(gpu, &patches));
        let images: Vec<Vec<f32>> = images.collect::<Result<_>>()?;
        let prompts: Vec<Vec<u32>> = self.ids.iter().map(|ids| inner_tokens(ids)).collect();
        let prompts = embed_prompts(gpu, &parts, &prompts, |_| {})?;
        let scale = parts.logit_scale()?;
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let logits: Vec<f32> =
            images.iter().flat_map(|image| prompts.iter().map(move |prompt| scale * product(image, prompt))).collect();
        let matrix = |name: &str, rows: &[Vec<f32>]| {
            OwnedTensor::f32(name, &rows.concat(), &[rows.len(), rows.first().map_or(0, Vec::len)])
        };
        Ok(vec![
            matrix("image_embeds", &images),
            matrix("text_embeds", &prompts),
            OwnedTensor::f32("logits_per_image", &logits, &[images.len(), prompts.len()]),
        ])
    }
}

/// The rows of a matrix of tokens.
fn rows_of(file: &SafetensorsFile, name: &str) -> Result<Vec<Vec<u32>>> {
    let &[_, columns] = file.require(name)?.shape else { bail!("`{name}` is no matrix") };
    let ids: Vec<u32> = file.integers(name)?.into_iter().map(u32::try_from).collect::<Result<_, _>>()?;
    ensure!(columns > 0, "`{name}` is empty");
    Ok(ids.chunks_exact(columns).map(<[u32]>::to_vec).collect())
}

/// The tokens between begin and end mark.
fn inner_tokens(ids: &[u32]) -> Vec<u32> {
    ids.iter().skip(1).copied().take_while(|&id| id != END_TOKEN).collect()
}

fn padded_ids(name: &str, captions: &[Vec<u32>]) -> OwnedTensor {
    let longest = captions.iter().map(Vec::len).max().unwrap_or(0);
    let padded = |caption: &Vec<u32>| {
        let mut caption = caption.clone();
        caption.resize(longest, PADDING);
        caption
    };
    let ids: Vec<i64> = captions.iter().flat_map(padded).map(i64::from).collect();
    OwnedTensor::i64(name, &ids, &[captions.len(), longest])
}
