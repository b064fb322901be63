//! The noise schedule of Stable Diffusion v1.x, its training targets and loss weights.
//!
//! Ho et al., "Denoising Diffusion Probabilistic Models" (the process); Salimans and Ho, "Progressive Distillation for
//! Fast Sampling of Diffusion Models" (v); Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy".

use crate::families::{NoiseNumbers, Prediction, SD_V1};

/// ᾱ of each timestep: the share of the signal's variance that is left.
#[derive(Clone, Debug)]
pub struct NoiseSchedule {
    alphas_cumprod: Vec<f32>,
}

impl NoiseSchedule {
    /// The schedule of Stable Diffusion v1.
    pub fn stable_diffusion() -> Self {
        Self::scaled_linear(&SD_V1.noise)
    }

    /// diffusers' `scaled_linear`: √β is linear over all timesteps.
    ///
    /// Rounded where PyTorch rounds (f32 `linspace`, `cumprod` accumulated in f64): diffusers' values to 1.2e-7.
    pub fn scaled_linear(numbers: &NoiseNumbers) -> Self {
        let mut product = 1f64;
        let alphas_cumprod = (0..numbers.timesteps)
            .map(|timestep| {
                let root = sqrt_beta(numbers, timestep);
                let alpha = 1.0 - root * root;
                product *= f64::from(alpha);
                product as f32
            })
            .collect();
        Self { alphas_cumprod }
    }

    #[cfg(test)]
    pub(super) fn of(alphas_cumprod: Vec<f32>) -> Self {
        Self { alphas_cumprod }
    }

    /// Shifted and scaled so that nothing of the signal is left at the last timestep and the first stays as it is, for a
    /// model that predicts v (Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", algorithm 1).
    pub fn zero_terminal_snr(&self) -> Self {
        let roots: Vec<f64> = self.alphas_cumprod.iter().map(|&alpha| f64::from(alpha).sqrt()).collect();
        let (first, last) = (roots[0], roots[roots.len() - 1]);
        let scale = first / (first - last);
        Self { alphas_cumprod: roots.iter().map(|root| ((root - last) * scale).powi(2) as f32).collect() }
    }

    /// Number of timesteps.
    pub fn timesteps(&self) -> usize {
        self.alphas_cumprod.len()
    }

    /// ᾱ at `timestep`, in (0, 1); under zero terminal SNR the last is 0.
    pub fn alpha_cumprod(&self, timestep: usize) -> f32 {
        self.alphas_cumprod[timestep]
    }

    /// (√ᾱ, √(1−ᾱ)): the factors of latent and noise, x_t = √ᾱ·x₀ + √(1−ᾱ)·ε.
    pub fn factors(&self, timestep: usize) -> (f32, f32) {
        let alpha = self.alpha_cumprod(timestep);
        (alpha.sqrt(), (1.0 - alpha).sqrt())
    }

    /// What the U-Net should predict for that example, into `target`.
    pub fn target(&self, prediction: Prediction, timestep: usize, latent: &[f32], noise: &[f32], target: &mut [f32]) {
        let (signal, sigma) = self.factors(timestep);
        match prediction {
            Prediction::Epsilon => target.copy_from_slice(noise),
            Prediction::VPrediction => {
                combine(latent, noise, target, |latent, noise| signal * noise - sigma * latent);
            }
        }
    }

    /// Signal-to-noise ratio ᾱ / (1−ᾱ).
    pub fn snr(&self, timestep: usize) -> f64 {
        let alpha = f64::from(self.alpha_cumprod(timestep));
        alpha / (1.0 - alpha)
    }

    /// Min-SNR loss weight: min(SNR, γ)/SNR for ε, min(SNR, γ)/(SNR + 1) for v.
    pub fn min_snr_weight(&self, prediction: Prediction, timestep: usize, gamma: f64) -> f64 {
        let snr = self.snr(timestep);
        match prediction {
            Prediction::Epsilon => snr.min(gamma) / snr,
            Prediction::VPrediction => snr.min(gamma) / (snr + 1.0),
        }
    }
}

