//! The programs of a training: for each shape a step and its loss alone, then the update and the sum of gradients. They
//! share their memory slots: one runs at a time.

use std::{cell::Cell, collections::HashSet};

use crate::{
    adapters::Store,
    gpu::{Gpu, GpuError, KernelSpec, Pending},
    ops,
    tape::{Input, Plan, Program, Tape, prepared_bytes, shared_bytes},
};

use super::update::{PendingUpdate, RecordedUpdate, UpdateNumbers};

/// The name under which a pass keeps its loss, (1).
pub const LOSS: &str = "loss";

/// A recorded pass: its tape, which keeps [`LOSS`], and its inputs in the order in which a [`MicroBatch`] has them.
pub struct Recorded {
    pub tape: Tape,
    pub inputs: Vec<Input>,
}

/// What a task records for one shape of its data. Both passes have the same inputs.
pub struct RecordedShape {
    /// Forward and backward, with the gradients placed in a [`Store`].
    pub step: Recorded,
    /// Forward alone.
    pub probe: Recorded,
}

/// Inputs of one pass.
#[derive(Clone, Debug, Default)]
pub struct MicroBatch {
    /// Which of the recorded shapes it has.
    pub shape: usize,
    /// The bytes of each input.
    pub inputs: Vec<Vec<u8>>,
}

impl MicroBatch {
    /// Appends the next input.
    pub fn push<T: bytemuck::NoUninit>(&mut self, values: &[T]) {
        self.inputs.push(bytemuck::cast_slice(values).to_vec());
    }
}

/// The programs lowered and planned, before any memory is taken.
pub struct Plans {
    steps: Vec<(Plan, Vec<Input>)>,
    probes: Vec<(Plan, Vec<Input>)>,
    update: (Plan, RecordedUpdate),
    accumulate: Option<Plan>,
    /// Of other programs that share the slots.
    guests: Vec<Plan>,
}

impl Plans {
    /// Plans everything that a training replays. `update` is recorded over `store`; gradients are summed over several
    /// micro-batches where `store` has room for that.
    ///
    /// # Errors
    /// A value too large for the device.
    pub fn new(
        gpu: &Gpu,
        store: &Store,
        shapes: Vec<RecordedShape>,
        (update_tape, update): (Tape, RecordedUpdate),
    ) -> Result<Self, GpuError> {
        let planned = |name: &str, Recorded { tape, inputs }| Ok((Plan::new(name, tape, gpu.caps())?, inputs));
        let (mut steps, mut probes) = (Vec::new(), Vec::new());
        for RecordedShape { step, probe } in shapes {
            steps.push(planned("step", step)?);
            probes.push(planned("probe", probe)?);
        }
        let accumulate = store.accumulates().then(|| Plan::new("accumulate", record_sum(store), gpu.caps()));
        let update = (Plan::new("update", update_tape, gpu.caps())?, update);
        Ok(Self { steps, probes, update, accumulate: accumulate.transpose()?, guests: Vec::new() })
    }

    /// Lets other programs share the memory slots; each runs while the others do not.
    pub fn share_slots(&mut self, guests: Vec<Plan>) {
        self.guests.extend(guests);
    }

    /// Bytes of activations, gradients and scratch that the programs share, and of their inputs and outputs.
    pub fn bytes(&self) -> u64 {
        shared_bytes(self.all()) + self.all().map(Plan::kept_bytes).sum::<u64>()
    }

    /// Bytes of what the programs compute once from weights.
    pub fn prepared_bytes(&self) -> u64 {
        prepared_bytes(self.all())
    }

    fn all(&self) -> impl Iterator<Item = &Plan> {
        let passes = self.steps.iter().chain(&self.probes).map(|(plan, _)| plan);
        passes.chain([&self.update.0]).chain(&self.accumulate).chain(&self.guests)
    }

    /// The kernels of all programs, those of the first launches first.
    pub fn kernels(&self) -> Vec<KernelSpec> {
        let mut known = HashSet::new();
        let specs = self.all().flat_map(Plan::launches).map(|launch| &launch.kernel);
        specs.filter(|&spec| known.insert(spec)).cloned().collect()
    }

