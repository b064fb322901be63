//! The same values in another element type.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Backward, DType, Lowering, Op, Tape, Value},
};

use super::{bands::launch_elementwise, quads::result_import};

#[derive(Debug)]
struct Convert;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
}

/// `x` as f32 or f16; `x` itself where it is of that type. What is too large for f16 is no longer finite.
pub fn convert(tape: &mut Tape, x: Value, dtype: DType) -> Value {
    if tape.dtype(x) == dtype {
        return x;
    }
    let shape = tape.shape(x).to_vec();
    tape.push(Convert, &[x], &[("out", &shape, dtype)])[0]
}

impl Op for Convert {
    fn name(&self) -> &'static str {
        "convert"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let values = [lowering.input(0), lowering.output(0)];
        let import = result_import(lowering.dtype(values[1]));
        let kernel = KernelSpec::new("convert.wgsl", "forward", &[Read, Write]).import(import);
        launch_elementwise(lowering, &kernel, &values, Cost { flops: 0, bytes: 6 }, |count| Params { count });
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        let (d_out, dtype) = (backward.d_output(0), backward.tape.dtype(backward.input(0)));
        let d_x = convert(backward.tape, d_out, dtype);
        backward.give(0, d_x);
    }
}
