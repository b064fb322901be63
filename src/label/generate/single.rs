//! One sequence, token after token: greedy decoding and sampling.

use anyhow::Result;

use super::decoder::Decoder;
use super::{GenerationOptions, scores};

/// Extends `prompt` until the end mark or the maximum length; `choose` picks a token from adjusted scores.
pub(super) fn extend(
    prompt: &[u32],
    mut logits: Vec<f32>, // (1, vocabulary)
    options: &GenerationOptions,
    choose: &mut dyn FnMut(&[f32]) -> u32,
    decoder: &mut Decoder,
) -> Result<Vec<u32>> {
    let mut sequence = prompt.to_vec();
    loop {
        scores::adjust(&mut logits, &sequence, options, decoder.end);
        let token = choose(&logits);
        sequence.push(token);
        if token == decoder.end || sequence.len() >= options.max_length {
            return Ok(sequence);
        }
        logits = decoder.feed(&[token], &[0])?;
    }
}
