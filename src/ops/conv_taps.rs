//! A convolution's weight from a matrix in PyTorch's order, as [`super::conv3x3`] takes it.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Backward, DType, Lowering, Op, Tape, Value},
};

/// Input `v`.
#[derive(Debug)]
struct ConvTaps;

/// Input `d_out`.
#[derive(Debug)]
struct ConvTapsBackward;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    rows: u32,
    channels: u32,
}

/// `out[3·ky + kx, c, o] = v[o, 9·c + 3·ky + kx]`: v `(out, in·9)` in f32 to `(9, in, out)`. The rows of v may be a LoRA's
/// ranks as well.
///
/// # Panics
/// Where v is no matrix in f32, or out or in no multiple of 4.
pub fn conv_taps(tape: &mut Tape, v: Value) -> Value {
    let &[rows, columns] = tape.shape(v) else { panic!("conv_taps: {:?} is no matrix", tape.shape(v)) };
    assert!(rows % 4 == 0 && columns % 36 == 0, "conv_taps: {rows} × {columns} is no padded weight of nine taps");
    assert_eq!(tape.dtype(v), DType::F32, "conv_taps: the matrix is F32");
    tape.push_one(ConvTaps, &[v], &[9, columns / 9, rows])
}

/// Workgroups of kernels whose invocations hold four rows and the nine taps of a channel.
pub(super) fn tap_workgroups(rows: usize, channels: usize) -> [u32; 3] {
    [rows.div_ceil(32) as u32, channels.div_ceil(32) as u32, 1]
}

impl Op for ConvTaps {
    fn name(&self) -> &'static str {
        "conv_taps"
    }

    fn is_rebuilt(&self) -> bool {
        true
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        launch(lowering, "forward", lowering.output(0));
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        let (shape, d_out) = (backward.tape.shape(backward.input(0)).to_vec(), backward.d_output(0));
        let d_v = backward.tape.push_one(ConvTapsBackward, &[d_out], &shape);
        backward.give(0, d_v);
    }
}

impl Op for ConvTapsBackward {
    fn name(&self) -> &'static str {
        "conv_taps_backward"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        launch(lowering, "backward", lowering.input(0));
    }
}

/// Copies the input to the output, one of which is the `taps`.
fn launch(lowering: &mut Lowering<'_>, entry: &'static str, taps: Value) {
    let &[_, channels, rows] = lowering.shape(taps) else { unreachable!("checked while recording") };
    let kernel = KernelSpec::new("conv_taps.wgsl", entry, &[Read, Write]);
    let args = vec![lowering.input(0).into(), lowering.output(0).into()];
    let params = Params { rows: rows as u32, channels: channels as u32 };
    let cost = Cost { flops: 0, bytes: 8 * lowering.elements(taps) as u64 };
    lowering.launch(kernel, args, &params, tap_workgroups(rows, channels), cost);
}