/// `torch.linspace(√β₀, √β₁, timesteps, dtype=float32)`: counted from whichever end is nearer.
fn sqrt_beta(numbers: &NoiseNumbers, timestep: usize) -> f32 {
    let &NoiseNumbers { beta_start, beta_end, timesteps } = numbers;
    let (start, end) = (beta_start.sqrt() as f32, beta_end.sqrt() as f32);
    let step = (end - start) / (timesteps - 1) as f32;
    if timestep < timesteps / 2 {
        start + step * timestep as f32
    } else {
        end - step * (timesteps - 1 - timestep) as f32
    }
}

fn combine(latent: &[f32], noise: &[f32], out: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    assert!(latent.len() == noise.len() && noise.len() == out.len(), "latent, noise and result differ in length");
    for ((slot, &latent), &noise) in out.iter_mut().zip(latent).zip(noise) {
        *slot = f(latent, noise);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Recorded by tools/record_noise_schedule.py.
    fn recorded() -> Value {
        serde_json::from_str(include_str!("fixtures/noise_schedule.json")).unwrap()
    }

    fn number(value: &Value) -> f32 {
        value.as_f64().unwrap() as f32
    }

    fn close(ours: f32, theirs: f32, tolerance: f32) -> bool {
        (ours - theirs).abs() <= tolerance * theirs.abs()
    }

    /// Equal to one unit in the last place (121 of 1000 differ by it): PyTorch's linspace counts from the start of each
    /// SIMD chunk, whose length depends on the machine.
    #[test]
    fn alphas_equal_diffusers() {
        let schedule = NoiseSchedule::stable_diffusion();
        let recorded = recorded();
        let theirs = recorded["alphas_cumprod"].as_array().unwrap();
        assert_eq!(schedule.timesteps(), theirs.len());
        for (timestep, value) in theirs.iter().enumerate() {
            let (ours, theirs) = (schedule.alpha_cumprod(timestep), number(value));
            assert!(close(ours, theirs, 1.2e-7), "ᾱ[{timestep}]: {ours}, diffusers {theirs}");
        }
    }

    /// 1−ᾱ cancels at small timesteps: one unit in the last place of ᾱ[0] is 7e-5 of its SNR.
    #[test]
    fn noisy_latent_velocity_and_weights_equal_diffusers() {
        let schedule = NoiseSchedule::stable_diffusion();
        let recorded = recorded();
        let (latent, noise) = ([number(&recorded["latent"])], [number(&recorded["noise"])]);
        let gamma = recorded["gamma"].as_f64().unwrap();
        for case in recorded["at"].as_array().unwrap() {
            let timestep = case["timestep"].as_u64().unwrap() as usize;
            let (signal, sigma) = schedule.factors(timestep);
            let noisy = signal * latent[0] + sigma * noise[0];
            assert!(close(noisy, number(&case["noisy"]), 1e-6), "noisy at {timestep}");
            let mut out = [0.0];
            schedule.target(Prediction::VPrediction, timestep, &latent, &noise, &mut out);
            assert!(close(out[0], number(&case["velocity"]), 1e-6), "velocity at {timestep}");
            let weight = |prediction| schedule.min_snr_weight(prediction, timestep, gamma) as f32;
            assert!(close(weight(Prediction::Epsilon), number(&case["weight_epsilon"]), 1e-4));
            assert!(close(weight(Prediction::VPrediction), number(&case["weight_v"]), 1e-4));
        }
    }

    #[test]
    fn the_target_of_epsilon_is_the_noise() {
        let schedule = NoiseSchedule::stable_diffusion();
        let mut target = [0.0; 2];
        schedule.target(Prediction::Epsilon, 500, &[1.0, 2.0], &[-0.5, 0.25], &mut target);
        assert_eq!(target, [-0.5, 0.25]);
    }

    #[test]
    fn published_values() {
        let schedule = NoiseSchedule::stable_diffusion();
        for (timestep, value) in [(0, 0.999_15), (500, 0.276_332_47), (999, 0.004_660_1)] {
            assert!((schedule.alpha_cumprod(timestep) - value).abs() < 4e-8, "ᾱ[{timestep}]");
        }
    }
}
