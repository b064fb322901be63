//! Optimizers that find their step size from an estimate of the distance to the solution.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    ops::{flat_workgroups, reduction_workgroups},
    tape::{Arg, Lowering, Op, Tape, Value},
};

use super::{Part, Parts, UpdateValues};

/// Slots that all of them have, in this order: m, v, s.
const SLOTS: usize = 3;

/// Elements of the kernels' `Numbers`.
const NUMBERS: usize = 16;

/// A shader that fills in `shared/distance.wgsl`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Distance {
    pub name: &'static str,
    pub file: &'static str,
    /// Slots besides m, v and s, which `measure` reads.
    pub own_slots: usize,
}

/// What is shared at first, in the order of the kernels' `Distance`: d, d_max, numerator, whether the last update moved
/// anything, and both bias corrections.
pub(super) fn shared(d0: f64) -> Vec<f32> {
    vec![d0 as f32, d0 as f32, 0.0, 0.0, 0.0, 0.0]
}

/// The settings that all of them have, and those of their own.
pub(super) struct Settings {
    pub rate: f64,
    pub largest_rate: f64,
    pub betas: [f64; 2],
    pub beta3: f64,
    pub eps: f64,
    pub weight_decay: f64,
    pub decouple: bool,
    pub use_bias_correction: bool,
    pub growth_rate: f64,
    pub own: [f64; 3],
}

/// Faster than anything grows, but finite: a shader may assume that all numbers are.
const UNLIMITED_GROWTH: f64 = 1e30;

impl Settings {
    /// In the order of the kernels' `Settings`.
    pub(super) fn numbers(&self) -> [f64; super::SETTINGS] {
        let Self { rate, largest_rate, betas: [beta1, beta2], beta3, eps, weight_decay, own, .. } = *self;
        let (decoupled, coupled) = if self.decouple { (weight_decay, 0.0) } else { (0.0, weight_decay) };
        let corrects_bias = f64::from(u8::from(self.use_bias_correction));
        let growth_rate = self.growth_rate.min(UNLIMITED_GROWTH);
        let [beta1s, beta2s, beta3s] = [beta1, beta2, beta3].map(|beta| [beta, 1.0 - beta]);
        let decays = [eps, decoupled, coupled, corrects_bias];
        let all = [&[rate, largest_rate][..], &beta1s, &beta2s, &beta3s, &decays, &[growth_rate], &own].concat();
        all.try_into().expect("as many settings as there are")
    }
}

#[derive(Debug)]
struct DistanceOp {
    distance: Distance,
    /// The group of each shard.
    shards: Vec<usize>,
    groups: usize,
}

#[repr(C)]
#[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
    workgroups: u32,
    first: u32,
    partials: u32,
    group: u32,
}

impl Distance {
    /// Records the update of all shards.
    ///
    /// # Panics
    /// Where sizes differ or are no multiple of 4.
    pub(super) fn record(self, tape: &mut Tape, parts: &Parts, update: UpdateValues<'_>) {
        let shared = parts.shared.expect("a distance is shared by all parameters");
        let mut inputs = vec![shared, update.clip];
        inputs.extend(update.settings);
        for part in &parts.shards {
            inputs.extend(self.inputs_of(tape, part));
        }
        let shards = parts.shards.iter().map(|part| part.group).collect();
        tape.push_effect(DistanceOp { distance: self, shards, groups: update.settings.len() }, &inputs);
    }

    fn inputs_of(self, tape: &Tape, part: &Part) -> Vec<Value> {
        let mut values = vec![part.parameters, part.gradients];
        values.extend(&part.slots);
        assert_eq!(part.slots.len(), SLOTS + self.own_slots, "{}: slots", self.name);
        let count = tape.elements(part.parameters);
        assert_eq!(count % 4, 0, "{}: {count} parameters are no multiple of 4", self.name);
        for &value in &values {
            assert_eq!(tape.elements(value), count, "{}: size of {}", self.name, tape.name(value));
        }
        values
    }
}

/// A shard's values while lowering.
struct ShardValues {
    values: Vec<Value>, // parameters, gradients, slots
    params: Params,
}

