//! The running average of what is trained.

use anyhow::Result;

use crate::{
    adapters::{Shard, Store},
    gpu::{
        Access::{Read, Write},
        Buffer, Cost, Gpu, KernelSpec,
    },
    ops::flat_workgroups,
    tape::{Lowering, Op, Tape, Value},
};

/// How fast the average follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EmaRule {
    /// diffusers' `EMAModel`: k = update − update_after_step − 1; a copy up to k = 0, then
    /// min((1 + k)/(10 + k), decay), or min(1 − (1 + k/inv_gamma)^−power, decay) with (inv_gamma, power) as warm-up; at
    /// least min_decay.
    Diffusers { decay: f64, min_decay: f64, update_after_step: u32, warmup: Option<(f64, f64)> },
    /// OneTrainer: min((1 + n)/(10 + n), decay), n = update − 1, in every so many updates only.
    OneTrainer { decay: f64, update_step_interval: u32 },
}

impl EmaRule {
    /// The share of the way to the parameters that the average goes in update `update` (from 1): 1 − decay; 0 where it is
    /// left alone.
    pub fn weight(&self, update: u32) -> f64 {
        match *self {
            Self::Diffusers { decay, min_decay, update_after_step, warmup } => {
                let k = f64::from(update.saturating_sub(update_after_step.saturating_add(1)));
                if k == 0.0 {
                    return 1.0;
                }
                let rising = match warmup {
                    Some((inv_gamma, power)) => 1.0 - (1.0 + k / inv_gamma).powf(-power),
                    None => (1.0 + k) / (10.0 + k),
                };
                1.0 - rising.min(decay).max(min_decay)
            }
            Self::OneTrainer { update_step_interval, .. } if !update.is_multiple_of(update_step_interval) => 0.0,
            Self::OneTrainer { decay, .. } => {
                let n = f64::from(update) - 1.0;
                1.0 - decay.min((1.0 + n) / (10.0 + n))
            }
        }
    }
}

/// An average of every trained shard.
pub struct Ema {
    /// The shard's place in the store, and its average.
    shadows: Vec<(usize, Buffer)>,
}

impl Ema {
    /// Nothing is allocated yet.
    pub fn new(store: &Store) -> Self {
        let shadow = |(index, shard): (usize, &Shard)| {
            (index, Buffer::declare(format!("average {index}"), 4 * shard.elements as u64))
        };
        Self { shadows: store.trained().map(shadow).collect() }
    }

    /// Device memory.
    pub fn bytes(&self) -> u64 {
        self.shadows.iter().map(|(_, buffer)| buffer.bytes()).sum()
    }

    /// Begins anew, from the parameters that lie in `store`.
    pub fn reset(&self, gpu: &Gpu, store: &Store) {
        for (shard, shadow) in &self.shadows {
            gpu.copy(&store.shards[*shard].parameters.whole(), &shadow.whole());
        }
    }

    /// Every buffer with a name of its own, for saving and restoring.
    pub fn buffers(&self) -> impl Iterator<Item = (String, &Buffer)> {
        self.shadows.iter().map(|(shard, buffer)| (format!("average/{shard}"), buffer))
    }

    /// Records a step of the average; `weight` (1) comes from [`EmaRule::weight`].
    pub fn record(&self, tape: &mut Tape, store: &Store, weight: Value) {
        assert_eq!(tape.elements(weight), 1, "ema: size of weight");
        for (index, shadow) in &self.shadows {
            let shard = &store.shards[*index];
            let [shadow, parameters] = [shadow, &shard.parameters].map(|buffer| shard.on(tape, buffer));
            tape.push_effect(EmaStep, &[shadow, parameters, weight]);
        }
    }

    /// The average of every tensor, in its order in files; of untrained ones the tensor itself.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn read(&self, gpu: &Gpu, store: &Store) -> Result<Vec<Vec<f32>>> {
        let mut values = store.read(gpu, |shard| &shard.parameters)?;
        for (index, shadow) in &self.shadows {
            let flat: Vec<f32> = bytemuck::pod_collect_to_vec(&gpu.read(&shadow.whole())?);
            for (placed, values) in store.tensors.iter().zip(&mut values).filter(|(placed, _)| placed.shard == *index) {
                *values = placed.load(&flat);
            }
        }
        Ok(values)
    }
}

#[derive(Debug)]
struct EmaStep;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
}

impl Op for EmaStep {
    fn name(&self) -> &'static str {
        "ema"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let count = lowering.elements(lowering.input(0)) / 4;
        let kernel = KernelSpec::new("ema.wgsl", "step", &[Write, Read, Read]);
        let args = (0..3).map(|index| lowering.input(index).into()).collect();
        let cost = Cost { flops: 12 * count as u64, bytes: 48 * count as u64 };
        lowering.launch(kernel, args, &Params { count: count as u32 }, flat_workgroups(count), cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_differ_by_one_update() {
        let diffusers = EmaRule::Diffusers { decay: 0.3, min_decay: 0.0, update_after_step: 0, warmup: None };
        let one_trainer = EmaRule::OneTrainer { decay: 0.3, update_step_interval: 1 };
        // After one update diffusers' average equals the parameters, OneTrainer's has gone nine tenths of the way.
        assert_eq!([1, 2, 3].map(|update| diffusers.weight(update)), [1.0, 1.0 - 2.0 / 11.0, 1.0 - 3.0 / 12.0]);
        assert_eq!([1, 2].map(|update| one_trainer.weight(update)), [1.0 - 0.1, 1.0 - 2.0 / 11.0]);
        assert_eq!((diffusers.weight(100), one_trainer.weight(100)), (0.7, 0.7));
        let seldom = EmaRule::OneTrainer { decay: 0.999, update_step_interval: 5 };
        assert_eq!([4, 6, 10].map(|update| seldom.weight(update)), [0.0, 0.0, 1.0 - 10.0 / 19.0]);
    }

    #[test]
    fn a_warm_up_and_a_least_decay() {
        let warmup = Some((1.0, 2.0 / 3.0));
        let rule = EmaRule::Diffusers { decay: 0.9999, min_decay: 0.5, update_after_step: 2, warmup };
        assert_eq!([1, 3].map(|update| rule.weight(update)), [1.0; 2]);
        assert_eq!(rule.weight(4), 0.5);
        assert!((rule.weight(1003) - 1001f64.powf(-2.0 / 3.0)).abs() < 1e-15);
    }
}
