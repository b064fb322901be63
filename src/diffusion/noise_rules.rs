//! What the noise of a training step is made of: sd-scripts' `get_noise_noisy_latents_and_timesteps`, in its order.
//!
//! sd-scripts draws some numbers once for a batch and divides multi-resolution noise by the deviation of a batch. Here a
//! batch is all pictures of an update, so that the same picture gets the same noise however memory cuts the update into
//! micro-batches; all draws are functions of (seed, step) and the picture's place in the update.

use super::{
    pyramid::{self, LatentShape},
    random::{self, Purpose, Stream},
};

/// Noise options of a run, by sd-scripts' names. By default ε is plain.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NoiseRules {
    /// Deviation of what is added to all ε of a channel (N. Guttenberg,
    /// <https://www.crosslabs.org/blog/diffusion-with-offset-noise>); 0 = nothing.
    pub offset: f64,
    /// The offset's deviation is drawn from 0 to `offset`, once for an update.
    pub offset_random_strength: bool,
    /// Adds so much of a channel's absolute mean latent to the offset's deviation, which stays at least 0.
    pub adaptive_scale: f64,
    /// Coarser and coarser noise on top.
    pub multires: Option<Multires>,
    /// x_t is made with ε + γ·N instead of the ε that is to be predicted (Ning et al., "Input Perturbation Reduces
    /// Exposure Bias in Diffusion Models"); 0 = with ε itself.
    pub ip_gamma: f64,
    /// γ is drawn from 0 to `ip_gamma`, once for an update.
    pub ip_gamma_random_strength: bool,
}

/// Multi-resolution noise
/// (<https://wandb.ai/johnowhitaker/multires_noise/reports/Multi-Resolution-Noise-for-Diffusion-Model-Training--VmlldzozNjYyOTU2>).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Multires {
    /// Levels at most; it ends after one that is a pixel wide or high.
    pub iterations: u32,
    /// Level i counts `discount`^i.
    pub discount: f64,
}

/// A scaled latent, (H, W, C).
#[derive(Clone, Copy, Debug)]
pub struct Latent<'a> {
    pub values: &'a [f32],
    pub shape: LatentShape,
}

/// The noise of an update, one tensor (H, W, C) for each of its pictures.
#[derive(Clone, Debug, Default)]
pub struct UpdateNoise {
    /// ε, which makes the target.
    pub noise: Vec<Vec<f32>>,
    /// What x_t is made with, where that is not ε.
    pub input_noise: Option<Vec<Vec<f32>>>,
}

impl NoiseRules {
    /// Whether x_t is made with other noise than ε.
    pub fn perturbs_input(&self) -> bool {
        self.ip_gamma > 0.0
    }

    /// The noise of optimizer step `step` for its pictures, micro-batch by micro-batch and row by row.
    pub fn draw(&self, seed: u64, step: u32, latents: &[Latent<'_>]) -> UpdateNoise {
        let mut noise: Vec<Vec<f32>> = latents.iter().map(|latent| vec![0.0; latent.values.len()]).collect();
        for ((sample, latent), noise) in (0..).zip(latents).zip(&mut noise) {
            random::training_noise(seed, step, sample, noise);
            if self.offset > 0.0 {
                let mut draws = vec![0.0; latent.shape.channels];
                Stream::new(seed, Purpose::NoiseOffset, step, sample).fill_normal(&mut draws);
                add_offset(noise, &draws, &self.deviations(seed, step, latent));
            }
        }
        if let Some(multires) = self.multires {
            multires.add(seed, step, latents, &mut noise);
        }
        let input_noise = self.perturbs_input().then(|| self.perturbed(seed, step, &noise));
        UpdateNoise { noise, input_noise }
    }

    /// The offset's deviation for each channel of a picture.
    fn deviations(&self, seed: u64, step: u32, latent: &Latent<'_>) -> Vec<f64> {
        let strength = if self.offset_random_strength { Self::strength(seed, step, 0) } else { 1.0 };
        let channels = latent.shape.channels;
        let deviation = |mean: f64| (strength * self.offset + self.adaptive_scale * mean.abs()).max(0.0);
        if self.adaptive_scale == 0.0 {
            return vec![deviation(0.0); channels];
        }
        channel_means(latent.values, channels).into_iter().map(deviation).collect()
    }

    fn perturbed(&self, seed: u64, step: u32, noise: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let strength = if self.ip_gamma_random_strength { Self::strength(seed, step, 1) } else { 1.0 };
        let gamma = (strength * self.ip_gamma) as f32;
        let perturb = |(sample, noise): (u32, &Vec<f32>)| {
            let mut added = vec![0.0; noise.len()];
            Stream::new(seed, Purpose::InputPerturbation, step, sample).fill_normal(&mut added);
            noise.iter().zip(&added).map(|(noise, added)| noise + gamma * added).collect()
        };
        (0..).zip(noise).map(perturb).collect()
    }

    /// A number of the update, uniform in (0, 1): the first for the offset, the second for the input's perturbation.
    fn strength(seed: u64, step: u32, index: u32) -> f64 {
        Stream::new(seed, Purpose::NoiseStrength, step, 0).unit(index)
    }
}

impl Multires {
    /// Adds the levels to the noise of all pictures, and divides by the deviation over all of them.
    fn add(&self, seed: u64, step: u32, latents: &[Latent<'_>], noise: &mut [Vec<f32>]) {
        let ratios = Stream::new(seed, Purpose::MultiresRatio, step, 0);
        for ((sample, latent), noise) in (0..).zip(latents).zip(&mut *noise) {
            let ratios: Vec<f64> = (0..self.iterations).map(|level| 2.0 + 2.0 * ratios.unit(level)).collect();
            let levels = pyramid::levels(latent.shape, &ratios);
            let mut draws = vec![0.0; levels.iter().map(LatentShape::elements).sum()];
            Stream::new(seed, Purpose::Multires, step, sample).fill_normal(&mut draws);
            pyramid::add_levels(noise, latent.shape, &draws, &levels, self.discount);
        }
        pyramid::divide_by_deviation(noise);
    }
}

/// Adds to each channel of ε (H, W, C) its draw times its deviation.
pub(super) fn add_offset(noise: &mut [f32], draws: &[f32], deviations: &[f64]) {
    for pixel in noise.chunks_exact_mut(draws.len()) {
        for ((value, draw), deviation) in pixel.iter_mut().zip(draws).zip(deviations) {
            *value += *deviation as f32 * draw;
        }
    }
}

pub(super) fn channel_means(values: &[f32], channels: usize) -> Vec<f64> {
    let mut sums = vec![0.0; channels];
    for pixel in values.chunks_exact(channels) {
        sums.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let pixels = (values.len() / channels) as f64;
    sums.into_iter().map(|sum| sum / pixels).collect()
}
