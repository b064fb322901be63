//! `torch.randn` of PyTorch's CPU generator, for pictures that must equal those of programs that draw noise on the CPU.
//!
//! After ATen's `normal_distribution` and `normal_fill`. Transcendental functions are taken in f64 and rounded to f32,
//! so that the numbers are the same on every machine; PyTorch's are not. Of 65,536 numbers 1.5 % differ from its plain
//! kernel, by one unit in the last place (2.4e-7); 38 % from its AVX2 kernel, which has polynomials of its own, by 1.9e-6
//! at most. Draws below 16 numbers are equal.

use std::f64::consts::PI;

use super::mt19937::Mt19937;

/// Numbers that one Box–Muller block takes and gives.
const BLOCK: usize = 16;
const HALF: usize = BLOCK / 2;

/// A generator as `torch.manual_seed` leaves it.
#[derive(Clone, Debug)]
pub struct TorchNormal {
    words: Mt19937,
    /// The second number of a pair, kept from one short draw to the next.
    kept: Option<f64>,
}

impl TorchNormal {
    /// PyTorch seeds the twister with the low word alone.
    pub fn new(seed: u64) -> Self {
        Self { words: Mt19937::new(seed as u32), kept: None }
    }

    /// The next `torch.randn(out.len())` in f32. Short draws go another way than long ones: a slice of 16 or more
    /// does not begin with the numbers of a shorter one.
    pub fn fill(&mut self, out: &mut [f32]) {
        if out.len() < BLOCK {
            out.fill_with(|| self.next_in_pairs() as f32);
        } else {
            self.fill_blocks(out);
        }
    }

    /// Whole blocks of 16; of a remainder, the last 16 numbers are drawn anew.
    fn fill_blocks(&mut self, out: &mut [f32]) {
        out.fill_with(|| self.uniform_f32());
        let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
        blocks.iter_mut().for_each(box_muller);
        if !rest.is_empty() {
            let tail = out.last_chunk_mut::<BLOCK>().expect("`fill` sends shorter slices elsewhere");
            tail.fill_with(|| self.uniform_f32());
            box_muller(tail);
        }
    }

    /// (r cos v, r sin v), r = √(−2 ln(1−u)), all in f64; the sine waits for the next call.
    fn next_in_pairs(&mut self) -> f64 {
        if let Some(kept) = self.kept.take() {
            return kept;
        }
        let angle = 2.0 * PI * self.uniform_f64();
        let radius = (-2.0 * (-self.uniform_f64()).ln_1p()).sqrt();
        self.kept = Some(radius * angle.sin());
        radius * angle.cos()
    }

    /// Uniform in [0, 1): 24 bits.
    fn uniform_f32(&mut self) -> f32 {
        (self.words.next_u32() & 0xFF_FFFF) as f32 / 16_777_216.0
    }

    /// Uniform in [0, 1): 53 bits of two words, the high one first.
    fn uniform_f64(&mut self) -> f64 {
        let high = u64::from(self.words.next_u32());
        let bits = high << 32 | u64::from(self.words.next_u32());
        (bits & ((1 << 53) - 1)) as f64 / (1u64 << 53) as f64
    }
}

/// Uniform numbers into normal ones: number j is u, number j + 8 is v; 1 − u keeps 0 from the logarithm.
fn box_muller(block: &mut [f32; BLOCK]) {
    for j in 0..HALF {
        let logarithm = f64::from(1.0 - block[j]).ln() as f32;
        let radius = (-2.0 * logarithm).sqrt();
        let angle = (2.0 * PI * f64::from(block[j + HALF])) as f32;
        let (sin, cos) = f64::from(angle).sin_cos();
        block[j] = radius * cos as f32;
        block[j + HALF] = radius * sin as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Recorded by tools/record_noise_generators.py.
    fn recorded() -> Value {
        serde_json::from_str(include_str!("fixtures/noise_generators.json")).unwrap()
    }

    fn numbers(values: &Value) -> Vec<f32> {
        values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
    }

    /// Draws below 16 bit for bit; longer ones to the last place, where PyTorch's f32 functions round the other way.
    #[test]
    fn equals_torch_randn() {
        for case in recorded()["torch"].as_array().unwrap() {
            let mut generator = TorchNormal::new(case["seed"].as_u64().unwrap());
            for (draw, expected) in case["draws"].as_array().unwrap().iter().enumerate() {
                let expected = numbers(expected);
                let mut out = vec![0f32; expected.len()];
                generator.fill(&mut out);
                let error = out.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
                let tolerance = if expected.len() < BLOCK { 0.0 } else { 3e-7 };
                assert!(error <= tolerance, "seed {}, draw {draw}: {error}", case["seed"]);
            }
        }
    }
}
