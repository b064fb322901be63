//! Updates in which every parameter moves by itself.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    ops::flat_workgroups,
    tape::{Lowering, Op, Tape, Value},
};

use super::{Part, Parts, UpdateValues};

/// A shader with one entry point `step`, which updates parameters and all slots from gradients, clip and settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elementwise {
    pub name: &'static str,
    pub file: &'static str,
    /// Of one parameter.
    pub flops: u64,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
}

impl Elementwise {
    /// Records the update of all shards.
    ///
    /// # Panics
    /// Where sizes differ or are no multiple of 4.
    pub(super) fn record(self, tape: &mut Tape, parts: &Parts, update: UpdateValues<'_>) {
        parts.shards.iter().for_each(|part| self.record_shard(tape, part, update.clip));
    }

    fn record_shard(self, tape: &mut Tape, part: &Part, clip: Value) {
        let count = tape.elements(part.parameters);
        assert_eq!(count % 4, 0, "{}: {count} parameters are no multiple of 4", self.name);
        let mut inputs = vec![part.parameters, part.gradients];
        inputs.extend(&part.slots);
        for &value in &inputs {
            assert_eq!(tape.elements(value), count, "{}: size of {}", self.name, tape.name(value));
        }
        inputs.extend([clip, part.settings]);
        tape.push_effect(self, &inputs);
    }
}

impl Op for Elementwise {
    fn name(&self) -> &'static str {
        self.name
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let count = lowering.elements(lowering.input(0)) / 4;
        let inputs = lowering.input_count();
        let slots = inputs - 4;
        let mut bindings = vec![Write, Read];
        bindings.extend(vec![Write; slots]);
        bindings.extend([Read, Read]);
        let args = (0..inputs).map(|index| lowering.input(index).into()).collect();
        // Parameters and slots are read and written, gradients read, four bytes each.
        let bytes = 16 * (2 * (1 + slots) + 1) * count;
        let cost = Cost { flops: 4 * self.flops * count as u64, bytes: bytes as u64 };
        let kernel = KernelSpec::new(self.file, "step", &bindings);
        lowering.launch(kernel, args, &Params { count: count as u32 }, flat_workgroups(count), cost);
    }
}
