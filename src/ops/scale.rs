//! Multiplication by a constant.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Backward, Lowering, Op, Tape, Value},
};

use super::bands::launch_elementwise;

#[derive(Debug)]
struct Scale(f32);

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
    factor: f32,
}

/// `factor·x`, element by element.
pub fn scale(tape: &mut Tape, x: Value, factor: f32) -> Value {
    let shape = tape.shape(x).to_vec();
    tape.push_one(Scale(factor), &[x], &shape)
}

impl Op for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let values = [lowering.input(0), lowering.output(0)];
        let kernel = KernelSpec::new("scale.wgsl", "forward", &[Read, Write]);
        let params = |count| Params { count, factor: self.0 };
        launch_elementwise(lowering, &kernel, &values, Cost { flops: 1, bytes: 8 }, params);
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        // out = factor·x
        let d_out = backward.d_output(0);
        let d_x = scale(backward.tape, d_out, self.0);
        backward.give(0, d_x);
    }
}
