//! Nucleus sampling: which tokens may be drawn, and the draw.

/// transformers' `top_k` where none is given.
const TOP_K: usize = 50;

/// Draws from the fewest tokens whose probabilities together exceed or reach `top_p`, among the 50 likeliest.
/// (<https://arxiv.org/abs/1904.09751>)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nucleus {
    /// In (0, 1]; f64, as transformers takes 1 − top_p in f64.
    pub top_p: f64,
}

impl Nucleus {
    /// The token at which the cumulative probability of the kept tokens, in order of their ids, passes `uniform`.
    pub(super) fn draw(self, scores: &[f32], uniform: f64) -> u32 {
        let kept = self.kept(scores);
        let mut remaining = uniform * kept.iter().map(|&(_, weight)| f64::from(weight)).sum::<f64>();
        for &(token, weight) in &kept {
            remaining -= f64::from(weight);
            if remaining < 0.0 {
                return token;
            }
        }
        // rounding took the last bit of a draw near 1
        kept.last().expect("the likeliest token is always kept").0
    }

    /// Tokens that may be drawn, in order of their ids, each with its probability among the likeliest [`TOP_K`].
    ///
    /// The least likely go while they make up at most 1 − top_p together; of equals, lower ids go first (torch leaves
    /// that open).
    pub(super) fn kept(self, scores: &[f32]) -> Vec<(u32, f32)> {
        let mut kept = likeliest(scores);
        kept.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        softmax(&mut kept);
        let limit = (1.0 - self.top_p) as f32;
        let mut cumulative = 0.0;
        let unlikely = kept[..kept.len() - 1].iter().take_while(|(_, probability)| {
            cumulative += f64::from(*probability); // torch sums in f64 too, and compares in f32
            cumulative as f32 <= limit
        });
        let dropped = unlikely.count();
        kept.drain(..dropped);
        kept.sort_by_key(|&(token, _)| token);
        kept
    }
}

/// The tokens whose score is not below the [`TOP_K`]-th highest (more than [`TOP_K`] where scores are equal), with
/// their scores, in order of their ids.
fn likeliest(scores: &[f32]) -> Vec<(u32, f32)> {
    let mut sorted = scores.to_vec();
    let rank = TOP_K.min(scores.len()) - 1;
    let (_, &mut lowest, _) = sorted.select_nth_unstable_by(rank, |a, b| b.total_cmp(a));
    (0..).zip(scores.iter().copied()).filter(|&(_, score)| score >= lowest).collect()
}

/// Turns scores into probabilities, in f32.
fn softmax(tokens: &mut [(u32, f32)]) {
    let top = tokens.iter().map(|&(_, score)| score).fold(f32::NEG_INFINITY, f32::max);
    for (_, score) in tokens.iter_mut() {
        *score = (*score - top).exp();
    }
    let sum: f32 = tokens.iter().map(|&(_, weight)| weight).sum();
    for (_, weight) in tokens {
        *weight /= sum;
    }
}
