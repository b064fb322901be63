//! Prompts to text embeddings: chunk by chunk, emphasis applied, with the text encoder's part of the LoRAs.

use std::{collections::HashMap, rc::Rc};

use anyhow::Result;

use crate::{
    data::tokenizer::{CONTEXT_LENGTH, ClipTokenizer},
    gpu::Gpu,
    models::encode::TextEncoder,
    weights::{Checkpoint, PartTensors, lora::Part},
};

use super::{
    animation::slerp,
    drawing::Drawing,
    lora_stack::LoraStack,
    loras::LoraSet,
    prompt::{
        chunks::{Chunk, chunks, pad_to_same_length},
        emphasis::apply_weights,
    },
};

/// What guides one picture: text embeddings of prompt and negative prompt, (tokens, D) each.
#[derive(Clone)]
pub struct Guide {
    pub prompt: Rc<[f32]>,
    pub negative: Rc<[f32]>,
    pub tokens: usize,
    /// Whether the shorter one got empty chunks.
    pub padded: bool,
}

/// Encodes the prompts of all drawings; the text encoder is on the device only meanwhile.
///
/// # Errors
/// A `clip_skip` that the encoder does not have; missing tensors; a failure of the device.
pub fn encode_prompts(
    gpu: &Gpu,
    checkpoint: &Checkpoint,
    tokenizer: &ClipTokenizer,
    loras: &LoraSet,
    drawings: &[Drawing],
) -> Result<Vec<Guide>> {
    if !loras.changes_weights(Part::TextEncoder) {
        return encode_with(gpu, &checkpoint.text_encoder, tokenizer, loras, drawings);
    }
    // What is no plain LoRA needs the text encoder built anew for other strengths.
    let mut guides = Vec::with_capacity(drawings.len());
    let strengths = |drawing: &Drawing| loras.strengths(Part::TextEncoder, &drawing.loras);
    for same in drawings.chunk_by(|one, next| strengths(one) == strengths(next)) {
        let tensors = loras.materialized(Part::TextEncoder, &checkpoint.text_encoder, &strengths(&same[0]))?;
        guides.extend(encode_with(gpu, &tensors, tokenizer, loras, same)?);
    }
    Ok(guides)
}

fn encode_with(
    gpu: &Gpu,
    tensors: &PartTensors,
    tokenizer: &ClipTokenizer,
    loras: &LoraSet,
    drawings: &[Drawing],
) -> Result<Vec<Guide>> {
    let stack = loras.stack(Part::TextEncoder);
    let encoder = TextEncoder::adapted(gpu, tensors, 1, |tape| stack.record(tape))?;
    stack.upload(gpu);
    guides(PromptEncoder { gpu, encoder: &encoder, stack, known: HashMap::new() }, tokenizer, loras, drawings)
}

/// Encodes the prompts of all drawings with an encoder that is on the device and adapted as it was recorded.
///
/// # Errors
/// As [`encode_prompts`].
pub fn encode_prompts_with(
    gpu: &Gpu,
    encoder: &TextEncoder<'_>,
    tokenizer: &ClipTokenizer,
    drawings: &[Drawing],
) -> Result<Vec<Guide>> {
    let loras = LoraSet::default();
    let stack = loras.stack(Part::TextEncoder);
    guides(PromptEncoder { gpu, encoder, stack, known: HashMap::new() }, tokenizer, &loras, drawings)
}

fn guides(
    mut encoder: PromptEncoder<'_>,
    tokenizer: &ClipTokenizer,
    loras: &LoraSet,
    drawings: &[Drawing],
) -> Result<Vec<Guide>> {
    let guide = |drawing: &Drawing| {
        let mut prompt = chunks(&drawing.prompt, tokenizer)?;
        let mut negative = chunks(&drawing.negative_prompt, tokenizer)?;
        let mut toward = drawing.toward.as_ref().map(|toward| chunks(&toward.prompt, tokenizer)).transpose()?;
        if let Some(toward) = &mut toward {
            pad_to_same_length(&mut prompt, toward);
        }
        let padded = pad_to_same_length(&mut prompt, &mut negative);
        let strengths = loras.strengths(Part::TextEncoder, &drawing.loras);
        let mut encode = |chunks: &[Chunk]| encoder.encode(chunks, &strengths, drawing.settings.clip_skip);
        let (mut states, negative) = (encode(&prompt)?, encode(&negative)?);
        if let Some((mut other, toward)) = toward.zip(drawing.toward.as_ref()) {
            pad_to_same_length(&mut prompt, &mut other);
            states = slerp(&states, &encode(&other)?, toward.share).into();
        }
        Ok(Guide { padded, tokens: CONTEXT_LENGTH * prompt.len(), prompt: states, negative })
    };
    drawings.iter().map(guide).collect()
}

/// Tokens of a drawing's text embeddings: 77 for each chunk of the longer prompt.
///
/// # Errors
/// A prompt that cannot be read.
pub fn guide_tokens(drawing: &Drawing, tokenizer: &ClipTokenizer) -> Result<usize> {
    let [prompt, negative] = [&drawing.prompt, &drawing.negative_prompt].map(|prompt| chunks(prompt, tokenizer));
    Ok(CONTEXT_LENGTH * prompt?.len().max(negative?.len()))
}

/// The compiled text encoder, and what it has encoded.
struct PromptEncoder<'a> {
    gpu: &'a Gpu,
    encoder: &'a TextEncoder<'a>,
    stack: LoraStack,
    known: HashMap<Key, Rc<[f32]>>,
}

/// Token ids, weights and strengths by their bits, and `clip_skip`.
type Key = (Vec<u32>, Vec<u32>, Vec<u32>, usize);

impl PromptEncoder<'_> {
    /// Text embeddings of all chunks, one after the other.
    fn encode(&mut self, chunks: &[Chunk], strengths: &[f32], clip_skip: usize) -> Result<Rc<[f32]>> {
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let ids = chunks.iter().flat_map(|chunk| chunk.ids).collect();
        let weights = chunks.iter().flat_map(|chunk| bits(&chunk.weights)).collect();
        let key = (ids, weights, bits(strengths), clip_skip);
        if let Some(known) = self.known.get(&key) {
            return Ok(Rc::clone(known));
        }
        self.stack.set_strengths(self.gpu, strengths);
        let mut all = Vec::new();
        for chunk in chunks {
            let mut states = self.encoder.encode(self.gpu, &chunk.ids, clip_skip)?;
            apply_weights(&mut states, &chunk.weights);
            all.extend(states);
        }
        let states: Rc<[f32]> = all.into();
        self.known.insert(key, Rc::clone(&states));
        Ok(states)
    }
}
