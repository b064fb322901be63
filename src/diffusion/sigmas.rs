//! Noise levels σ = √((1−ᾱ)/ᾱ) of the model, and those at which a sampler calls it.
//!
//! Karras, Aittala, Aila, Laine: "Elucidating the Design Space of Diffusion-Based Generative Models" (σ, its schedule);
//! k-diffusion's `DiscreteSchedule` (timesteps between the model's own); diffusers' `DDIMScheduler` and `LCMScheduler`
//! (their timesteps). All in f64 from the f32 ᾱ of the checkpoint's schedule.

use super::schedule::NoiseSchedule;

/// ρ of the Karras schedule.
const RHO: f64 = 7.0;
/// Steps of the schedule from which a latent consistency model was distilled.
pub const LCM_DISTILLED_STEPS: usize = 50;
/// Where the WebUIs and Stable Diffusion's own scheduler configuration let DDIM's timesteps begin.
const DDIM_OFFSET: usize = 1;

/// One noise level: the timestep that the U-Net is told, a fraction where it lies between two trained ones, and σ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    pub timestep: f64,
    pub sigma: f64,
}

impl Level {
    /// √ᾱ = 1/√(σ²+1), the factor of the picture in variance-preserving latents.
    pub fn signal(self) -> f64 {
        (self.sigma * self.sigma + 1.0).sqrt().recip()
    }

    /// √(1−ᾱ) = σ/√(σ²+1), the factor of the noise there.
    pub fn noise(self) -> f64 {
        self.sigma * self.signal()
    }
}

/// How the k-diffusion samplers' levels lie between the model's strongest and weakest noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Evenly spaced timesteps, from the last to 0.
    Normal,
    /// Evenly spaced σ^(1/7).
    Karras,
}

/// σ of each trained timestep, ascending.
#[derive(Clone, Debug)]
pub struct ModelSigmas {
    sigmas: Vec<f64>,
}

impl ModelSigmas {
    pub fn new(schedule: &NoiseSchedule) -> Self {
        let sigma = |timestep| {
            let alpha = f64::from(schedule.alpha_cumprod(timestep));
            ((1.0 - alpha) / alpha).sqrt()
        };
        Self { sigmas: (0..schedule.timesteps()).map(sigma).collect() }
    }

    /// The level of a trained timestep.
    pub fn level(&self, timestep: usize) -> Level {
        Level { timestep: timestep as f64, sigma: self.sigmas[timestep] }
    }

    /// The level of any σ ≥ 0.
    pub fn level_of_sigma(&self, sigma: f64) -> Level {
        Level { timestep: self.timestep(sigma), sigma }
    }

    /// Timestep of `sigma`: log σ is linear between trained timesteps; beyond them, the first or last.
    pub fn timestep(&self, sigma: f64) -> f64 {
        let above = self.sigmas.partition_point(|&trained| trained <= sigma);
        let low = above.saturating_sub(1).min(self.sigmas.len() - 2);
        let (from, to) = (self.sigmas[low].ln(), self.sigmas[low + 1].ln());
        let fraction = (sigma.ln() - from) / (to - from);
        low as f64 + fraction.clamp(0.0, 1.0)
    }

    /// σ at `timestep` in 0..=999, by the same interpolation.
    pub fn sigma(&self, timestep: f64) -> f64 {
        let (low, high) = (timestep.floor() as usize, timestep.ceil() as usize);
        let fraction = timestep.fract();
        ((1.0 - fraction) * self.sigmas[low].ln() + fraction * self.sigmas[high].ln()).exp()
    }

    /// `steps` levels of falling noise and the end, σ = 0.
    pub fn scheduled(&self, schedule: Schedule, steps: usize) -> Vec<Level> {
        let sigma = |share| match schedule {
            Schedule::Normal => self.sigma((self.sigmas.len() - 1) as f64 * (1.0 - share)),
            Schedule::Karras => self.karras(share),
        };
        let last = steps.saturating_sub(1).max(1) as f64;
        let sigmas = (0..steps).map(|index| sigma(index as f64 / last)).chain([0.0]);
        sigmas.map(|sigma| self.level_of_sigma(sigma)).collect()
    }

    /// (σ_max^(1/ρ) + share·(σ_min^(1/ρ) − σ_max^(1/ρ)))^ρ
    fn karras(&self, share: f64) -> f64 {
        let root = |index: usize| self.sigmas[index].powf(RHO.recip());
        let (min, max) = (root(0), root(self.sigmas.len() - 1));
        (max + share * (min - max)).powf(RHO)
    }

