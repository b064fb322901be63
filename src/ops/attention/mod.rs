//! Scaled dot-product attention: softmax(q·kᵀ / √d)·v for every head, heads as strides within the channels.
//!
//! Three families of kernels: a naive one checks the others; the flash kernels keep scores in registers (FlashAttention:
//! Dao et al., arXiv 2205.14135 and 2307.08691, with separate kernels for the gradients of queries and of keys, so that
//! nothing needs atomics); [`chunked`] writes bounded chunks of the score matrix and multiplies them with the GEMM
//! kernels, which is what software drivers are fast at.

use crate::{
    gpu::Variant,
    tape::{Backward, DType, Lowering, Op, Tape, Value},
};

mod chunked;
mod geometry;
mod rows;
mod tile;

use geometry::{Geometry, Saved, Wanted};

/// Largest head whose gradient the flash kernels hold in registers and workgroup memory.
const MAX_TRAINED_HEAD: usize = 256;

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    None,
    /// Query i sees keys 0 to i.
    Causal,
}

#[derive(Debug)]
struct Attention(Geometry);

#[derive(Debug)]
struct AttentionGradient {
    geometry: Geometry,
    wants_q: bool,
    wants_k_v: bool,
}

/// softmax(q·kᵀ / √(C / heads))·v: q `(B, N, C)`, k and v `(B, M, C)` to `(B, N, C)`.
///
/// # Panics
/// On shapes or element types that do not fit together, a C that is no multiple of 4 · heads, heads of more than 512
/// channels, and a causal mask where N ≠ M. Heads of more than 256 channels have no gradient.
pub fn attention(tape: &mut Tape, q: Value, k: Value, v: Value, heads: usize, mask: Mask) -> Value {
    let geometry = Geometry::new(tape.shape(q), tape.shape(k), tape.shape(v), heads, mask);
    assert!([k, v].iter().all(|&value| tape.dtype(value) == tape.dtype(q)), "attention: element types differ");
    let shape = tape.shape(q).to_vec();
    let statistics = [geometry.batch, heads, geometry.queries];
    let dtype = tape.dtype(q);
    tape.push(Attention(geometry), &[q, k, v], &[("out", &shape, dtype), ("lse", &statistics, DType::F32)])[0]
}

/// Whether the kernels that own rows are the ones to take, rather than chunks of the score matrix.
fn owns_rows(variant: Variant, geometry: &Geometry) -> bool {
    variant != Variant::CpuDriver || tile::fits_lanes(geometry.head)
}

impl Op for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        if owns_rows(lowering.caps().variant, &self.0) {
            rows::forward(lowering, &self.0);
        } else {
            chunked::forward(lowering, &self.0);
        }
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        let geometry = self.0;
        assert!(geometry.head <= MAX_TRAINED_HEAD, "attention: no gradient for heads of {} channels", geometry.head);
        // Keys and values come from one context: their gradients are wanted together or not at all, and one kernel
        // computes both.
        let (wants_q, wants_k_v) = (backward.wants(0), backward.wants(1) || backward.wants(2));
        let [q, k, v] = [0, 1, 2].map(|index| backward.input(index));
        let inputs = [q, k, v, backward.output(0), backward.output(1), backward.d_output(0)];
        let q_shape = backward.tape.shape(q).to_vec();
        let k_shape = backward.tape.shape(k).to_vec();
        let outputs: [(usize, &str, &[usize]); 3] = [(0, "d_q", &q_shape), (1, "d_k", &k_shape), (2, "d_v", &k_shape)];
        let computed = |index: usize| if index == 0 { wants_q } else { wants_k_v };
        let outputs: Vec<_> = outputs.into_iter().filter(|&(index, ..)| computed(index)).collect();
        let dtype = backward.tape.dtype(q);
        let shapes: Vec<(&str, &[usize], DType)> =
            outputs.iter().map(|&(_, name, shape)| (name, shape, dtype)).collect();
        let gradient = AttentionGradient { geometry, wants_q, wants_k_v };
        let gradients = backward.tape.push(gradient, &inputs, &shapes);
        for (&(index, ..), gradient) in outputs.iter().zip(gradients) {
            if backward.wants(index) {
                backward.give(index, gradient);
            }
        }
    }
}

impl Op for AttentionGradient {
    fn name(&self) -> &'static str {
        "attention_gradient"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let geometry = &self.geometry;
        let delta = lowering.scratch("delta", &[geometry.batch, geometry.heads, geometry.queries]);
        let [q, k, v, out, lse, d_out] = [0, 1, 2, 3, 4, 5].map(|index| lowering.input(index));
        let d_q = self.wants_q.then(|| lowering.output(0));
        let d_k = usize::from(self.wants_q);
        let d_k_v = self.wants_k_v.then(|| (lowering.output(d_k), lowering.output(d_k + 1)));
        let saved = Saved { q, k, v, lse, d_out, delta };
        let wanted = Wanted { d_q, d_k_v };
        rows::delta(lowering, geometry, out, &saved);
        if owns_rows(lowering.caps().variant, geometry) {
            rows::backward(lowering, geometry, &saved, &wanted);
        } else {
            chunked::backward(lowering, geometry, &saved, &wanted);
        }
    }
}
