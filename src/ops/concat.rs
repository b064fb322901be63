//! Concatenation along the channels, as the U-Net's skip connections want it, and its reverse.

use crate::{
    gpu::{Access, Cost, KernelSpec},
    tape::{Backward, Lowering, Op, Tape, Value},
};

use super::{
    bands::{BAND_ALIGNMENT, aligned_rows, bands, flat_workgroups},
    quads::launch_quads,
};

/// Inputs `a`, `b`.
#[derive(Debug)]
struct Concat;

/// The channels of the input from `first` on, as many as the output has; also the gradient of one input of a
/// concatenation.
#[derive(Debug)]
struct Slice {
    name: &'static str,
    first: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    pixels: u32,
    part_quads: u32,
    whole_quads: u32,
    first_quad: u32,
}

/// a `(…, Ca)` and b `(…, Cb)` side by side: `(…, Ca + Cb)`.
///
/// # Panics
/// Where leading dimensions or element types differ, or a channel count is no multiple of four.
pub fn concat(tape: &mut Tape, a: Value, b: Value) -> Value {
    let (a_shape, b_shape) = (tape.shape(a), tape.shape(b));
    let mismatch = || format!("concat: {a_shape:?} and {b_shape:?}");
    let (Some((a_channels, a_pixels)), Some((b_channels, b_pixels))) = (a_shape.split_last(), b_shape.split_last())
    else {
        panic!("{}", mismatch())
    };
    assert!(a_pixels == b_pixels && a_channels % 4 == 0 && b_channels % 4 == 0, "{}", mismatch());
    assert_eq!(tape.dtype(a), tape.dtype(b), "concat: element types differ");
    let shape = [a_pixels, &[a_channels + b_channels]].concat();
    tape.push_one(Concat, &[a, b], &shape)
}

/// x `(…, C)` in `parts` values of as many channels each, `(…, C / parts)`: queries, keys and values of one product.
/// Inference only.
///
/// # Panics
/// Where a part's channels are no multiple of four.
pub fn split(tape: &mut Tape, x: Value, parts: usize) -> Vec<Value> {
    let mut shape = tape.shape(x).to_vec();
    let whole = channels(&shape);
    assert!(whole.is_multiple_of(4 * parts), "split: {shape:?} into {parts} parts");
    *shape.last_mut().expect("split: values have channels") = whole / parts;
    (0..parts).map(|part| tape.push_one(Slice { name: "split", first: part * whole / parts }, &[x], &shape)).collect()
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn is_cheap(&self) -> bool {
        true
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let (a, b, out) = (lowering.input(0), lowering.input(1), lowering.output(0));
        launch(lowering, "join", a, out, 0);
        launch(lowering, "join", b, out, channels(lowering.shape(a)));
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        let d_out = backward.d_output(0);
        let firsts = [0, channels(backward.tape.shape(backward.input(0)))];
        for (index, first) in firsts.into_iter().enumerate() {
            if backward.wants(index) {
                let shape = backward.tape.shape(backward.input(index)).to_vec();
                let part = backward.tape.push_one(Slice { name: "concat_backward", first }, &[d_out], &shape);
                backward.give(index, part);
            }
        }
    }
}

impl Op for Slice {
    fn name(&self) -> &'static str {
        self.name
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        launch(lowering, "split", lowering.output(0), lowering.input(0), self.first);
    }
}

/// Copies between `part` and the channels of `whole` from `first` on, in bands of pixels.
fn launch(lowering: &mut Lowering<'_>, entry: &'static str, part: Value, whole: Value, first: usize) {
    let (part_channels, whole_channels) = (channels(lowering.shape(part)), channels(lowering.shape(whole)));
    let pixels = lowering.elements(part) / part_channels;
    let group = [part_channels, whole_channels].map(|channels| aligned_rows(4 * channels as u64, BAND_ALIGNMENT));
    let group = group[0].max(group[1]);
    let group_bytes = (4 * group * whole_channels) as u64;
    for groups in bands(pixels.div_ceil(group), group_bytes, lowering.caps().max_binding, BAND_ALIGNMENT) {
        let (start, end) = (groups.start * group, pixels.min(groups.end * group));
        let bind = |value: Value, channels: usize| value.part(start * channels..end * channels);
        let args = [bind(part, part_channels), bind(whole, whole_channels)];
        let args = if entry == "join" { args.to_vec() } else { args.into_iter().rev().collect() };
        let params = Params {
            pixels: (end - start) as u32,
            part_quads: (part_channels / 4) as u32,
            whole_quads: (whole_channels / 4) as u32,
            first_quad: (first / 4) as u32,
        };
        let elements = (end - start) * part_channels;
        let kernel = KernelSpec::new("concat.wgsl", entry, &[Access::Read, Access::Write]);
        let cost = Cost { flops: 0, bytes: 8 * elements as u64 };
        launch_quads(lowering, part, &kernel, args, &params, flat_workgroups(elements / 4), cost);
    }
}

fn channels(shape: &[usize]) -> usize {
    *shape.last().expect("concat: values have channels")
}
