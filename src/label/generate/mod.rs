//! Token by token generation of a caption, on the host: greedy, nucleus sampling and beam search, with the ids that
//! transformers 5.23 gives for the same logits. A leaf: imports no other module of the crate.
//!
//! The language model lies behind a closure, [`Next`], so that nothing here knows of GPU or cache.

mod beam;
mod decoder;
mod nucleus;
mod options;
mod scores;
mod single;
#[cfg(test)]
mod tests;

use anyhow::Result;

pub use decoder::Next;
pub use nucleus::Nucleus;
pub use options::GenerationOptions;

use decoder::Decoder;

/// Token ids with a meaning of their own.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    /// Ends a caption (BLIP: the tokenizer's `[SEP]`).
    pub end: u32,
}

/// Continues `prompt`, which opens with the begin mark: the whole sequence, prompt included, and with the end mark
/// unless it was cut at `max_length`.
///
/// `uniform` gives numbers in [0, 1), one for each token that is sampled; only nucleus sampling asks for any.
///
/// # Errors
/// Options that contradict each other or the prompt (the text names the command-line option), an error of `next`, and
/// logits of the wrong number or not finite.
pub fn generate(
    prompt: &[u32],
    options: &GenerationOptions,
    marks: &Marks,
    uniform: &mut dyn FnMut() -> f64,
    next: &mut Next,
) -> Result<Vec<u32>> {
    options.check(prompt.len())?;
    let mut decoder = Decoder::new(options.num_beams, marks.end, next);
    let logits = decoder.feed_prompt(prompt)?;
    if options.num_beams > 1 {
        return beam::search(prompt, logits, options, &mut decoder);
    }
    let mut choose = |scores: &[f32]| match &options.nucleus {
        Some(nucleus) => nucleus.draw(scores, uniform()),
        None => scores::best(scores),
    };
    single::extend(prompt, logits, options, &mut choose, &mut decoder)
}
