//! A compiled tape: buffers bound, pipelines built, ready to be replayed.

use std::{collections::HashMap, sync::Once};

use crate::gpu::{Access, Buffer, BufferSlice, Dispatch, Gpu, GpuError, KernelTime, Pending, Sequence};

use super::{Arg, DType, Input, Launch, Plan, Tape, Value, plan::union_of_slots, value::Storage};

/// A tape compiled for a device. Replaying it creates nothing: no buffer, bind group or pipeline.
pub struct Program {
    name: String,
    /// Of the tape that it was recorded on.
    tape: u64,
    /// Runs before the first replay.
    preparation: Sequence,
    prepared: Once,
    sequence: Sequence,
    inputs: HashMap<Value, BufferSlice>,
    outputs: HashMap<String, BufferSlice>,
    /// What each dispatch writes, for finding the first value that is not finite.
    written: Vec<(String, Vec<(BufferSlice, DType)>)>,
}

impl Program {
    /// Compiles one tape on its own.
    ///
    /// # Errors
    /// A value too large for the device, or a failure of the device.
    pub fn compile(gpu: &Gpu, name: &str, tape: Tape) -> Result<Self, GpuError> {
        let plan = Plan::new(name, tape, gpu.caps())?;
        let mut programs = Self::build(gpu, vec![plan])?;
        Ok(programs.remove(0))
    }

    /// Compiles planned tapes that run one at a time and share their slots.
    ///
    /// # Errors
    /// A failure of the device, above all too little memory.
    pub fn build(gpu: &Gpu, plans: Vec<Plan>) -> Result<Vec<Self>, GpuError> {
        let slots = union_of_slots(&plans);
        plans.into_iter().map(|plan| Self::bind(gpu, plan, &slots)).collect()
    }

    fn bind(gpu: &Gpu, plan: Plan, slots: &[Buffer]) -> Result<Self, GpuError> {
        let places = Places::new(&plan, slots);
        let written = plan.launches.iter().map(|launch| (launch.label.clone(), places.written(launch))).collect();
        let bound = |launches: &[Launch]| {
            Sequence::build(gpu, launches.iter().map(|launch| places.dispatch(gpu, launch)).collect())
        };
        let (preparation, sequence) = (bound(&plan.preparation.launches)?, bound(&plan.launches)?);
        let inputs = plan.tape.inputs.iter().map(|&value| (value, places.of(value))).collect();
        let outputs = plan.tape.kept.iter().map(|(name, value)| (name.clone(), places.of(*value))).collect();
        let tape = plan.tape.id;
        Ok(Self { name: plan.name, tape, preparation, prepared: Once::new(), sequence, inputs, outputs, written })
    }

    /// Computes what only depends on weights; those were uploaded before the first replay and do not change.
    fn prepare(&self, gpu: &Gpu) {
        self.prepared.call_once(|| self.preparation.replay(gpu));
    }

    /// Writes an input from its first element.
    ///
    /// # Panics
    /// On an input of another tape, or a length that differs from the input's.
    pub fn write<T: bytemuck::NoUninit>(&self, gpu: &Gpu, input: Input, data: &[T]) {
        assert_eq!(input.tape, self.tape, "{}: an input of another tape", self.name);
        let slice = &self.inputs[&input.value];
        let bytes: &[u8] = bytemuck::cast_slice(data);
        assert_eq!(bytes.len() as u64, slice.bytes, "{}: length of input `{}`", self.name, slice.buffer.label());
        gpu.upload(slice, bytes);
    }

    /// Submits one replay without waiting.
    pub fn replay(&self, gpu: &Gpu) {
        self.prepare(gpu);
        self.sequence.replay(gpu);
    }

