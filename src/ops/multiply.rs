//! Product of two values, element by element.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Backward, Lowering, Op, Tape, Value},
};

use super::bands::launch_elementwise;

#[derive(Debug)]
struct Multiply;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
}

/// `a ⊙ b`, element by element: LoHa's product of two low-rank matrices (<https://arxiv.org/abs/2108.06098>). The number of
/// elements is a multiple of 4. Gradients go to both.
///
/// # Panics
/// Where shapes or element types differ.
pub fn multiply(tape: &mut Tape, a: Value, b: Value) -> Value {
    let shape = tape.shape(a).to_vec();
    assert_eq!((&shape[..], tape.dtype(a)), (tape.shape(b), tape.dtype(b)), "multiply: shapes or types differ");
    tape.push_one(Multiply, &[a, b], &shape)
}

impl Op for Multiply {
    fn name(&self) -> &'static str {
        "multiply"
    }

    fn is_rebuilt(&self) -> bool {
        true
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let values = [lowering.input(0), lowering.input(1), lowering.output(0)];
        let kernel = KernelSpec::new("multiply.wgsl", "forward", &[Read, Read, Write]);
        launch_elementwise(lowering, &kernel, &values, Cost { flops: 1, bytes: 12 }, |count| Params { count });
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        // out = a ⊙ b, so that d_a = d_out ⊙ b and d_b = d_out ⊙ a
        let d_out = backward.d_output(0);
        for index in 0..2 {
            if backward.wants(index) {
                let other = backward.input(1 - index);
                let gradient = multiply(backward.tape, d_out, other);
                backward.give(index, gradient);
            }
        }
    }
}
