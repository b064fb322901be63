//! Where a picture's noise comes from: one of the generators that other programs offer, so that a seed means the same
//! picture there.

use super::{torch_normal::TorchNormal, webui_noise::WebuiNoise};

/// The choice of generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rng {
    /// The WebUIs' default: as on an NVIDIA GPU.
    Gpu,
    /// PyTorch on a CPU: ComfyUI, diffusers with a CPU generator, the WebUIs with "RNG: CPU".
    Cpu,
}

impl Rng {
    /// Names on the command line, in the order of the variants.
    pub const NAMES: [&'static str; 2] = ["gpu", "cpu"];

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "gpu" => Some(Self::Gpu),
            "cpu" => Some(Self::Cpu),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// One picture's generator. Picture i of a batch has one of its own, seeded with seed + i, so that it does not depend
/// on the size of the batch.
#[derive(Clone, Debug)]
pub enum NoiseSource {
    Gpu(WebuiNoise),
    Cpu(TorchNormal),
}

impl NoiseSource {
    pub fn new(rng: Rng, seed: u64) -> Self {
        match rng {
            Rng::Gpu => Self::Gpu(WebuiNoise::new(seed)),
            Rng::Cpu => Self::Cpu(TorchNormal::new(seed)),
        }
    }

    /// The next draw: standard normal numbers for one picture's latents, in the order (4, H/8, W/8).
    pub fn next(&mut self, out: &mut [f32]) {
        match self {
            Self::Gpu(generator) => generator.fill(out),
            Self::Cpu(generator) => generator.fill(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_the_choice() {
        for rng in [Rng::Gpu, Rng::Cpu] {
            assert_eq!(Rng::from_name(rng.name()), Some(rng));
        }
        assert_eq!(Rng::from_name("nv"), None);
    }

    /// PyTorch's well-known first number of seed 0, and the WebUIs'.
    #[test]
    fn each_choice_has_its_generator() {
        let first = |rng| {
            let mut out = [0f32; 16];
            NoiseSource::new(rng, 0).next(&mut out);
            out[0]
        };
        assert!((first(Rng::Gpu) + 0.924_662_6).abs() < 1e-6);
        assert!((first(Rng::Cpu) + 1.125_839_8).abs() < 1e-6, "{}", first(Rng::Cpu));
    }
}
