//! Layer normalization over the last dimension (Ba, Kiros and Hinton 2016).

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost,
    },
    tape::{Backward, DType, Lowering, Op, Tape, Value},
};

use super::{
    bands::{BAND_ALIGNMENT, bands},
    rows::RowKernel,
};

const FORWARD: RowKernel = RowKernel {
    file: "layer_norm.wgsl",
    by_workgroup: "forward",
    by_row: "forward_by_row",
    bindings: &[Read, Read, Read, Write, Write],
};

const BACKWARD: RowKernel = RowKernel {
    file: "layer_norm.wgsl",
    by_workgroup: "backward",
    by_row: "backward_by_row",
    bindings: &[Read, Read, Read, Read, Read, Write],
};

#[derive(Clone, Copy, Debug)]
struct LayerNorm {
    eps: f32,
}

#[derive(Debug)]
struct LayerNormBackward(LayerNorm);

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    rows: u32,
    first_row: u32,
    columns: u32,
    eps: f32,
    has_addend: u32,
}

/// Normalizes each row of `x` (…, C), scales by `gamma` (C) and shifts by `beta` (C).
///
/// Mean and 1/√(variance + `eps`) of each row are kept for backward as a second output (rows, 2). Only `x` has a
/// gradient.
///
/// # Panics
/// Where C is no multiple of 4, or `gamma` or `beta` is not (C).
pub fn layer_norm(tape: &mut Tape, x: Value, gamma: Value, beta: Value, eps: f32) -> Value {
    let shape = tape.shape(x).to_vec();
    let channels = *shape.last().expect("layer_norm of a scalar");
    assert_eq!(channels % 4, 0, "layer_norm: {shape:?} has no multiple of 4 channels");
    for weight in [gamma, beta] {
        assert_eq!(tape.shape(weight), [channels], "layer_norm: {} of {shape:?}", tape.name(weight));
    }
    let statistics = [tape.elements(x) / channels, 2];
    let dtype = tape.dtype(x);
    tape.push(LayerNorm { eps }, &[x, gamma, beta], &[("out", &shape, dtype), ("statistics", &statistics, DType::F32)])
        [0]
}

impl Op for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn is_cheap(&self) -> bool {
        true
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [x, gamma, beta] = [0, 1, 2].map(|index| lowering.input(index));
        let (out, statistics) = (lowering.output(0), lowering.output(1));
        for (part, params) in self.launches(lowering, x, statistics) {
            let args = vec![x.part(part.clone()), gamma.into(), beta.into(), out.part(part.clone()), statistics.into()];
            let elements = part.len() as u64;
            let cost = Cost { flops: 8 * elements, bytes: 8 * elements };
            FORWARD.launch(lowering, params.rows as usize, args, &params, cost);
        }
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        let (x, gamma, statistics) = (backward.input(0), backward.input(1), backward.output(1));
        assert!(!backward.wants(1) && !backward.wants(2), "layer_norm: gamma and beta have no gradient");
        let d_out = backward.d_output(0);
        let shape = backward.tape.shape(x).to_vec();
        let d_x = backward.tape.push_one(LayerNormBackward(*self), &[x, gamma, statistics, d_out], &shape);
        backward.give(0, d_x);
    }
}

impl Op for LayerNormBackward {
    fn name(&self) -> &'static str {
        "layer_norm_backward"
    }

    fn sum_output(&self) -> Option<usize> {
        Some(0)
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [x, gamma, statistics, d_out] = [0, 1, 2, 3].map(|index| lowering.input(index));
        let d_x = lowering.output(0);
        for (part, params) in self.0.launches(lowering, x, statistics) {
            let args = vec![
                x.part(part.clone()),
                gamma.into(),
                statistics.into(),
                d_out.part(part.clone()),
                lowering.addend().unwrap_or(d_out).part(part.clone()),
                d_x.part(part.clone()),
            ];
            let elements = part.len() as u64;
            let cost = Cost { flops: 13 * elements, bytes: 12 * elements };
            BACKWARD.launch(lowering, params.rows as usize, args, &params, cost);
        }
    }
}

impl LayerNorm {
    /// Elements of x and parameters of each launch.
    fn launches(
        &self,
        lowering: &Lowering<'_>,
        x: Value,
        statistics: Value,
    ) -> impl Iterator<Item = (std::ops::Range<usize>, Params)> + use<> {
        let (eps, rows) = (self.eps, lowering.shape(statistics)[0]);
        let has_addend = lowering.addend().is_some().into();
        let channels = lowering.elements(x) / rows;
        let row_bytes = 4 * channels as u64;
        bands(rows, row_bytes, lowering.caps().max_binding, BAND_ALIGNMENT).map(move |band| {
            let columns = (channels / 4) as u32;
            let (rows, first_row) = (band.len() as u32, band.start as u32);
            let params = Params { rows, first_row, columns, eps, has_addend };
            (band.start * channels..band.end * channels, params)
        })
    }
}
