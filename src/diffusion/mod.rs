//! The diffusion process of Stable Diffusion v1.x: noise schedule, training targets and loss weights, the counter-based
//! random numbers of a training run, and image sampling's noise, noise levels and samplers. A leaf: it knows no layer.

pub mod huber;
pub mod loss_weights;
pub mod mt19937;
pub mod noise_rules;
pub mod noise_source;
pub mod philox;
pub mod pyramid;
pub mod random;
pub mod samplers;
pub mod schedule;
pub mod sigmas;
pub mod torch_normal;
#[cfg(test)]
mod training_rules_tests;
pub mod webui_noise;

pub use huber::{HuberSchedule, HuberThreshold};
pub use loss_weights::LossWeights;
pub use noise_rules::{Latent, Multires, NoiseRules, UpdateNoise};
pub use noise_source::{NoiseSource, Rng};
pub use pyramid::LatentShape;
pub use random::{Purpose, Stream};
pub use samplers::{Sampler, SamplingPlan};
pub use schedule::NoiseSchedule;
