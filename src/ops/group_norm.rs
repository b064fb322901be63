//! Group normalization (Wu and He 2018), optionally followed by SiLU.

use crate::{
    gpu::{
        Access::{self, Read, Write},
        Cost, KernelSpec, Variant,
    },
    tape::{Arg, Backward, DType, Lowering, Op, Tape, Value},
};

use super::{
    chunks::{ChunkBand, ChunkParams, Chunks},
    quads::{launch_quads, quad_import},
};

#[derive(Clone, Copy, Debug)]
struct GroupNorm {
    groups: usize,
    eps: f32,
    silu: bool,
}

#[derive(Debug)]
struct GroupNormBackward(GroupNorm);

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    chunks: ChunkParams,
    groups: u32,
    silu: u32,
    eps: f32,
    has_addend: u32,
}

/// Normalizes `x` (B, …, C) over the positions and channels of each of `groups` groups of neighbouring channels, scales
/// by `gamma` (C) and shifts by `beta` (C), then applies SiLU where `silu` is set.
///
/// Mean and 1/√(variance + `eps`) are kept for backward as a second output (2, B, C), repeated for each channel of a
/// group. Only `x` has a gradient.
///
/// # Panics
/// Where `groups` does not divide C, C is no multiple of 4, or `gamma` or `beta` is not (C).
pub fn group_norm(tape: &mut Tape, x: Value, gamma: Value, beta: Value, groups: usize, eps: f32, silu: bool) -> Value {
    let shape = tape.shape(x).to_vec();
    let Chunks { samples, channels, .. } = Chunks::of(&shape);
    assert_eq!(channels % groups, 0, "group_norm: {shape:?} in {groups} groups");
    for weight in [gamma, beta] {
        assert_eq!(tape.shape(weight), [channels], "group_norm: {} of {shape:?}", tape.name(weight));
    }
    let statistics = [2, samples, channels];
    let op = GroupNorm { groups, eps, silu };
    let dtype = tape.dtype(x);
    tape.push(op, &[x, gamma, beta], &[("out", &shape, dtype), ("statistics", &statistics, DType::F32)])[0]
}

impl Op for GroupNorm {
    fn name(&self) -> &'static str {
        "group_norm"
    }

    fn is_cheap(&self) -> bool {
        true
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [x, gamma, beta] = [0, 1, 2].map(|index| lowering.input(index));
        let (out, statistics) = (lowering.output(0), lowering.output(1));
        let chunks = Chunks::of(lowering.shape(x));
        let moments = lowering.scratch("moments", &[chunks.count(), 2, chunks.channels]);
        let kernel = group_norm_kernel(lowering, "measure", &[Read, Write]);
        for band in chunks.bands_for(lowering) {
            let args = vec![chunks.arg(x, &band), moments.into()];
            self.launch_band(lowering, &kernel, args, &chunks, &band, Cost { flops: 6, bytes: 4 });
        }
        self.launch_combine(lowering, "combine_statistics", moments, statistics, &chunks);
        let kernel = group_norm_kernel(lowering, "forward", &[Read, Read, Read, Read, Write]);
        for band in chunks.bands_for(lowering) {
            let args = vec![chunks.arg(x, &band), statistics.into(), gamma.into(), beta.into(), chunks.arg(out, &band)];
            self.launch_band(lowering, &kernel, args, &chunks, &band, Cost { flops: 8, bytes: 8 });
        }
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        let [x, gamma, beta] = [0, 1, 2].map(|index| backward.input(index));
        let (statistics, d_out) = (backward.output(1), backward.d_output(0));
        assert!(!backward.wants(1) && !backward.wants(2), "group_norm: gamma and beta have no gradient");
        let shape = backward.tape.shape(x).to_vec();
        let inputs = [x, statistics, gamma, beta, d_out];
        let d_x = backward.tape.push_one(GroupNormBackward(*self), &inputs, &shape);
        backward.give(0, d_x);
    }
}

