//! What every attention kernel needs to know about shapes, and how a batch is cut to fit a device's bindings.

use std::ops::Range;

use crate::{
    gpu::{Cost, KernelSpec},
    tape::{Arg, Value},
};

use super::{
    super::bands::{BAND_ALIGNMENT, aligned_rows},
    Mask,
};

/// Largest head that the flash kernels hold in registers and workgroup memory.
const MAX_HEAD: usize = 512;

/// Sizes of one attention. `head` is the width of a head: C / heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub batch: usize,
    pub queries: usize,
    pub keys: usize,
    pub heads: usize,
    pub head: usize,
    pub mask: Mask,
}

/// The parameter block of `shared/attention.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Params {
    queries: u32,
    keys: u32,
    heads: u32,
    batch: u32,
    first_batch: u32,
    scale: f32,
}

impl Geometry {
    /// # Panics
    /// Where q `(B, N, C)`, k and v `(B, M, C)` do not fit together.
    pub fn new(q: &[usize], k: &[usize], v: &[usize], heads: usize, mask: Mask) -> Self {
        let (&[batch, queries, width], &[k_batch, keys, k_width]) = (q, k) else {
            panic!("attention: q {q:?} and k {k:?} are not (B, N, C) and (B, M, C)");
        };
        let fits = k == v && batch == k_batch && width == k_width && width.is_multiple_of(4 * heads);
        assert!(fits, "attention: q {q:?}, k {k:?}, v {v:?} with {heads} heads");
        assert!(mask == Mask::None || queries == keys, "attention: causal with {queries} queries and {keys} keys");
        assert!(
            width / heads <= MAX_HEAD,
            "attention: q {q:?} with {heads} heads: a head has over {MAX_HEAD} channels"
        );
        Self { batch, queries, keys, heads, head: width / heads, mask }
    }

    /// C.
    pub fn width(&self) -> usize {
        self.heads * self.head
    }

    /// What scores are multiplied with: 1 / √d.
    pub fn scale(&self) -> f32 {
        (self.head as f32).sqrt().recip()
    }

    /// Bytes of one picture's queries.
    pub fn query_bytes(&self) -> u64 {
        4 * (self.queries * self.width()) as u64
    }

    /// Bytes of one picture's keys.
    pub fn key_bytes(&self) -> u64 {
        4 * (self.keys * self.width()) as u64
    }

    pub fn params(&self, band: &Range<usize>) -> Params {
        Params {
            queries: self.queries as u32,
            keys: self.keys as u32,
            heads: self.heads as u32,
            batch: band.len() as u32,
            first_batch: band.start as u32,
            scale: self.scale(),
        }
    }

    /// The constants of `shared/attention.wgsl`.
    pub fn constants(&self, kernel: KernelSpec) -> KernelSpec {
        let causal = u32::from(self.mask == Mask::Causal);
        kernel.constant("HEAD4", (self.head / 4) as u32).constant("CAUSAL", causal)
    }

    /// Cost of a kernel that multiplies `products` pairs of head-wide matrices for the pictures of `band`, and touches
    /// `query_sized` and `key_sized` values of those sizes. A causal mask halves the products.
    pub fn cost(&self, band: &Range<usize>, products: usize, query_sized: u64, key_sized: u64) -> Cost {
        let scores = band.len() * self.heads * self.queries * self.keys;
        let flops = 2 * products * scores * self.head;
        let flops = if self.mask == Mask::Causal { flops / 2 } else { flops } as u64;
        let bytes = band.len() as u64 * (query_sized * self.query_bytes() + key_sized * self.key_bytes());
        Cost { flops, bytes }
    }

    /// Ranges of pictures whose queries and keys each fit into one binding.
    pub fn bands(&self, limit: u64) -> impl Iterator<Item = Range<usize>> + use<> {
        let largest = (limit / self.query_bytes().max(self.key_bytes())) as usize;
        let step = if largest >= self.batch { self.batch } else { largest - largest % self.aligned_pictures() };
        assert!(step > 0, "attention: one picture of {self:?} exceeds the binding limit of {limit} bytes");
        let batch = self.batch;
        (0..batch).step_by(step).map(move |start| start..(start + step).min(batch))
    }

    /// Least number of pictures after which both queries and keys reach a multiple of [`BAND_ALIGNMENT`].
    pub fn aligned_pictures(&self) -> usize {
        let period = |bytes: u64| aligned_rows(bytes, BAND_ALIGNMENT);
        period(self.query_bytes()).max(period(self.key_bytes()))
    }

    /// The pictures `band` of a value laid out as the queries, `(B, N, C)`.
    pub fn query_band(&self, value: Value, band: &Range<usize>) -> Arg {
        part(value, band, self.batch, self.queries * self.width())
    }

    /// The pictures `band` of a value laid out as the keys, `(B, M, C)`.
    pub fn key_band(&self, value: Value, band: &Range<usize>) -> Arg {
        part(value, band, self.batch, self.keys * self.width())
    }
}

fn part(value: Value, band: &Range<usize>, batch: usize, elements: usize) -> Arg {
    if band.len() == batch {
        return value.into();
    }
    value.part(band.start * elements..band.end * elements)
}

/// The inputs of the backward node, and its scratch.
#[derive(Clone, Copy)]
pub(super) struct Saved {
    pub q: Value,
    pub k: Value,
    pub v: Value,
    pub lse: Value,
    pub d_out: Value,
    /// rowsum(d_out ∘ out), `(B, heads, N)`.
    pub delta: Value,
}

/// Where the wanted gradients go.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub d_q: Option<Value>,
    pub d_k_v: Option<(Value, Value)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(batch: usize, queries: usize, keys: usize, heads: usize, head: usize) -> Geometry {
        Geometry { batch, queries, keys, heads, head, mask: Mask::None }
    }

    #[test]
    fn bands_cover_the_batch_at_aligned_offsets() {
        // One picture's queries are 7 · 20 · 4 = 560 bytes: aligned every 32 pictures.
        let odd = geometry(50, 7, 3, 1, 20);
        assert_eq!(odd.aligned_pictures(), 32);
        let bands: Vec<_> = odd.bands(40 * 560).collect();
        assert_eq!(bands, [0..32, 32..50]);
        assert!(geometry(4, 64, 77, 8, 40).bands(1 << 20).eq(std::iter::once(0..4)));
    }

    #[test]
    #[should_panic(expected = "exceeds the binding limit")]
    fn a_picture_larger_than_a_binding_is_refused() {
        let _ = geometry(2, 4096, 77, 8, 40).bands(1 << 20).count();
    }
}
