//! Gradient accumulation: a sum in place.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Lowering, Op, Tape, Value},
};

use super::bands::launch_elementwise;

#[derive(Debug)]
struct Accumulate;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
}

/// Adds `gradients` to `into`, which lies in a buffer that outlives the program.
///
/// # Panics
/// Where the sizes differ.
pub fn accumulate(tape: &mut Tape, into: Value, gradients: Value) {
    assert_eq!(tape.elements(into), tape.elements(gradients), "accumulate: size of {}", tape.name(gradients));
    tape.push_effect(Accumulate, &[into, gradients]);
}

impl Op for Accumulate {
    fn name(&self) -> &'static str {
        "accumulate"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let values = [lowering.input(0), lowering.input(1)];
        let kernel = KernelSpec::new("accumulate.wgsl", "forward", &[Write, Read]);
        launch_elementwise(lowering, &kernel, &values, Cost { flops: 1, bytes: 12 }, |count| Params { count });
    }
}
