//! The learning rate of each optimizer step, as `get_scheduler` of diffusers and transformers computes it; REX as
//! OneTrainer does.

use crate::config::{LrScheduler, POLYNOMIAL_END_RATE, TrainConfig, Warmup};
use std::f64::consts::PI;

/// How sharply REX bends (Chen et al., "REX: Revisiting Budgeted Training with an Improved Schedule", which has 0.5): as
/// in OneTrainer and LoRA_Easy_Training_Scripts.
const REX_BEND: f64 = 0.9;

/// `timescale` of `inverse_sqrt` in a run without warm-up, as transformers has it.
const DEFAULT_TIMESCALE: u32 = 10_000;

/// A learning rate for every optimizer step of a run.
#[derive(Clone, Copy, Debug)]
pub struct LrSchedule {
    kind: LrScheduler,
    base_rate: f64,
    warmup_steps: u32,
    total_steps: u32,
    cycles: f64,
    power: f64,
    min_ratio: f64,
    timescale: f64,
    decay_steps: u32,
}

impl LrSchedule {
    /// The U-Net's schedule over a run of `total_steps` optimizer steps.
    pub fn new(config: &TrainConfig, total_steps: u32) -> Self {
        let steps = |length| match length {
            Warmup::Steps(steps) => steps,
            Warmup::Share(share) => (share * f64::from(total_steps)) as u32,
        };
        let warmup_steps = steps(config.lr_warmup_steps);
        let own_timescale = if warmup_steps > 0 { warmup_steps } else { DEFAULT_TIMESCALE };
        Self {
            kind: config.lr_scheduler,
            base_rate: config.unet_lr,
            warmup_steps,
            total_steps,
            cycles: f64::from(config.lr_scheduler_num_cycles),
            power: config.lr_scheduler_power,
            min_ratio: config.lr_scheduler_min_lr_ratio,
            timescale: f64::from(config.lr_scheduler_timescale.unwrap_or(own_timescale)),
            decay_steps: steps(config.lr_decay_steps),
        }
    }

    /// The same for a parameter group of another rate.
    #[must_use]
    pub fn at_rate(&self, base_rate: f64) -> Self {
        Self { base_rate, ..*self }
    }

    /// Optimizer steps of the warm-up.
    pub fn warmup_steps(&self) -> u32 {
        self.warmup_steps
    }

    /// The learning rate of optimizer step `step`, counted from 0. With warm-up, step 0 has rate 0.
    pub fn rate(&self, step: u32) -> f64 {
        self.base_rate * self.factor(step)
    }

    fn factor(&self, step: u32) -> f64 {
        if self.kind == LrScheduler::Constant {
            return 1.0;
        }
        if step < self.warmup_steps {
            return self.warmup(f64::from(step) / f64::from(self.warmup_steps));
        }
        let progress = self.progress(step);
        match self.kind {
            LrScheduler::Constant | LrScheduler::ConstantWithWarmup => 1.0,
            LrScheduler::Linear => (1.0 - progress).max(0.0),
            LrScheduler::Cosine => half_cosine(progress),
            LrScheduler::CosineWithRestarts if progress >= 1.0 => 0.0,
            LrScheduler::CosineWithRestarts => half_cosine((self.cycles * progress).fract()),
            LrScheduler::Polynomial => self.polynomial(progress),
            LrScheduler::CosineWithMinLr => self.above_least(half_cosine(self.cycles * progress)),
            LrScheduler::InverseSqrt => {
                (self.timescale / (f64::from(step - self.warmup_steps) + self.timescale)).sqrt()
            }
            LrScheduler::WarmupStableDecay => self.stable_decay(step),
            LrScheduler::Rex => rex(progress),
        }
    }

    /// The factor at a share of the warm-up. transformers begins `warmup_stable_decay` at the least rate.
    fn warmup(&self, share: f64) -> f64 {
        if self.kind == LrScheduler::WarmupStableDecay { self.above_least(share) } else { share }
    }

    /// The full rate until the last `decay_steps`, then half a cosine wave for each cycle.
    fn stable_decay(&self, step: u32) -> f64 {
        let first = self.total_steps.saturating_sub(self.decay_steps).max(self.warmup_steps);
        if step < first {
            return 1.0;
        }
        let share = f64::from(step - first) / f64::from(self.decay_steps.max(1));
        self.above_least(if share < 1.0 { half_cosine(self.cycles * share) } else { 0.0 })
    }

    /// A factor from 0 to 1 as one from the least ratio to 1.
    fn above_least(&self, factor: f64) -> f64 {
        factor * (1.0 - self.min_ratio) + self.min_ratio
    }

