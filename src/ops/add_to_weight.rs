//! A frozen weight plus its trained change, as one matrix in PyTorch's order.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Arg, Backward, DType, Lowering, Op, Tape, Value},
};

use super::{bands::flat_workgroups, conv_taps::tap_workgroups, gemm::weight_import, panels::Panels, scale::scale_by};

const FILE: &str = "add_to_weight.wgsl";

/// Inputs `weight`, `delta`, `scale`.
#[derive(Debug)]
struct AddToWeight {
    taps: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    rows: u32,
    columns: u32,
    row_stride: u32,
    panel_stride: u32,
}

/// `weight + scale · delta`, `(out, in·taps)` in f32, columns in PyTorch's order (in, ky, kx).
///
/// `weight` is that of a linear layer, `(out, in)`, where `taps` is 1, or that of a 3×3 convolution, `(9, in, out)`, where it
/// is 9; either perhaps in [`Panels`] and of any floating-point storage type. `delta` is `(out, in·taps)` in f32, `scale`
/// (1). The gradient goes to `delta` only.
///
/// # Panics
/// Where the shapes do not fit together.
pub fn add_to_weight(tape: &mut Tape, weight: Value, taps: usize, delta: Value, scale: Value) -> Value {
    let (weight_shape, shape) = (tape.shape(weight), tape.shape(delta).to_vec());
    let described = match (taps, weight_shape) {
        (1, matrix) => Panels::described_by(matrix).map(|Panels { rows, columns, .. }| [rows, columns]),
        (9, [9, tap @ ..]) => Panels::described_by(tap).map(|Panels { rows, columns, .. }| [columns, 9 * rows]),
        _ => None,
    };
    let fits = described.is_some_and(|described| shape == described && described.iter().all(|size| size % 4 == 0));
    assert!(fits, "add_to_weight: weight {weight_shape:?} with {taps} taps, delta {shape:?}");
    assert_eq!(tape.dtype(delta), DType::F32, "add_to_weight: delta is F32");
    assert_eq!(tape.shape(scale), [1], "add_to_weight: scale");
    tape.push(AddToWeight { taps }, &[weight, delta, scale], &[("out", &shape, DType::F32)])[0]
}

impl Op for AddToWeight {
    fn name(&self) -> &'static str {
        "add_to_weight"
    }

    fn is_rebuilt(&self) -> bool {
        true
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let (weight, out) = (lowering.input(0), lowering.output(0));
        let &[rows, columns] = lowering.shape(out) else { unreachable!("checked while recording") };
        let matrix = lowering.shape(weight);
        let matrix = if self.taps == 1 { matrix } else { &matrix[1..] };
        let panels = Panels::described_by(matrix).expect("recording has checked that the weight is a matrix");
        let (entry, columns, workgroups) = match self.taps {
            1 => ("linear", columns / 4, flat_workgroups(rows * columns / 4)),
            _ => ("conv", columns / 9, tap_workgroups(rows, columns / 9)),
        };
        let params = Params {
            rows: rows as u32,
            columns: columns as u32,
            row_stride: (panels.row_stride() / 4) as u32,
            panel_stride: (panels.panel_stride() / 4) as u32,
        };
        let dtype = lowering.dtype(weight);
        let kernel = KernelSpec::new(FILE, entry, &[Read, Read, Read, Write]).import(weight_import(dtype));
        let args = [0, 1, 2].map(|index| Arg::from(lowering.input(index))).into_iter().chain([out.into()]).collect();
        let elements = lowering.elements(out) as u64;
        let cost = Cost { flops: 2 * elements, bytes: (8 + dtype.bytes() as u64) * elements };
        lowering.launch(kernel, args, &params, workgroups, cost);
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        // out = weight + scale · delta
        assert!(!backward.wants(0) && !backward.wants(2), "add_to_weight: weight and scale are frozen");
        let (d_out, scale) = (backward.d_output(0), backward.input(2));
        let d_delta = scale_by(backward.tape, d_out, scale);
        backward.give(1, d_delta);
    }
}
