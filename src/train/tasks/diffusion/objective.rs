//! What a run learns and how it is measured: target, loss, weights, noise and timesteps.

use std::ops::Range;

use crate::{
    config::{self, LossConfig, LossType, TrainConfig},
    diffusion::{HuberSchedule, HuberThreshold, LossWeights, Multires, NoiseRules, NoiseSchedule},
    families::Prediction,
    ops::LossKind,
};

/// The rules of a run that noise, targets and losses follow.
#[derive(Clone, Debug)]
pub struct Objective {
    pub prediction: Prediction,
    pub loss: LossKind,
    /// For the kinds of loss that have a threshold.
    pub huber: HuberThreshold,
    pub weights: LossWeights,
    /// Whether every batch brings a mask.
    pub masked: bool,
    pub noise: NoiseRules,
    /// Those that are drawn from.
    pub timesteps: Range<usize>,
    /// The schedule that the base model was made with: losses are weighed by it.
    base_schedule: NoiseSchedule,
    /// The schedule that noise is added by, shifted under zero terminal SNR.
    schedule: NoiseSchedule,
}

impl Objective {
    /// What the configuration asks for.
    pub fn of(config: &TrainConfig) -> Self {
        let LossConfig { min_timestep, max_timestep, zero_terminal_snr, .. } = config.loss;
        let objective = Self {
            loss: loss_kind(config.loss.loss_type),
            huber: huber_threshold(&config.loss),
            weights: loss_weights(config),
            masked: config.loss.is_masked(),
            noise: noise_rules(config),
            timesteps: min_timestep as usize..max_timestep as usize,
            ..Self::mse(config.prediction_type)
        };
        if zero_terminal_snr { objective.with_zero_terminal_snr() } else { objective }
    }

    /// The mean squared error over all timesteps, with nothing on.
    pub fn mse(prediction: Prediction) -> Self {
        let schedule = NoiseSchedule::stable_diffusion();
        Self {
            prediction,
            loss: LossKind::L2,
            huber: HuberThreshold::default(),
            weights: LossWeights::default(),
            masked: false,
            noise: NoiseRules::default(),
            timesteps: 0..schedule.timesteps(),
            base_schedule: schedule.clone(),
            schedule,
        }
    }

    /// Noise is added by the schedule that ends without signal.
    #[must_use]
    pub fn with_zero_terminal_snr(mut self) -> Self {
        self.schedule = self.base_schedule.zero_terminal_snr();
        self
    }

    /// How a probe measures: by the mean squared error at its own noise, so that runs with different losses compare.
    #[must_use]
    pub fn of_probes(&self) -> Self {
        Self { loss: LossKind::L2, masked: false, noise: NoiseRules::default(), ..self.clone() }
    }

    /// The schedule that noise is added by.
    pub fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }

    /// What the loss of a sample at `timestep` is multiplied by.
    pub fn weight(&self, timestep: usize) -> f64 {
        self.weights.at(&self.base_schedule, self.prediction, timestep)
    }

    /// Thresholds of samples at `timesteps`; none where the loss has none.
    pub fn thresholds(&self, timesteps: &[usize]) -> Vec<f32> {
        if !self.loss.has_threshold() {
            return Vec::new();
        }
        timesteps.iter().map(|&timestep| self.huber.at(&self.schedule, timestep) as f32).collect()
    }
}

fn loss_kind(loss_type: LossType) -> LossKind {
    match loss_type {
        LossType::L2 => LossKind::L2,
        LossType::L1 => LossKind::L1,
        LossType::Huber => LossKind::Huber,
        LossType::SmoothL1 => LossKind::SmoothL1,
    }
}

fn huber_threshold(loss: &LossConfig) -> HuberThreshold {
    let schedule = match loss.huber_schedule {
        config::HuberSchedule::Constant => HuberSchedule::Constant,
        config::HuberSchedule::Exponential => HuberSchedule::Exponential,
        config::HuberSchedule::Snr => HuberSchedule::Snr,
    };
    HuberThreshold { schedule, c: loss.huber_c, scale: loss.huber_scale }
}

fn loss_weights(config: &TrainConfig) -> LossWeights {
    LossWeights {
        min_snr_gamma: config.min_snr_gamma,
        scale_v_pred_loss_like_noise_pred: config.loss.scale_v_pred_loss_like_noise_pred,
        v_pred_like_loss: config.loss.v_pred_like_loss,
        debiased_estimation_loss: config.loss.debiased_estimation_loss,
    }
}

fn noise_rules(config: &TrainConfig) -> NoiseRules {
    let noise = &config.noise;
    let (iterations, discount) = (noise.multires_noise_iterations, noise.multires_noise_discount);
    NoiseRules {
        offset: config.noise_offset,
        offset_random_strength: noise.noise_offset_random_strength,
        adaptive_scale: noise.adaptive_noise_scale,
        multires: (iterations > 0).then_some(Multires { iterations, discount }),
        ip_gamma: noise.ip_noise_gamma,
        ip_gamma_random_strength: noise.ip_noise_gamma_random_strength,
    }
}
