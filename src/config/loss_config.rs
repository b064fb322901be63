//! What a run measures and the noise it adds, by sd-scripts' names.

use crate::families::SD_V1;

/// Kind of loss, its threshold and weights, besides `min_snr_gamma`. The fields are the configuration keys.
#[derive(Clone, Debug, PartialEq)]
pub struct LossConfig {
    pub loss_type: LossType,
    /// Threshold of `huber` and `smooth_l1` at the noisiest timestep, above 0.
    pub huber_c: f64,
    pub huber_schedule: HuberSchedule,
    /// Factor of the threshold, above 0; the schedule `snr` has none.
    pub huber_scale: f64,
    pub debiased_estimation_loss: bool,
    /// With v-prediction only.
    pub scale_v_pred_loss_like_noise_pred: bool,
    /// With noise prediction only; 0 = off.
    pub v_pred_like_loss: f64,
    /// With v-prediction only.
    pub zero_terminal_snr: bool,
    /// The loss counts where a mask file is white.
    pub masked_loss: bool,
    /// The loss counts where a picture is opaque.
    pub alpha_mask: bool,
    /// Timesteps are drawn from here…
    pub min_timestep: u32,
    /// …to below here; at most 1000.
    pub max_timestep: u32,
}

impl LossConfig {
    /// Whether some parts of pictures count less than others.
    pub fn is_masked(&self) -> bool {
        self.masked_loss || self.alpha_mask
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossType {
    L2,
    L1,
    Huber,
    SmoothL1,
}

/// How the threshold falls with the timestep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HuberSchedule {
    Constant,
    Exponential,
    Snr,
}

/// What is done to noise besides `noise_offset`. The fields are the configuration keys.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseConfig {
    pub noise_offset_random_strength: bool,
    /// Of a channel's absolute mean latent, added to `noise_offset`; may be below 0.
    pub adaptive_noise_scale: f64,
    /// 0: no multi-resolution noise.
    pub multires_noise_iterations: u32,
    /// From 0 to 1.
    pub multires_noise_discount: f64,
    /// 0: off.
    pub ip_noise_gamma: f64,
    pub ip_noise_gamma_random_strength: bool,
}

/// Timesteps of the training process.
pub const TIMESTEPS: u32 = SD_V1.noise.timesteps as u32;

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            loss_type: LossType::L2,
            huber_c: 0.1,
            huber_schedule: HuberSchedule::Snr,
            huber_scale: 1.0,
            debiased_estimation_loss: false,
            scale_v_pred_loss_like_noise_pred: false,
            v_pred_like_loss: 0.0,
            zero_terminal_snr: false,
            masked_loss: false,
            alpha_mask: false,
            min_timestep: 0,
            max_timestep: TIMESTEPS,
        }
    }
}

impl Default for NoiseConfig {
    fn default() -> Self {
        Self {
            noise_offset_random_strength: false,
            adaptive_noise_scale: 0.0,
            multires_noise_iterations: 0,
            multires_noise_discount: 0.3,
            ip_noise_gamma: 0.0,
            ip_noise_gamma_random_strength: false,
        }
    }
}