    /// Share of the steps after warm-up that are done: 0 at the end of warm-up, 1 at the end of the run, then more.
    fn progress(&self, step: u32) -> f64 {
        let decay_steps = self.total_steps.saturating_sub(self.warmup_steps).max(1);
        f64::from(step - self.warmup_steps) / f64::from(decay_steps)
    }

    fn polynomial(&self, progress: f64) -> f64 {
        let remaining = (1.0 - progress).max(0.0);
        let rate = (self.base_rate - POLYNOMIAL_END_RATE) * remaining.powf(self.power) + POLYNOMIAL_END_RATE;
        rate / self.base_rate
    }
}

/// From 1 at `progress` 0 to 0 at 1 along half a cosine wave.
fn half_cosine(progress: f64) -> f64 {
    (0.5 * (1.0 + (PI * progress).cos())).max(0.0)
}

/// (1 − p)/((1 − d) + d·(1 − p)): the full rate for long, then a quick fall to 0.
fn rex(progress: f64) -> f64 {
    let remaining = (1.0 - progress).max(0.0);
    remaining / ((1.0 - REX_BEND) + REX_BEND * remaining)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn schedule(case: &Value, base_rate: f64) -> LrSchedule {
        let whole = |key: &str| u32::try_from(case[key].as_u64().unwrap()).unwrap();
        let kind = match case["name"].as_str().unwrap() {
            "constant" => LrScheduler::Constant,
            "constant_with_warmup" => LrScheduler::ConstantWithWarmup,
            "linear" => LrScheduler::Linear,
            "cosine" => LrScheduler::Cosine,
            "cosine_with_restarts" => LrScheduler::CosineWithRestarts,
            "polynomial" => LrScheduler::Polynomial,
            "cosine_with_min_lr" => LrScheduler::CosineWithMinLr,
            "inverse_sqrt" => LrScheduler::InverseSqrt,
            "warmup_stable_decay" => LrScheduler::WarmupStableDecay,
            "rex" => LrScheduler::Rex,
            other => panic!("{other}"),
        };
        LrSchedule {
            kind,
            base_rate,
            warmup_steps: whole("warmup"),
            total_steps: whole("total"),
            cycles: f64::from(whole("cycles")),
            power: case["power"].as_f64().unwrap(),
            min_ratio: case["min_ratio"].as_f64().unwrap(),
            timescale: case["timescale"].as_f64().unwrap(),
            decay_steps: whole("decay"),
        }
    }

    /// Recorded by tools/record_lr_schedules.py; both sides compute in f64, in another order. 1e-12 of the base rate.
    #[test]
    fn rates_equal_diffusers_and_transformers() {
        let recorded: Value = serde_json::from_str(include_str!("fixtures/lr_schedules.json")).unwrap();
        let base_rate = recorded["learning_rate"].as_f64().unwrap();
        for case in recorded["cases"].as_array().unwrap() {
            let schedule = schedule(case, base_rate);
            for (step, rate) in case["rates"].as_array().unwrap().iter().enumerate() {
                let (ours, theirs) = (schedule.rate(step as u32), rate.as_f64().unwrap());
                assert!((ours - theirs).abs() < 1e-12 * base_rate, "{} step {step}: {ours} {theirs}", case["name"]);
            }
        }
    }

    #[test]
    fn warm_up_as_a_share_is_rounded_down() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.yaml");
        std::fs::write(&path, "base_model: a\ntrain_data_dir: b\nlr_warmup_steps: 0.05\nunet_lr: 1e-4").unwrap();
        let schedule = LrSchedule::new(&crate::config::load(&path, &[]).unwrap().config, 119);
        assert_eq!(schedule.warmup_steps, 5);
        assert_eq!(schedule.rate(5), 1e-4);
        assert!(schedule.rate(4) < 1e-4 && schedule.rate(6) < 1e-4);
    }

    #[test]
    fn a_run_shorter_than_its_warm_up_has_finite_rates() {
        for name in ["polynomial", "cosine_with_min_lr", "inverse_sqrt", "warmup_stable_decay", "rex"] {
            let case = serde_json::json!({"name": name, "warmup": 10, "total": 4, "cycles": 1, "power": 1.0,
                "min_ratio": 0.1, "timescale": 10.0, "decay": 3});
            let schedule = schedule(&case, 1e-4);
            assert!((0..20).all(|step| (0.0..=1e-4).contains(&schedule.rate(step))), "{name}");
        }
    }
}
