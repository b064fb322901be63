//! What a LoRA file says about loss and noise, in the words and spellings of sd-scripts.

use super::python::{python_bool, python_float};

/// Options of loss and noise; a number of 0 stands for one that is off.
#[derive(Clone, Debug, Default)]
pub struct LossMetadata {
    /// `l2`, `l1`, `huber` or `smooth_l1`.
    pub loss_type: String,
    /// `constant`, `exponential` or `snr`.
    pub huber_schedule: String,
    pub huber_c: f64,
    pub huber_scale: f64,
    pub min_snr_gamma: f64,
    pub debiased_estimation: bool,
    pub zero_terminal_snr: bool,
    /// Whether masks say where the loss counts.
    pub masked_loss: bool,
    /// The first timestep and the one after the last.
    pub timesteps: (u32, u32),
    pub noise_offset: f64,
    pub noise_offset_random_strength: bool,
    pub adaptive_noise_scale: f64,
    pub multires_noise_iterations: u32,
    pub multires_noise_discount: f64,
    pub ip_noise_gamma: f64,
    pub ip_noise_gamma_random_strength: bool,
}

impl LossMetadata {
    pub(super) fn entries(&self) -> Vec<(&'static str, String)> {
        let iterations = self.multires_noise_iterations;
        vec![
            ("ss_loss_type", self.loss_type.clone()),
            ("ss_huber_schedule", self.huber_schedule.clone()),
            ("ss_huber_c", python_float(self.huber_c)),
            ("ss_huber_scale", python_float(self.huber_scale)),
            ("ss_min_snr_gamma", number_or_none(self.min_snr_gamma)),
            ("ss_debiased_estimation", python_bool(self.debiased_estimation)),
            ("ss_zero_terminal_snr", python_bool(self.zero_terminal_snr)),
            // Not written by sd-scripts, but shown by readers of LoRA metadata.
            ("ss_masked_loss", python_bool(self.masked_loss)),
            ("ss_noise_offset", number_or_none(self.noise_offset)),
            ("ss_noise_offset_random_strength", python_bool(self.noise_offset_random_strength)),
            ("ss_adaptive_noise_scale", number_or_none(self.adaptive_noise_scale)),
            ("ss_multires_noise_iterations", if iterations > 0 { iterations.to_string() } else { none() }),
            ("ss_multires_noise_discount", python_float(self.multires_noise_discount)),
            ("ss_ip_noise_gamma", number_or_none(self.ip_noise_gamma)),
            ("ss_ip_noise_gamma_random_strength", python_bool(self.ip_noise_gamma_random_strength)),
        ]
    }

    /// `modelspec.timestep_range`.
    pub(super) fn timestep_range(&self) -> String {
        format!("{},{}", self.timesteps.0, self.timesteps.1)
    }
}

fn none() -> String {
    "None".to_owned()
}

fn number_or_none(number: f64) -> String {
    if number == 0.0 { none() } else { python_float(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_spelled_as_sd_scripts_spells_them() {
        let loss = LossMetadata {
            loss_type: "huber".to_owned(),
            huber_c: 0.1,
            multires_noise_iterations: 6,
            timesteps: (0, 1000),
            adaptive_noise_scale: -0.01,
            ..LossMetadata::default()
        };
        let entries = loss.entries();
        for (key, value) in [
            ("ss_loss_type", "huber"),
            ("ss_huber_c", "0.1"),
            ("ss_min_snr_gamma", "None"),
            ("ss_zero_terminal_snr", "False"),
            ("ss_masked_loss", "False"),
            ("ss_adaptive_noise_scale", "-0.01"),
            ("ss_multires_noise_iterations", "6"),
            ("ss_ip_noise_gamma", "None"),
        ] {
            assert!(entries.contains(&(key, value.to_owned())), "{key}: {entries:?}");
        }
        assert_eq!(loss.timestep_range(), "0,1000");
    }
}
