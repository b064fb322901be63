//! Softmax over rows.

use std::ops::Range;

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Backward, DType, Lowering, Op, Tape, Value},
};

use super::bands::{BAND_ALIGNMENT, bands, workgroup_grid};

#[derive(Clone, Copy, Debug)]
struct Softmax {
    scale: f32,
    causal: bool,
}

#[derive(Debug)]
struct SoftmaxBackward(Softmax);

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    rows: u32,
    first_row: u32,
    n: u32,
    causal: u32,
    scale: f32,
}

/// softmax(`scale`·x) over each row of `x` (…, n), for any n. With `causal`, row i of each matrix (n, n) takes part up
/// to column i, and the rest of the result is 0.
///
/// # Panics
/// Where `x` is not in f32, or `causal` is set and `x` does not hold square matrices.
pub fn softmax(tape: &mut Tape, x: Value, scale: f32, causal: bool) -> Value {
    assert_eq!(tape.dtype(x), DType::F32, "softmax: x is F32");
    let shape = tape.shape(x).to_vec();
    let square = shape.len() >= 2 && shape[shape.len() - 2] == shape[shape.len() - 1];
    assert!(!causal || square, "softmax: causal over {shape:?}, which holds no square matrices");
    tape.push_one(Softmax { scale, causal }, &[x], &shape)
}

impl Op for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let (x, out) = (lowering.input(0), lowering.output(0));
        let kernel = KernelSpec::new("softmax.wgsl", "forward", &[Read, Write]);
        for (part, params) in self.launches(lowering, x) {
            let elements = part.len() as u64;
            let cost = Cost { flops: 8 * elements, bytes: 8 * elements };
            let args = vec![x.part(part.clone()), out.part(part)];
            lowering.launch(kernel.clone(), args, &params, workgroup_grid(params.rows as usize), cost);
        }
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        let (out, d_out) = (backward.output(0), backward.d_output(0));
        let shape = backward.tape.shape(out).to_vec();
        let d_x = backward.tape.push_one(SoftmaxBackward(*self), &[out, d_out], &shape);
        backward.give(0, d_x);
    }
}

impl Op for SoftmaxBackward {
    fn name(&self) -> &'static str {
        "softmax_backward"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let (out, d_out, d_x) = (lowering.input(0), lowering.input(1), lowering.output(0));
        let kernel = KernelSpec::new("softmax.wgsl", "backward", &[Read, Read, Write]);
        for (part, params) in self.0.launches(lowering, out) {
            let elements = part.len() as u64;
            let cost = Cost { flops: 5 * elements, bytes: 12 * elements };
            let args = vec![out.part(part.clone()), d_out.part(part.clone()), d_x.part(part)];
            lowering.launch(kernel.clone(), args, &params, workgroup_grid(params.rows as usize), cost);
        }
    }
}

impl Softmax {
    /// Elements and parameters of each launch over a value of shape (…, n).
    fn launches(&self, lowering: &Lowering<'_>, x: Value) -> impl Iterator<Item = (Range<usize>, Params)> + use<> {
        let Self { scale, causal } = *self;
        let n = *lowering.shape(x).last().expect("softmax of a scalar");
        let rows = lowering.elements(x) / n;
        let row_bytes = 4 * n as u64;
        bands(rows, row_bytes, lowering.caps().max_binding, BAND_ALIGNMENT).map(move |band| {
            let (rows, first_row) = (band.len() as u32, band.start as u32);
            let params = Params { rows, first_row, n: n as u32, causal: u32::from(causal), scale };
            (band.start * n..band.end * n, params)
        })
    }
}
