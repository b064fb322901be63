//! The key/value cache of sequences that grow by one token at a time.
//!
//! A sequence may go on from another one (its parent), as beam search wants it: so a step reads one cache and writes
//! another, and programs take turns with two of them.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{DType, Lowering, Op, Tape, Value},
};

use super::bands::flat_workgroups;

/// Inputs `step`, `cache`, `row`.
#[derive(Debug)]
struct ExtendCache;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    batch: u32,
    rows: u32,
    quads: u32,
}

/// The cache `(B, M, C)` for the next step: the rows before the current position are those of each sequence's parent
/// in `cache`, and `row` (B, C) follows. `step` (1 + B) holds the position, below M, and each sequence's parent,
/// below B, as u32. Inference only.
///
/// # Panics
/// Where the shapes do not fit together, or C is no multiple of 4.
pub fn extend_cache(tape: &mut Tape, step: Value, cache: Value, row: Value) -> Value {
    let shape = tape.shape(cache).to_vec();
    check_cache(tape, step, &shape, row);
    tape.push(ExtendCache, &[step, cache, row], &[("out", &shape, DType::F32)])[0]
}

/// Checks that `step`, a cache of shape `cache` and one row of each sequence belong together.
pub(super) fn check_cache(tape: &Tape, step: Value, cache: &[usize], row: Value) {
    let &[batch, _, width] = cache else { panic!("the cache {cache:?} is not (B, M, C)") };
    let (step_shape, row) = (tape.shape(step), tape.shape(row));
    let fits = tape.dtype(step) == DType::U32 && step_shape == [1 + batch] && row == [batch, width] && width % 4 == 0;
    assert!(fits, "cache {cache:?}, row {row:?}, step {step_shape:?}");
}

impl Op for ExtendCache {
    fn name(&self) -> &'static str {
        "extend_cache"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let values = [lowering.input(0), lowering.input(1), lowering.input(2), lowering.output(0)];
        let &[batch, rows, width] = lowering.shape(values[3]) else { unreachable!("checked while recording") };
        let params = Params { batch: batch as u32, rows: rows as u32, quads: (width / 4) as u32 };
        let kernel = KernelSpec::new("extend_cache.wgsl", "forward", &[Read, Read, Read, Write]);
        let elements = batch * rows * width;
        let cost = Cost { flops: 0, bytes: 8 * elements as u64 };
        lowering.launch(kernel, values.map(Into::into).to_vec(), &params, flat_workgroups(elements / 4), cost);
    }
}
