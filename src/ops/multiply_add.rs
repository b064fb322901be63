//! Repeated multiplication and addition in registers: what a device's arithmetic can reach at most.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Lowering, Op, Tape, Value},
};

use super::bands::launch_elementwise;

/// Independent values of each invocation.
const CHAINS: u32 = 8;
/// Steps in one round of the kernel's loop.
const STEPS: u32 = 8;

#[derive(Debug)]
struct MultiplyAdd {
    rounds: u32,
    factor: f32,
    offset: f32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
    rounds: u32,
    factor: f32,
    offset: f32,
}

/// Σ over c < 8 of what 8·`rounds` times v ← factor·v + offset makes of x + c, element by element. Has no gradient.
pub fn multiply_add(tape: &mut Tape, x: Value, rounds: u32, factor: f32, offset: f32) -> Value {
    let shape = tape.shape(x).to_vec();
    tape.push_one(MultiplyAdd { rounds, factor, offset }, &[x], &shape)
}

impl Op for MultiplyAdd {
    fn name(&self) -> &'static str {
        "multiply_add"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let values = [lowering.input(0), lowering.output(0)];
        let kernel = KernelSpec::new("multiply_add.wgsl", "forward", &[Read, Write]);
        let kernel = kernel.constant("CHAINS", CHAINS).constant("STEPS", STEPS);
        let cost = Cost { flops: u64::from(2 * CHAINS * STEPS * self.rounds), bytes: 8 };
        let &Self { rounds, factor, offset } = self;
        launch_elementwise(lowering, &kernel, &values, cost, |count| Params { count, rounds, factor, offset });
    }
}
