//! How captions are made, and which choices contradict each other.

use anyhow::{Result, ensure};

use super::Nucleus;

/// How captions are made. Lengths count tokens as transformers' `min_length` and `max_length` do: prompt, begin mark
/// and end mark included.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationOptions {
    /// Sequences kept side by side; 1 is greedy decoding or, with `nucleus`, sampling.
    pub num_beams: usize,
    /// The end mark may not be chosen before a sequence holds this many tokens.
    pub min_length: usize,
    /// A sequence of this many tokens is cut.
    pub max_length: usize,
    /// Above 1, tokens that a sequence already holds become less likely; 1 leaves them as they are.
    /// (CTRL, <https://arxiv.org/abs/1909.05858>)
    pub repetition_penalty: f32,
    /// Draws tokens at random instead of taking the likeliest.
    pub nucleus: Option<Nucleus>,
}

impl GenerationOptions {
    /// Checks the options, for a prompt of `prompt_length` tokens with its begin mark.
    ///
    /// # Errors
    /// Names the command-line option to change.
    pub fn check(&self, prompt_length: usize) -> Result<()> {
        let Self { num_beams, min_length, max_length, repetition_penalty, nucleus } = self;
        ensure!(*num_beams >= 1, "--num-beams {num_beams}: at least 1 beam is needed; 1 is greedy decoding");
        ensure!(
            min_length <= max_length,
            "--min-length {min_length} is above --max-length {max_length}: lower the one or raise the other"
        );
        ensure!(
            *max_length > prompt_length,
            "--max-length {max_length} leaves no room for a caption: the prompt alone takes {prompt_length} tokens \
             with its begin mark; raise --max-length or shorten the prompt"
        );
        ensure!(
            *repetition_penalty > 0.0 && repetition_penalty.is_finite(),
            "--repetition-penalty {repetition_penalty}: must be a number above 0; 1 is no penalty"
        );
        if let Some(Nucleus { top_p }) = nucleus {
            ensure!(*top_p > 0.0 && *top_p <= 1.0, "--top-p {top_p}: must be above 0 and at most 1");
            ensure!(
                *num_beams == 1,
                "--top-p samples a single sequence, but --num-beams is {num_beams}: set --num-beams 1 or drop --top-p"
            );
        }
        Ok(())
    }
}
