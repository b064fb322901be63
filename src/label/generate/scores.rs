//! What is done to the scores of the next token, (vocabulary), before one is chosen. A score is a logit or, in beam
//! search, a log-probability.

use super::GenerationOptions;

/// Applies repetition penalty and minimum length to the scores of what follows `sequence`.
pub(super) fn adjust(scores: &mut [f32], sequence: &[u32], options: &GenerationOptions, end: u32) {
    penalize_repetition(scores, sequence, options.repetition_penalty);
    if sequence.len() < options.min_length {
        scores[end as usize] = f32::NEG_INFINITY;
    }
}

/// Divides positive scores and multiplies negative ones, once for each distinct token of `sequence`.
fn penalize_repetition(scores: &mut [f32], sequence: &[u32], penalty: f32) {
    for (index, &token) in sequence.iter().enumerate() {
        if !sequence[..index].contains(&token) {
            let score = &mut scores[token as usize];
            *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
        }
    }
}

/// score ← score − ln Σ exp(score). The sum is taken in f64, the rest in f32, as scores of beams are compared in f32.
pub(super) fn log_softmax(scores: &mut [f32]) {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = scores.iter().map(|&score| f64::from(score - top).exp()).sum();
    let log_sum = sum.ln() as f32;
    for score in scores {
        *score = *score - top - log_sum;
    }
}

/// The token of the highest score; of equals the first, as torch's argmax.
pub(super) fn best(scores: &[f32]) -> u32 {
    let mut best = 0;
    for (token, &score) in scores.iter().enumerate() {
        if score > scores[best] {
            best = token;
        }
    }
    best as u32
}
