//! The threshold c of the pseudo-Huber losses, as a function of the timestep: sd-scripts' `huber_schedule`.

use super::NoiseSchedule;

/// How the threshold moves from timestep 0 to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HuberSchedule {
    /// Not at all: C·s.
    Constant,
    /// s·C^(t/1000): from s at timestep 0 down to nearly C·s.
    Exponential,
    /// C + (1 − C)/(1 + σ)², σ² = (1 − ᾱ)/ᾱ: from nearly 1 down to nearly C.
    #[default]
    Snr,
}

/// Thresholds of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HuberThreshold {
    pub schedule: HuberSchedule,
    /// C, above 0: `huber_c`.
    pub c: f64,
    /// s, above 0: `huber_scale`. sd-scripts ignores it under [`HuberSchedule::Snr`], and so do we.
    pub scale: f64,
}

impl Default for HuberThreshold {
    /// sd-scripts' defaults.
    fn default() -> Self {
        Self { schedule: HuberSchedule::Snr, c: 0.1, scale: 1.0 }
    }
}

impl HuberThreshold {
    /// c of a sample at `timestep`. `noising` is the schedule that noise is added by: under zero terminal SNR the
    /// shifted one.
    pub fn at(&self, noising: &NoiseSchedule, timestep: usize) -> f64 {
        let Self { schedule, c, scale } = *self;
        match schedule {
            HuberSchedule::Constant => c * scale,
            HuberSchedule::Exponential => scale * (c.ln() / noising.timesteps() as f64 * timestep as f64).exp(),
            HuberSchedule::Snr => {
                let alpha = f64::from(noising.alpha_cumprod(timestep));
                // ᾱ = 0 makes σ infinite and c = C
                let sigma = ((1.0 - alpha) / alpha).sqrt();
                (1.0 - c) / (1.0 + sigma).powi(2) + c
            }
        }
    }
}
