//! Nearest-neighbour upsampling by two.

use crate::{
    gpu::{Access, Cost, KernelSpec},
    tape::{Backward, Lowering, Op, Tape, Value},
};

use super::{
    bands::{BAND_ALIGNMENT, bands, flat_workgroups},
    quads::launch_quads,
};

/// Input `x`.
#[derive(Debug)]
struct Upsample;

/// Input `d_out`.
#[derive(Debug)]
struct UpsampleBackward;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    rows: u32,
    width: u32,
    quads: u32,
}

/// Every pixel of x `(B, H, W, C)` four times: `(B, 2·H, 2·W, C)`.
///
/// # Panics
/// Where x is no picture, or C no multiple of four.
pub fn upsample_nearest(tape: &mut Tape, x: Value) -> Value {
    let shape = tape.shape(x);
    let &[images, height, width, channels] = shape else { panic!("upsample: {shape:?} is no picture") };
    assert_eq!(channels % 4, 0, "upsample: channels of {shape:?}");
    tape.push_one(Upsample, &[x], &[images, 2 * height, 2 * width, channels])
}

impl Op for Upsample {
    fn name(&self) -> &'static str {
        "upsample"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        launch(lowering, "forward", lowering.input(0), lowering.output(0));
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        let shape = backward.tape.shape(backward.input(0)).to_vec();
        let d_out = backward.d_output(0);
        let d_x = backward.tape.push_one(UpsampleBackward, &[d_out], &shape);
        backward.give(0, d_x);
    }
}

impl Op for UpsampleBackward {
    fn name(&self) -> &'static str {
        "upsample_backward"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        launch(lowering, "backward", lowering.output(0), lowering.input(0));
    }
}

/// Launches over bands of rows of the `small` picture; the `large` one has four times their bytes in the same order.
fn launch(lowering: &mut Lowering<'_>, entry: &'static str, small: Value, large: Value) {
    let &[images, height, width, channels] = lowering.shape(small) else { panic!("upsample: no picture") };
    let row_bytes = 4 * (width * channels) as u64;
    for rows in bands(images * height, row_bytes, lowering.caps().max_binding / 4, BAND_ALIGNMENT) {
        let params = Params { rows: rows.len() as u32, width: width as u32, quads: (channels / 4) as u32 };
        let (start, end) = (rows.start * width * channels, rows.end * width * channels);
        let (small_part, large_part) = (small.part(start..end), large.part(4 * start..4 * end));
        let elements = rows.len() * width * channels;
        let (args, flops, threads) = if entry == "forward" {
            (vec![small_part, large_part], 0, elements)
        } else {
            (vec![large_part, small_part], 3 * elements, elements / 4)
        };
        let kernel = KernelSpec::new("upsample.wgsl", entry, &[Access::Read, Access::Write]);
        let cost = Cost { flops: flops as u64, bytes: 20 * elements as u64 };
        launch_quads(lowering, small, &kernel, args, &params, flat_workgroups(threads), cost);
    }
}
