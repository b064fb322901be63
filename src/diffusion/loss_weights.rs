//! What the loss of a sample is multiplied by, as a function of its timestep's signal-to-noise ratio: the options of
//! sd-scripts, by its names and in its order.
//!
//! Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy" (min-SNR); sd-scripts'
//! `custom_train_functions.py` (the others).

use super::NoiseSchedule;
use crate::families::Prediction;

/// sd-scripts cuts ratios down to it, except for min-SNR: at timestep 0 of Stable Diffusion v1 the ratio is 1176.
const LARGEST_SNR: f64 = 1000.0;

/// The weights of a run; those that are on multiply each other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossWeights {
    /// γ: min(SNR, γ)/SNR for ε, min(SNR, γ)/(SNR + 1) for v.
    pub min_snr_gamma: Option<f64>,
    /// SNR/(SNR + 1): the loss of v on the scale of ε's. Means nothing for ε.
    pub scale_v_pred_loss_like_noise_pred: bool,
    /// r: adds r·(SNR + 1)/SNR of the loss of ε to itself; 0 = off. Means nothing for v.
    pub v_pred_like_loss: f64,
    /// 1/√SNR for ε, 1/(SNR + 1) for v as in sd-scripts (OneTrainer has 1/√(SNR + 1)).
    pub debiased_estimation_loss: bool,
}

impl LossWeights {
    /// The weight of a sample at `timestep`; 1 where nothing is on.
    ///
    /// `schedule` is the one the model was made with. Under zero terminal SNR sd-scripts keeps its ratios too, and so
    /// its weights: those of the shifted schedule would be 0/0 at the last timestep.
    pub fn at(&self, schedule: &NoiseSchedule, prediction: Prediction, timestep: usize) -> f64 {
        let mut weight = self.min_snr_gamma.map_or(1.0, |gamma| schedule.min_snr_weight(prediction, timestep, gamma));
        let snr = schedule.snr(timestep).min(LARGEST_SNR);
        if self.scale_v_pred_loss_like_noise_pred {
            weight *= snr / (snr + 1.0);
        }
        if self.v_pred_like_loss > 0.0 {
            weight += weight * (snr + 1.0) / snr * self.v_pred_like_loss;
        }
        if self.debiased_estimation_loss {
            weight *= match prediction {
                Prediction::Epsilon => snr.powf(-0.5),
                Prediction::VPrediction => 1.0 / (snr + 1.0),
            };
        }
        weight
    }
}
