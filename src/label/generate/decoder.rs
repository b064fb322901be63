//! The language model, as generation sees it.

use anyhow::{Context, Result, ensure};

/// `next(tokens, parents)` appends `tokens[row]` to the sequence that row `parents[row]` held before, for each of
/// `num_beams` rows, and gives the logits of what follows, (rows, vocabulary). The first call begins empty sequences. A
/// row is given at most `max_length` − 1 tokens.
pub type Next<'a> = dyn FnMut(&[u32], &[usize]) -> Result<Vec<f32>> + 'a;

/// Feeds [`Next`] and checks what it answers.
pub(super) struct Decoder<'a, 'b> {
    rows: usize,
    /// The token that ends a sequence.
    pub end: u32,
    next: &'a mut Next<'b>,
}

impl<'a, 'b> Decoder<'a, 'b> {
    pub(super) fn new(rows: usize, end: u32, next: &'a mut Next<'b>) -> Self {
        Self { rows, end, next }
    }

    /// Feeds the prompt to every row: (rows, vocabulary) logits of what follows it, all rows alike.
    pub(super) fn feed_prompt(&mut self, prompt: &[u32]) -> Result<Vec<f32>> {
        let parents: Vec<usize> = (0..self.rows).collect();
        let mut logits = None;
        for &token in prompt {
            logits = Some(self.feed(&vec![token; self.rows], &parents)?);
        }
        let logits = logits.context("the prompt is empty: it needs at least a begin mark")?;
        let vocabulary = logits.len() / self.rows;
        for &token in prompt.iter().chain([&self.end]) {
            ensure!((token as usize) < vocabulary, "token {token} is outside the model's vocabulary of {vocabulary}");
        }
        Ok(logits)
    }

    /// One more token for each row: (rows, vocabulary) logits.
    pub(super) fn feed(&mut self, tokens: &[u32], parents: &[usize]) -> Result<Vec<f32>> {
        let logits = (self.next)(tokens, parents)?;
        ensure!(
            !logits.is_empty() && logits.len().is_multiple_of(self.rows),
            "the model gave {} logits for {} rows",
            logits.len(),
            self.rows
        );
        ensure!(
            logits.iter().all(|logit| logit.is_finite()),
            "the model gave a logit that is no finite number: its weights or the picture's features are damaged"
        );
        Ok(logits)
    }
}