    /// Names and shapes of what the first shape's step keeps for reading.
    pub fn kept_shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.steps[0].0.kept_shapes()
    }

    /// Allocates and compiles; gives the programs that share the slots too.
    ///
    /// # Errors
    /// A failure of the device, above all too little memory.
    pub fn compile(self, gpu: &Gpu) -> Result<(Programs, Vec<Program>), GpuError> {
        let (mut plans, mut inputs) = (Vec::new(), Vec::new());
        for (plan, pass_inputs) in self.steps.into_iter().chain(self.probes) {
            plans.push(plan);
            inputs.push(pass_inputs);
        }
        let (update_plan, update) = self.update;
        let accumulates = self.accumulate.is_some();
        plans.push(update_plan);
        plans.extend(self.accumulate);
        plans.extend(self.guests);
        let mut programs = Program::build(gpu, plans)?.into_iter();
        let passes = inputs.into_iter().map(|inputs| Pass { program: next(&mut programs), inputs });
        let mut steps: Vec<Pass> = passes.collect();
        let probes = steps.split_off(steps.len() / 2);
        let own = Programs {
            steps,
            probes,
            update_program: next(&mut programs),
            update,
            accumulate: accumulates.then(|| next(&mut programs)),
            paced: Cell::new(false),
        };
        Ok((own, programs.collect()))
    }
}

fn next(programs: &mut impl Iterator<Item = Program>) -> Program {
    programs.next().expect("a program for each plan")
}

/// Adds the step's gradients to the running sums.
fn record_sum(store: &Store) -> Tape {
    let mut tape = Tape::new();
    for (_, shard) in store.trained() {
        let [into, gradients] = [&shard.accumulated, &shard.gradients].map(|buffer| shard.on(&mut tape, buffer));
        ops::accumulate(&mut tape, into, gradients);
    }
    tape
}

/// A compiled pass.
struct Pass {
    program: Program,
    inputs: Vec<Input>,
}

impl Pass {
    fn write(&self, gpu: &Gpu, batch: &MicroBatch) {
        assert_eq!(self.inputs.len(), batch.inputs.len(), "inputs of a micro-batch");
        for (&input, bytes) in self.inputs.iter().zip(&batch.inputs) {
            self.program.write(gpu, input, bytes);
        }
    }
}

/// The compiled programs.
pub struct Programs {
    steps: Vec<Pass>,
    probes: Vec<Pass>,
    update_program: Program,
    update: RecordedUpdate,
    accumulate: Option<Program>,
    /// Whether a step has been timed.
    paced: Cell<bool>,
}

impl Programs {
    /// The step of a shape, for reading and measuring.
    pub fn step(&self, shape: usize) -> &Program {
        &self.steps[shape].program
    }

    /// The update, for measuring.
    pub fn update_program(&self) -> &Program {
        &self.update_program
    }

    /// Runs forward and backward on one micro-batch, without waiting but for the first one; its gradients go into the
    /// store, or are added to the sums there.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn run(&self, gpu: &Gpu, batch: &MicroBatch) -> Result<(), GpuError> {
        let step = &self.steps[batch.shape];
        step.write(gpu, batch);
        if !self.paced.replace(true) {
            // The first step is waited for, so that later ones are cut into submits of the right length.
            step.program.replay_timed(gpu)?;
        } else {
            step.program.replay(gpu);
        }
        if let Some(accumulate) = &self.accumulate {
            accumulate.replay(gpu);
        }
        Ok(())
    }

    /// The loss of the last [`Programs::run`] of that shape, on its way.
    pub fn loss(&self, gpu: &Gpu, shape: usize) -> Pending {
        self.steps[shape].program.read_later(gpu, LOSS)
    }

    /// The loss of one micro-batch, without gradients.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn probe(&self, gpu: &Gpu, batch: &MicroBatch) -> Result<f64, GpuError> {
        let probe = &self.probes[batch.shape];
        probe.write(gpu, batch);
        probe.program.replay(gpu);
        Ok(f64::from(probe.program.read(gpu, LOSS)?[0]))
    }

    /// Runs a micro-batch once more, dispatch by dispatch, and names the first that writes a value that is not finite.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn first_non_finite(&self, gpu: &Gpu, batch: &MicroBatch) -> Result<Option<String>, GpuError> {
        let step = &self.steps[batch.shape];
        step.write(gpu, batch);
        step.program.first_non_finite(gpu)
    }

    /// Clips and applies the gradients without waiting, and begins new sums of them.
    pub fn update(&self, gpu: &Gpu, store: &Store, numbers: &UpdateNumbers) -> PendingUpdate {
        let pending = self.update.start(gpu, &self.update_program, numbers);
        if self.accumulate.is_some() {
            store.clear_accumulated(gpu);
        }
        pending
    }
}
