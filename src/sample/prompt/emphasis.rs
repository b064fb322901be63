//! Weights of tokens, applied to what the text encoder made of them.

use crate::data::tokenizer::CONTEXT_LENGTH;

/// Multiplies each token's state by its weight and brings the mean over the chunk back to what it was: A1111's
/// emphasis "Original".
///
/// `states` is one chunk's (77, width), after the final norm. Where all weights are 1 nothing changes.
pub fn apply_weights(states: &mut [f32], weights: &[f32; CONTEXT_LENGTH]) {
    if weights.iter().all(|&weight| weight == 1.0) {
        return;
    }
    let before = sum(states);
    for (state, &weight) in states.chunks_exact_mut(states.len() / CONTEXT_LENGTH).zip(weights) {
        state.iter_mut().for_each(|value| *value *= weight);
    }
    let after = sum(states);
    if after != 0.0 {
        let restore = (before / after) as f32;
        states.iter_mut().for_each(|value| *value *= restore);
    }
}

fn sum(states: &[f32]) -> f64 {
    states.iter().map(|&value| f64::from(value)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 3;

    #[derive(serde::Deserialize)]
    struct Recorded {
        weights: Vec<f32>,
        states: Vec<f32>,
    }

    /// The recorder's states: steps of 1/64, which f32 holds exactly.
    fn states() -> Vec<f32> {
        (0..CONTEXT_LENGTH * WIDTH).map(|index| ((index * 37) % 101) as f32 / 64.0 - 0.5).collect()
    }

    #[test]
    fn states_equal_the_recorded_ones() {
        let file: serde_json::Value = serde_json::from_str(include_str!("../fixtures/prompts.json")).unwrap();
        let cases: Vec<Recorded> = serde_json::from_value(file["emphasis"].clone()).unwrap();
        assert!(cases.len() > 2);
        for case in cases {
            let mut states = states();
            let mut weights = [1.0; CONTEXT_LENGTH];
            weights[1..=case.weights.len()].copy_from_slice(&case.weights);
            apply_weights(&mut states, &weights);
            assert_eq!(states.len(), case.states.len());
            let largest = case.states.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            let error = states.iter().zip(&case.states).fold(0f32, |error, (a, b)| error.max((a - b).abs())) / largest;
            // f32 sums of PyTorch against f64 here
            assert!(error < 1e-6, "{error:e} at {:?}", case.weights);
        }
    }

    #[test]
    fn weights_of_1_change_no_bit() {
        let mut weighed = states();
        apply_weights(&mut weighed, &[1.0; CONTEXT_LENGTH]);
        assert_eq!(weighed, states());
    }
}
