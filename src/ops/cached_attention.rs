//! Attention of sequences that grow by one token at a time, over the cache of [`super::extend_cache`].

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{DType, Lowering, Op, Tape, Value},
};

use super::{bands::flat_workgroups, extend_cache::check_cache};

/// Inputs `step`, `q`, `k`, `v`.
#[derive(Debug)]
struct CachedAttention {
    heads: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    batch: u32,
    rows: u32,
    heads: u32,
    scale: f32,
}

/// softmax(q·kᵀ / √(C / heads))·v for each sequence, over the rows up to the current position: q (B, C), k and v
/// `(B, M, C)` and `step` as for [`super::extend_cache`], to (B, C). Inference only.
///
/// # Panics
/// Where the shapes do not fit together, or C is no multiple of 4 · heads.
pub fn cached_attention(tape: &mut Tape, step: Value, q: Value, k: Value, v: Value, heads: usize) -> Value {
    let (shape, q_shape) = (tape.shape(k).to_vec(), tape.shape(q).to_vec());
    check_cache(tape, step, &shape, q);
    assert!(tape.shape(v) == shape && shape[2].is_multiple_of(4 * heads), "cached_attention: {shape:?}, {heads} heads");
    tape.push(CachedAttention { heads }, &[step, q, k, v], &[("out", &q_shape, DType::F32)])[0]
}

impl Op for CachedAttention {
    fn name(&self) -> &'static str {
        "cached_attention"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let inputs: [Value; 4] = std::array::from_fn(|index| lowering.input(index));
        let &[batch, rows, width] = lowering.shape(inputs[2]) else { unreachable!("checked while recording") };
        let head = width / self.heads;
        let scale = (head as f32).sqrt().recip();
        let params = Params { batch: batch as u32, rows: rows as u32, heads: self.heads as u32, scale };
        let kernel = KernelSpec::new("cached_attention.wgsl", "forward", &[Read, Read, Read, Read, Write]);
        let kernel = kernel.constant("HEAD4", (head / 4) as u32);
        let args = inputs.into_iter().chain([lowering.output(0)]).map(Into::into).collect();
        let elements = (batch * rows * width) as u64;
        let cost = Cost { flops: 4 * elements, bytes: 8 * elements };
        lowering.launch(kernel, args, &params, flat_workgroups(batch * self.heads), cost);
    }
}