    /// Replays, waits, and returns the seconds it took; later replays are split by what this one measured.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn replay_timed(&self, gpu: &Gpu) -> Result<f64, GpuError> {
        self.prepare(gpu);
        self.sequence.replay_timed(gpu)
    }

    /// Seconds that encoding one replay takes the host; nothing is submitted.
    pub fn encoding_seconds(&self, gpu: &Gpu) -> f64 {
        self.sequence.encoding_seconds(gpu)
    }

    /// Replays once, timing every dispatch.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn profile(&self, gpu: &Gpu) -> Result<Vec<KernelTime>, GpuError> {
        self.prepare(gpu);
        self.sequence.profile(gpu)
    }

    /// Where a kept value lies.
    ///
    /// # Panics
    /// On a name that was not kept.
    pub fn output(&self, name: &str) -> &BufferSlice {
        self.outputs.get(name).unwrap_or_else(|| panic!("{}: no output `{name}`", self.name))
    }

    /// Names of all kept values.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.outputs.keys().map(String::as_str)
    }

    /// Reads a kept f32 value, waiting for it.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn read(&self, gpu: &Gpu, name: &str) -> Result<Vec<f32>, GpuError> {
        Ok(bytemuck::pod_collect_to_vec(&gpu.read(self.output(name))?))
    }

    /// Starts reading a kept value; the copy is ordered after the replays submitted so far.
    pub fn read_later(&self, gpu: &Gpu, name: &str) -> Pending {
        gpu.read_later(self.output(name))
    }

    pub fn dispatch_count(&self) -> usize {
        self.sequence.len()
    }

    /// Floating-point operations of one replay.
    pub fn flops(&self) -> u64 {
        self.sequence.cost().flops
    }

    /// Replays dispatch by dispatch and names the first that writes a value that is not finite.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn first_non_finite(&self, gpu: &Gpu) -> Result<Option<String>, GpuError> {
        for (index, (label, slices)) in self.written.iter().enumerate() {
            self.sequence.replay_one(gpu, index);
            for (slice, dtype) in slices {
                if !dtype.all_finite(&gpu.read(slice)?) {
                    return Ok(Some(label.clone()));
                }
            }
        }
        Ok(None)
    }
}

/// Buffer slices of a plan's values.
struct Places<'a> {
    plan: &'a Plan,
    slots: &'a [Buffer],
    own: HashMap<Value, Buffer>,
}

impl<'a> Places<'a> {
    /// Declares buffers of their own for inputs and kept values.
    fn new(plan: &'a Plan, slots: &'a [Buffer]) -> Self {
        let tape = &plan.tape;
        let kept = tape.kept.iter().map(|(_, value)| tape.root(*value).0);
        let lasting = tape.inputs.iter().copied().chain(kept);
        let own = lasting.map(|value| {
            let info = &tape.values[value.0];
            (value, Buffer::declare(info.name.clone(), info.bytes()))
        });
        Self { plan, slots, own: own.collect() }
    }

    fn of(&self, value: Value) -> BufferSlice {
        let tape = &self.plan.tape;
        let (root, offset) = tape.root(value);
        let base = match (&tape.values[root.0].storage, self.own.get(&root), self.plan.slots.get(&root)) {
            (Storage::Buffer(slice), _, _) => slice.clone(),
            (_, Some(buffer), _) => buffer.whole(),
            (_, None, Some(&slot)) => self.slots[slot].whole(),
            (_, None, None) => panic!("{} is read, but nothing computes it", tape.name(value)),
        };
        BufferSlice { offset: base.offset + offset, bytes: tape.values[value.0].bytes(), ..base }
    }

    fn dispatch(&self, gpu: &Gpu, launch: &Launch) -> Dispatch {
        Dispatch {
            kernel: gpu.kernel(&launch.kernel),
            label: launch.label.clone(),
            params: launch.params.clone(),
            bindings: launch.args.iter().map(|arg| self.arg(arg)).collect(),
            workgroups: launch.workgroups,
            cost: launch.cost,
        }
    }

    /// What a launch writes.
    fn written(&self, launch: &Launch) -> Vec<(BufferSlice, DType)> {
        let writes = launch.args_with_access().filter(|(_, access)| *access == Access::Write);
        writes.map(|(arg, _)| (self.arg(arg), self.plan.tape.dtype(arg.value))).collect()
    }

    fn arg(&self, arg: &Arg) -> BufferSlice {
        let whole = self.of(arg.value);
        match &arg.range {
            None => whole,
            Some(range) => {
                let element = self.plan.tape.dtype(arg.value).bytes();
                let (start, end) = ((range.start * element) as u64, (range.end * element) as u64);
                assert!(end <= whole.bytes, "a band outside of {}", self.plan.tape.name(arg.value));
                BufferSlice { offset: whole.offset + start, bytes: end - start, ..whole }
            }
        }
    }
}
