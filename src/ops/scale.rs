//! Multiplication by a constant, or by a single value.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Backward, Lowering, Op, Tape, Value},
};

use super::{
    bands::{flat_workgroups, launch_elementwise, vector_bands},
    quads::launch_quads,
};

#[derive(Debug)]
struct Scale(f32);

/// Inputs `x`, `factor`.
#[derive(Debug)]
struct ScaleBy;

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

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct ByParams {
    count: u32,
}

/// `factor · x`, element by element, for a `factor` (1) in f32 that may change between replays: the strength of an adapter.
/// The gradient goes to `x` only.
///
/// # Panics
/// Where `factor` is not (1).
pub fn scale_by(tape: &mut Tape, x: Value, factor: Value) -> Value {
    assert_eq!(tape.shape(factor), [1], "scale_by: factor");
    let shape = tape.shape(x).to_vec();
    tape.push_one(ScaleBy, &[x, factor], &shape)
}

impl Op for ScaleBy {
    fn name(&self) -> &'static str {
        "scale_by"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let (x, factor, out) = (lowering.input(0), lowering.input(1), lowering.output(0));
        let kernel = KernelSpec::new("scale_by.wgsl", "forward", &[Read, Write, Read]);
        for band in vector_bands(lowering, x) {
            let elements = 4 * band.start..4 * band.end;
            let params = ByParams { count: band.len() as u32 };
            let cost = Cost { flops: elements.len() as u64, bytes: 8 * elements.len() as u64 };
            let args = vec![x.part(elements.clone()), out.part(elements), factor.into()];
            launch_quads(lowering, x, &kernel, args, &params, flat_workgroups(band.len()), cost);
        }
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        // out = factor · x
        assert!(!backward.wants(1), "scale_by: the factor has no gradient");
        let (d_out, factor) = (backward.d_output(0), backward.input(1));
        let d_x = scale_by(backward.tape, d_out, factor);
        backward.give(0, d_x);
    }
}
