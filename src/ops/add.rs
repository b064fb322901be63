//! Sum of two values of the same shape.

use crate::{
    gpu::{Access, Cost, KernelSpec},
    tape::{Backward, Lowering, Op, Tape, Value},
};

use super::bands::flat_workgroups;

#[derive(Debug)]
struct Add;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
}

/// `a + b`, element by element.
pub fn add(tape: &mut Tape, a: Value, b: Value) -> Value {
    let shape = tape.shape(a).to_vec();
    assert_eq!(shape, tape.shape(b), "add: shapes differ");
    tape.push_one(Add, &[a, b], &shape)
}

impl Op for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let (a, b, out) = (lowering.input(0), lowering.input(1), lowering.output(0));
        let count = lowering.elements(out);
        let kernel = KernelSpec::new("add.wgsl", "forward", &[Access::Read, Access::Read, Access::Write]);
        let cost = Cost { flops: count as u64, bytes: 12 * count as u64 };
        let workgroups = flat_workgroups(count.div_ceil(4));
        let params = Params { count: count as u32 };
        lowering.launch(kernel, vec![a.into(), b.into(), out.into()], &params, workgroups, cost);
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
