//! Sum of a value and a vector of channels per sample: how the time embedding enters a resnet block.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Backward, DType, Lowering, Op, Tape, Value},
};

use super::{
    bands::flat_workgroups,
    chunks::Chunks,
    quads::{launch_quads, quad_import},
};

const FILE: &str = "add_channels.wgsl";

#[derive(Debug)]
struct AddChannels;

#[derive(Debug)]
struct SumPositions;

/// `x + y` for `x` (B, …, C) and `y` (B, C) in f32, which is added at every position.
///
/// # Panics
/// Where `y` is not (B, C) in f32, or C is no multiple of 4.
pub fn add_channels(tape: &mut Tape, x: Value, y: Value) -> Value {
    let shape = tape.shape(x).to_vec();
    let Chunks { samples, channels, .. } = Chunks::of(&shape);
    assert_eq!(tape.shape(y), [samples, channels], "add_channels: y of x {shape:?}");
    assert_eq!(tape.dtype(y), DType::F32, "add_channels: y is F32");
    tape.push_one(AddChannels, &[x, y], &shape)
}

impl Op for AddChannels {
    fn name(&self) -> &'static str {
        "add_channels"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let (x, y, out) = (lowering.input(0), lowering.input(1), lowering.output(0));
        let chunks = Chunks::of(lowering.shape(x));
        let kernel = KernelSpec::new(FILE, "forward", &[Read, Read, Write]);
        for band in chunks.bands_for(lowering) {
            let args = vec![chunks.arg(x, &band), y.into(), chunks.arg(out, &band)];
            let (params, workgroups) = (chunks.params(&band), chunks.workgroups(&band));
            let cost = chunks.cost(&band, Cost { flops: 1, bytes: 8 });
            launch_quads(lowering, x, &kernel, args, &params, workgroups, cost);
        }
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        // out = x + y
        let d_out = backward.d_output(0);
        if backward.wants(0) {
            backward.give(0, d_out);
        }
        if backward.wants(1) {
            let shape = backward.tape.shape(backward.input(1)).to_vec();
            let d_y = backward.tape.push(SumPositions, &[d_out], &[("d_y", &shape, DType::F32)])[0];
            backward.give(1, d_y);
        }
    }
}

impl Op for SumPositions {
    fn name(&self) -> &'static str {
        "add_channels_backward"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let (d_out, d_y) = (lowering.input(0), lowering.output(0));
        let chunks = Chunks::of(lowering.shape(d_out));
        let partials = lowering.scratch("partials", &[chunks.count(), chunks.channels]);
        let kernel = KernelSpec::new(FILE, "sum_positions", &[Read, Write]);
        for band in chunks.bands_for(lowering) {
            let args = vec![chunks.arg(d_out, &band), partials.into()];
            let (params, workgroups) = (chunks.params(&band), chunks.workgroups(&band));
            let cost = chunks.cost(&band, Cost { flops: 1, bytes: 4 });
            launch_quads(lowering, d_out, &kernel, args, &params, workgroups, cost);
        }
        let kernel = KernelSpec::new(FILE, "sum_chunks", &[Read, Write]).import(quad_import(DType::F32));
        let elements = lowering.elements(partials) as u64;
        let params = chunks.params(&chunks.whole());
        let workgroups = flat_workgroups(chunks.samples * chunks.channels / 4);
        let cost = Cost { flops: elements, bytes: 4 * elements };
        lowering.launch(kernel, vec![partials.into(), d_y.into()], &params, workgroups, cost);
    }
}