    /// DDIM's levels, spaced as diffusers' "leading": multiples of ⌊1000/steps⌋, plus 1. The end is the first trained
    /// timestep, not σ = 0 (`set_alpha_to_one: false`). `steps` is at most 1000.
    pub fn ddim(&self, steps: usize) -> Vec<Level> {
        let spacing = self.sigmas.len() / steps;
        let timestep = |index: usize| (index * spacing + DDIM_OFFSET).min(self.sigmas.len() - 1);
        (0..steps).rev().map(timestep).chain([0]).map(|timestep| self.level(timestep)).collect()
    }

    /// LCM's levels: `steps` of the 50 timesteps it was distilled at (19, 39, … 999), from the last one down at even
    /// distances, rounded towards more noise; then σ = 0. `steps` is at most 50.
    pub fn lcm(&self, steps: usize) -> Vec<Level> {
        let spacing = self.sigmas.len() / LCM_DISTILLED_STEPS;
        let stride = LCM_DISTILLED_STEPS as f64 / steps as f64;
        let distilled = |index: usize| LCM_DISTILLED_STEPS - (index as f64 * stride).floor() as usize;
        let trained = (0..steps).map(|index| self.level(distilled(index) * spacing - 1));
        trained.chain([self.level_of_sigma(0.0)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Recorded by tools/record_samplers.py.
    fn recorded() -> Value {
        serde_json::from_str(include_str!("fixtures/samplers.json")).unwrap()
    }

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    }

    fn model() -> ModelSigmas {
        ModelSigmas::new(&NoiseSchedule::stable_diffusion())
    }

    fn assert_close(ours: &[f64], theirs: &[f64], tolerance: f64, what: &str) {
        assert_eq!(ours.len(), theirs.len(), "{what}");
        for (index, (a, b)) in ours.iter().zip(theirs).enumerate() {
            assert!((a - b).abs() <= tolerance * b.abs(), "{what}[{index}]: {a}, recorded {b}");
        }
    }

    fn sigmas(levels: &[Level]) -> Vec<f64> {
        levels.iter().map(|level| level.sigma).collect()
    }

    fn timesteps(levels: &[Level]) -> Vec<f64> {
        levels[..levels.len() - 1].iter().map(|level| level.timestep).collect()
    }

    #[test]
    fn sigmas_of_the_model() {
        assert_close(&model().sigmas, &numbers(&recorded()["model_sigmas"]), 1e-6, "σ");
    }

    /// In f32 σ is off by some 1e-7 of itself, and where the timesteps lie closest, 0.4 % of σ is a whole timestep.
    const TIMESTEP_TOLERANCE: f64 = 1e-3;

    #[test]
    fn schedules_equal_k_diffusion() {
        for case in recorded()["schedules"].as_array().unwrap() {
            let steps = case["steps"].as_u64().unwrap() as usize;
            for (schedule, name) in [(Schedule::Normal, "normal"), (Schedule::Karras, "karras")] {
                let levels = model().scheduled(schedule, steps);
                let what = format!("{name} {steps}");
                assert_close(&sigmas(&levels), &numbers(&case[name]["sigmas"]), 1e-6, &what);
                for (ours, theirs) in timesteps(&levels).iter().zip(numbers(&case[name]["timesteps"])) {
                    assert!((ours - theirs).abs() < TIMESTEP_TOLERANCE, "{what}: timestep {ours}, recorded {theirs}");
                }
            }
        }
    }

    #[test]
    fn ddim_and_lcm_timesteps_equal_diffusers() {
        for (name, levels) in
            [("ddim", ModelSigmas::ddim as fn(&ModelSigmas, usize) -> Vec<Level>), ("lcm", ModelSigmas::lcm)]
        {
            for case in recorded()[name].as_array().unwrap() {
                let steps = case["steps"].as_u64().unwrap() as usize;
                assert_eq!(timesteps(&levels(&model(), steps)), numbers(&case["timesteps"]), "{name} {steps}");
            }
        }
    }

    #[test]
    fn timestep_and_sigma_are_inverse_and_clamped() {
        let model = model();
        for timestep in [0.0, 0.25, 17.0, 500.5, 998.75, 999.0] {
            assert!((model.timestep(model.sigma(timestep)) - timestep).abs() < 1e-9, "{timestep}");
        }
        assert_eq!(model.timestep(0.0), 0.0);
        assert_eq!(model.timestep(100.0), 999.0);
    }

    #[test]
    fn ddim_ends_at_the_first_timestep_and_stays_within_the_last() {
        let levels = model().ddim(1000);
        assert_eq!(levels[0].timestep, 999.0);
        assert_eq!(levels[1000], model().level(0));
    }
}
