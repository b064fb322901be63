//! Values times a factor of each channel of each picture: what drops ranks, or a picture's whole adapter.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Backward, DType, Lowering, Op, Tape, Value},
};

use super::{chunks::Chunks, quads::launch_quads};

/// Inputs `h`, `mask`.
#[derive(Debug)]
struct ScaleRows;

/// `h ⊙ mask` for `h` (B, …, r) and `mask` (B, r) in f32, which multiplies at every token or pixel. The gradient goes to `h`.
///
/// # Panics
/// Where `mask` is not (B, r) in f32, or r is no multiple of 4.
pub fn scale_rows(tape: &mut Tape, h: Value, mask: Value) -> Value {
    let shape = tape.shape(h).to_vec();
    let Chunks { samples, channels, .. } = Chunks::of(&shape);
    assert_eq!(tape.shape(mask), [samples, channels], "scale_rows: mask of h {shape:?}");
    assert_eq!(tape.dtype(mask), DType::F32, "scale_rows: the mask is F32");
    tape.push_one(ScaleRows, &[h, mask], &shape)
}

impl Op for ScaleRows {
    fn name(&self) -> &'static str {
        "scale_rows"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let (h, mask, out) = (lowering.input(0), lowering.input(1), lowering.output(0));
        let chunks = Chunks::of(lowering.shape(h));
        let kernel = KernelSpec::new("scale_rows.wgsl", "forward", &[Read, Read, Write]);
        for band in chunks.bands_for(lowering) {
            let args = vec![chunks.arg(h, &band), mask.into(), chunks.arg(out, &band)];
            let (params, workgroups) = (chunks.params(&band), chunks.workgroups(&band));
            let cost = chunks.cost(&band, Cost { flops: 1, bytes: 8 });
            launch_quads(lowering, h, &kernel, args, &params, workgroups, cost);
        }
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        // out = h ⊙ mask, so that d_h = d_out ⊙ mask
        assert!(!backward.wants(1), "scale_rows: the mask has no gradient");
        let (d_out, mask) = (backward.d_output(0), backward.input(1));
        let d_h = scale_rows(backward.tape, d_out, mask);
        backward.give(0, d_h);
    }
}
