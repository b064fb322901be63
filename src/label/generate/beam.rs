//! Beam search as transformers 5.23 does it by default: length penalty 1, no early stopping.
//!
//! Each step takes the best 2 · `num_beams` continuations of all open sequences, twice as many as it needs, since at
//! most one of each sequence is the end mark. Ended ones among the first `num_beams` compete for the result by their
//! mean log-probability; the best open ones go on. Of equal scores, earlier sequences and lower tokens win (torch's
//! `topk` leaves that open).

use std::cmp::Ordering;

use anyhow::{Result, ensure};

use super::decoder::Decoder;
use super::{GenerationOptions, scores};

#[derive(Clone)]
struct Hypothesis {
    tokens: Vec<u32>,
    /// Open: the sum of the log-probabilities of its tokens after the prompt. Finished: their mean.
    score: f32,
}

/// An open sequence with one more token.
struct Continuation {
    parent: usize,
    token: u32,
    score: f32,
}

struct Search<'a> {
    options: &'a GenerationOptions,
    end: u32,
    prompt_length: usize,
    /// At most `num_beams`, best first; only the prompt at the start, as all rows are equal then.
    open: Vec<Hypothesis>,
    /// At most `num_beams`, best first.
    finished: Vec<Hypothesis>,
}

/// Extends `prompt` to the finished sequence of the highest mean log-probability.
pub(super) fn search(
    prompt: &[u32],
    mut logits: Vec<f32>, // (num_beams, vocabulary)
    options: &GenerationOptions,
    decoder: &mut Decoder,
) -> Result<Vec<u32>> {
    let (rows, vocabulary) = (options.num_beams, logits.len() / options.num_beams);
    ensure!(2 * rows < vocabulary, "--num-beams {rows} is too many for a vocabulary of {vocabulary} tokens");
    let open = vec![Hypothesis { tokens: prompt.to_vec(), score: 0.0 }];
    let mut search = Search { options, end: decoder.end, prompt_length: prompt.len(), open, finished: Vec::new() };
    loop {
        let best = search.best_continuations(logits);
        let parents = search.advance(best);
        if search.is_over() {
            return Ok(search.finished.swap_remove(0).tokens);
        }
        let tokens: Vec<u32> = search.open.iter().filter_map(|open| open.tokens.last().copied()).collect();
        logits = decoder.feed(&tokens, &parents)?;
    }
}

impl Search<'_> {
    /// The best 2 · num_beams continuations of the open sequences, best first.
    fn best_continuations(&self, mut logits: Vec<f32>) -> Vec<Continuation> {
        let vocabulary = logits.len() / self.options.num_beams;
        let mut all = Vec::with_capacity(logits.len());
        for (parent, (open, row)) in self.open.iter().zip(logits.chunks_exact_mut(vocabulary)).enumerate() {
            scores::log_softmax(row);
            scores::adjust(row, &open.tokens, self.options, self.end);
            all.extend((0..).zip(row).map(|(token, score)| Continuation { parent, token, score: *score + open.score }));
        }
        let count = 2 * self.options.num_beams;
        all.select_nth_unstable_by(count - 1, Continuation::better_first);
        all.truncate(count);
        all.sort_unstable_by(Continuation::better_first);
        all
    }

    /// Sorts continuations into finished and open; gives the row from which each open one comes.
    fn advance(&mut self, best: Vec<Continuation>) -> Vec<usize> {
        let rows = self.options.num_beams;
        let before = std::mem::take(&mut self.open);
        let mut parents = Vec::with_capacity(rows);
        for (rank, continuation) in best.into_iter().enumerate() {
            let mut tokens = before[continuation.parent].tokens.clone();
            tokens.push(continuation.token);
            let score = continuation.score;
            if continuation.token == self.end || tokens.len() >= self.options.max_length {
                if rank < rows {
                    self.finish(tokens, score);
                }
            } else if self.open.len() < rows {
                self.open.push(Hypothesis { tokens, score });
                parents.push(continuation.parent);
            }
        }
        parents
    }

    /// Keeps a sequence with its mean score if it is among the best `num_beams`; of equals the older.
    fn finish(&mut self, tokens: Vec<u32>, sum: f32) {
        let score = self.mean(sum, tokens.len());
        self.finished.push(Hypothesis { tokens, score });
        self.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.finished.truncate(self.options.num_beams);
    }

    /// Whether all were cut, or `num_beams` are finished and none of them is worse than the best open sequence would be
    /// if it ended now.
    fn is_over(&self) -> bool {
        let Some(open) = self.open.first() else { return true };
        let reachable = self.mean(open.score, open.tokens.len());
        let full = self.finished.len() == self.options.num_beams;
        full && self.finished.iter().all(|finished| finished.score >= reachable)
    }

    /// Log-probability per token after the prompt.
    fn mean(&self, sum: f32, length: usize) -> f32 {
        sum / (length - self.prompt_length) as f32
    }
}

impl Continuation {
    fn better_first(&self, other: &Self) -> Ordering {
        let by_score = other.score.total_cmp(&self.score);
        by_score.then(self.parent.cmp(&other.parent)).then(self.token.cmp(&other.token))
    }
}