impl DistanceOp {
    fn kernel(&self, entry: &'static str, bindings: &[crate::gpu::Access]) -> KernelSpec {
        KernelSpec::new(self.distance.file, entry, bindings)
    }

    fn shards(&self, lowering: &Lowering<'_>) -> Vec<ShardValues> {
        let each = 2 + SLOTS + self.distance.own_slots;
        let start = 2 + self.groups;
        let mut partials = 0;
        let shard = |(index, &group): (usize, &usize)| {
            let values: Vec<Value> = (0..each).map(|value| lowering.input(start + index * each + value)).collect();
            let count = lowering.elements(values[0]) / 4;
            let workgroups = reduction_workgroups(count) as u32;
            partials += workgroups;
            let first = partials - workgroups;
            ShardValues {
                values,
                params: Params { count: count as u32, workgroups, first, partials: 0, group: group as u32 },
            }
        };
        let mut shards: Vec<ShardValues> = self.shards.iter().enumerate().map(shard).collect();
        shards.iter_mut().for_each(|shard| shard.params.partials = partials);
        shards
    }

    fn begin(&self, lowering: &mut Lowering<'_>, numbers: Value) {
        let kernel = self.kernel("begin", &[Read, Read, Read, Write]);
        for group in 0..self.groups {
            let settings = lowering.input(2 + group);
            let args = vec![lowering.input(0).into(), lowering.input(1).into(), settings.into(), numbers.into()];
            let params = Params { group: group as u32, ..Params::default() };
            lowering.launch(kernel.clone(), args, &params, [1, 1, 1], Cost { flops: 32, bytes: 256 });
        }
    }

    fn measure(&self, lowering: &mut Lowering<'_>, shard: &ShardValues, numbers: Value, partials: Value) {
        let mut bindings = vec![Read, Read, Write, Write, Write, Read, Write];
        let [parameters, gradients, m, v, s, own @ ..] = &shard.values[..] else {
            unreachable!("inputs_of counts them")
        };
        let mut args: Vec<Arg> =
            [*parameters, *gradients, *m, *v, *s, numbers, partials].into_iter().map(Arg::from).collect();
        bindings.extend(own.iter().map(|_| Read));
        args.extend(own.iter().map(|&value| Arg::from(value)));
        let count = u64::from(shard.params.count);
        let cost = Cost { flops: 80 * count, bytes: 16 * count * (8 + own.len() as u64) };
        let workgroups = [shard.params.workgroups, 1, 1];
        lowering.launch(self.kernel("measure", &bindings), args, &shard.params, workgroups, cost);
    }

    fn apply(&self, lowering: &mut Lowering<'_>, shard: &ShardValues, numbers: Value) {
        let values = [shard.values[0], shard.values[2], shard.values[3], numbers, lowering.input(0)];
        let kernel = self.kernel("apply", &[Write, Read, Read, Read, Read]);
        let count = shard.params.count as usize;
        let cost = Cost { flops: 32 * count as u64, bytes: 64 * count as u64 };
        let args = values.into_iter().map(Arg::from).collect();
        lowering.launch(kernel, args, &shard.params, flat_workgroups(count), cost);
    }
}

impl Op for DistanceOp {
    fn name(&self) -> &'static str {
        self.distance.name
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let shards = self.shards(lowering);
        let Some(last) = shards.last() else { return };
        let count = last.params.partials;
        let numbers = lowering.scratch("numbers", &[self.groups, NUMBERS]);
        let partials = lowering.scratch("partials", &[count as usize, 2]);
        self.begin(lowering, numbers);
        for shard in &shards {
            self.measure(lowering, shard, numbers, partials);
        }
        let args = vec![partials.into(), numbers.into(), lowering.input(2).into(), lowering.input(0).into()];
        let cost = Cost { flops: 2 * u64::from(count), bytes: 8 * u64::from(count) };
        lowering.launch(self.kernel("finish", &[Read, Read, Read, Write]), args, &last.params, [1, 1, 1], cost);
        for shard in &shards {
            self.apply(lowering, shard, numbers);
        }
    }
}