impl Op for GroupNormBackward {
    fn name(&self) -> &'static str {
        "group_norm_backward"
    }

    fn sum_output(&self) -> Option<usize> {
        Some(0)
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [x, statistics, gamma, beta, d_out] = [0, 1, 2, 3, 4].map(|index| lowering.input(index));
        let d_x = lowering.output(0);
        let chunks = Chunks::of(lowering.shape(x));
        let sums = lowering.scratch("sums", &[chunks.count(), 2, chunks.channels]);
        let means = lowering.scratch("means", &[2, chunks.samples, chunks.channels]);
        let read = |band: &ChunkBand| {
            let (x, d_out) = (chunks.arg(x, band), chunks.arg(d_out, band));
            vec![x, statistics.into(), gamma.into(), beta.into(), d_out]
        };
        let kernel = group_norm_kernel(lowering, "sum_gradients", &[Read, Read, Read, Read, Read, Write]);
        for band in chunks.bands_for(lowering) {
            let mut args = read(&band);
            args.push(sums.into());
            self.0.launch_band(lowering, &kernel, args, &chunks, &band, Cost { flops: 14, bytes: 8 });
        }
        self.0.launch_combine(lowering, "combine_gradients", sums, means, &chunks);
        let kernel = group_norm_kernel(lowering, "backward", &[Read, Read, Read, Read, Read, Read, Read, Write]);
        for band in chunks.bands_for(lowering) {
            let mut args = read(&band);
            let addend = chunks.arg(lowering.addend().unwrap_or(d_out), &band);
            args.extend([means.into(), addend, chunks.arg(d_x, &band)]);
            self.0.launch_band(lowering, &kernel, args, &chunks, &band, Cost { flops: 15, bytes: 12 });
        }
    }
}

fn group_norm_kernel(lowering: &Lowering<'_>, entry: &'static str, bindings: &[Access]) -> KernelSpec {
    // A CPU driver switches between the subgroups of a workgroup at every barrier: 1 to 2 ms for 256 lanes.
    let reduce_lanes = if lowering.caps().variant == Variant::CpuDriver { 8 } else { 256 };
    KernelSpec::new("group_norm.wgsl", entry, bindings).constant("REDUCE_LANES", reduce_lanes)
}

impl GroupNorm {
    /// A launch over the chunks of `band`, one invocation per chunk and column of four channels. The first of `args` has
    /// the type of all quads.
    fn launch_band(
        &self,
        lowering: &mut Lowering<'_>,
        kernel: &KernelSpec,
        args: Vec<Arg>,
        chunks: &Chunks,
        band: &ChunkBand,
        per_element: Cost,
    ) {
        let (params, workgroups, cost) =
            (self.params(lowering, chunks, band), chunks.workgroups(band), chunks.cost(band, per_element));
        launch_quads(lowering, args[0].value, kernel, args, &params, workgroups, cost);
    }

    /// Combines the chunks' two partial results per channel into two values per group.
    fn launch_combine(
        &self,
        lowering: &mut Lowering<'_>,
        entry: &'static str,
        partials: Value,
        combined: Value,
        chunks: &Chunks,
    ) {
        let elements = lowering.elements(partials) as u64;
        let kernel = group_norm_kernel(lowering, entry, &[Read, Write]).import(quad_import(DType::F32));
        let workgroups = [self.groups as u32, chunks.samples as u32, 1];
        let cost = Cost { flops: 3 * elements, bytes: 4 * elements };
        let params = self.params(lowering, chunks, &chunks.whole());
        lowering.launch(kernel, vec![partials.into(), combined.into()], &params, workgroups, cost);
    }

    fn params(&self, lowering: &Lowering<'_>, chunks: &Chunks, band: &ChunkBand) -> Params {
        let chunks = chunks.params(band);
        let (groups, silu) = (self.groups as u32, u32::from(self.silu));
        Params { chunks, groups, silu, eps: self.eps, has_addend: lowering.addend().is_some().into() }
    }
}
