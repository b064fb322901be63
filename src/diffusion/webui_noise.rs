//! The noise of Stable Diffusion WebUIs on an NVIDIA GPU, which they also draw on the CPU (`modules/rng_philox.py` of
//! AUTOMATIC1111's WebUI and of Forge; "RNG: NV"): the stream of a CUDA `torch.randn` of few enough numbers that each
//! has a thread of its own.

use super::philox::philox_4x32_10;

const WORD: f64 = 1.0 / 4_294_967_296.0;
/// 2π/2³² as the WebUIs have it: rounded to f32.
const WORD_ANGLE: f64 = (std::f64::consts::TAU * WORD) as f32 as f64;

/// One picture's generator: key = seed, counter = (draw, 0, element, 0).
#[derive(Clone, Debug)]
pub struct WebuiNoise {
    key: [u32; 2],
    draw: u32,
}

impl WebuiNoise {
    pub fn new(seed: u64) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], draw: 0 }
    }

    /// The generator's next draw: √(−2 ln u)·sin v, u and v from the first two words of each element's block.
    pub fn fill(&mut self, out: &mut [f32]) {
        for (element, slot) in out.iter_mut().enumerate() {
            let element = u32::try_from(element).expect("latents have fewer than 2^32 elements");
            let words = philox_4x32_10([self.draw, 0, element, 0], self.key);
            let u = (f64::from(words[0]) + 0.5) * WORD;
            let v = (f64::from(words[1]) + 0.5) * WORD_ANGLE;
            *slot = ((-2.0 * u.ln()).sqrt() * v.sin()) as f32;
        }
        self.draw = self.draw.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// What `rng_philox.py` says it prints for seed 0.
    #[test]
    fn published_numbers() {
        let published = [
            -0.924_662_6,
            -0.425_344_15,
            -2.643_845_8,
            0.145_183_88,
            -0.120_866_47,
            -0.579_725_6,
            -0.622_851_2,
            -0.328_387_1,
            -1.074_542_3,
            -0.363_144_07,
            -1.671_050_7,
            2.265_505,
        ];
        let mut out = [0f32; 12];
        WebuiNoise::new(0).fill(&mut out);
        for (ours, theirs) in out.iter().zip(published) {
            assert!((ours - theirs).abs() < 3e-7, "{out:?}");
        }
    }

    /// Recorded by tools/record_noise_generators.py with a Philox of its own: several seeds, three draws of each.
    #[test]
    fn equals_an_independent_philox() {
        let recorded: Value = serde_json::from_str(include_str!("fixtures/noise_generators.json")).unwrap();
        for case in recorded["webui"].as_array().unwrap() {
            let mut generator = WebuiNoise::new(case["seed"].as_u64().unwrap());
            for draw in case["draws"].as_array().unwrap() {
                let expected: Vec<f32> =
                    draw.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect();
                let mut out = vec![0f32; expected.len()];
                generator.fill(&mut out);
                let error = out.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
                assert!(error <= 2e-6, "seed {}: {error}", case["seed"]);
            }
        }
    }
}
