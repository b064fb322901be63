//! Sum of two values of the same shape.

use crate::{
    gpu::{Access, Cost, KernelSpec},
    tape::{Backward, Lowering, Op, Tape, Value},
};

use super::bands::launch_elementwise;

#[derive(Debug)]
struct Add;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
}

/// `a + b`, element by element. The number of elements is a multiple of 4.
///
/// # Panics
/// Where shapes or element types differ.
pub fn add(tape: &mut Tape, a: Value, b: Value) -> Value {
    let shape = tape.shape(a).to_vec();
    assert_eq!((&shape[..], tape.dtype(a)), (tape.shape(b), tape.dtype(b)), "add: shapes or types differ");
    tape.push_one(Add, &[a, b], &shape)
}

impl Op for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn is_sum(&self) -> bool {
        true
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let values = [lowering.input(0), lowering.input(1), lowering.output(0)];
        let kernel = KernelSpec::new("add.wgsl", "forward", &[Access::Read, Access::Read, Access::Write]);
        launch_elementwise(lowering, &kernel, &values, Cost { flops: 1, bytes: 12 }, |count| Params { count });
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        // out = a + b
        let d_out = backward.d_output(0);
        for index in 0..2 {
            if backward.wants(index) {
                backward.give(index, d_out);
            }
        }
    }
}
