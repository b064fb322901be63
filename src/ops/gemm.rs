//! General matrix multiplication, strided and batched: what linears, LoRA and attention lower to.

use std::ops::Range;

use crate::tape::{Arg, DType, Lowering, Value};

use super::{
    bands::{BAND_ALIGNMENT, bands},
    panels::{PANEL, Panels},
};

mod kernels;
#[cfg(test)]
mod tests;

/// This many rows of any width that is a multiple of four fill whole units of [`BAND_ALIGNMENT`].
const ROWS_PER_BLOCK: usize = 32;

/// How A and B lie in memory; C = op(A)·op(B) is (M, N) always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// C = A·Bᵀ with A (M, K) and B (N, K).
    NT,
    /// C = A·B with A (M, K) and B (K, N).
    NN,
    /// C = Aᵀ·B with A (K, M) and B (K, N).
    TN,
}

/// A matrix in memory. Strides count elements and are multiples of four.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub arg: Arg,
    pub row_stride: usize,
    /// From 64 columns of a row to its next 64: 64, but for a B of NT or NN in panels.
    pub panel_stride: usize,
    /// How far consecutive matrices lie apart: outer (picture) and inner (head).
    pub batch_stride: [usize; 2],
}

impl Operand {
    /// A single matrix whose rows follow each other.
    pub fn matrix(value: impl Into<Arg>, columns: usize) -> Self {
        Self { arg: value.into(), row_stride: columns, panel_stride: PANEL, batch_stride: [0, 0] }
    }

    /// A single matrix that may lie in panels.
    pub fn panels(value: impl Into<Arg>, panels: Panels) -> Self {
        let (row_stride, panel_stride) = (panels.row_stride(), panels.panel_stride());
        Self { row_stride, panel_stride, ..Self::matrix(value, panels.columns) }
    }

    /// Whether rows of `columns` elements can be read eight at a time.
    fn is_wide(&self, columns: usize) -> bool {
        let strides = [self.row_stride, self.batch_stride[0], self.batch_stride[1], columns.next_multiple_of(4)];
        strides.iter().all(|stride| stride.is_multiple_of(8))
    }

    /// Some rows of a single matrix with rows of `columns` elements.
    fn rows(&self, rows: &Range<usize>, columns: usize) -> Self {
        let base = self.arg.range.as_ref().map_or(0, |range| range.start);
        let start = base + rows.start * self.row_stride;
        let end = base + (rows.end - 1) * self.row_stride + columns.next_multiple_of(4);
        Self { arg: self.arg.value.part(start..end), ..self.clone() }
    }
}

/// C = alpha · scale · op(A)·op(B) + bias + addend, for every batch; A and C may be stored as f32 or f16, B also as bf16.
///
/// Where the contiguous dimension of an operand is no multiple of four, its rows must be padded to one: in A of NT and
/// NN the padding must be zero, in B it must be finite, and that of C is overwritten by finite values.
#[derive(Clone, Debug)]
pub(super) struct Gemm {
    pub layout: Layout,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: Operand,
    pub b: Operand,
    pub c: Operand,
    /// How many matrices: outer, inner.
    pub batch: [usize; 2],
    pub alpha: f32,
    /// A `(1)` value that multiplies `alpha`.
    pub scale: Option<Value>,
    /// `(n)`, added to every row.
    pub bias: Option<Value>,
    /// C += instead of C =.
    pub accumulate: bool,
    /// A matrix of C's type and strides, added last. Not for batches.
    pub addend: Option<Operand>,
}

impl Gemm {
    /// A product of single matrices without bias.
    pub fn new(layout: Layout, [m, n, k]: [usize; 3], a: Operand, b: Operand, c: Operand) -> Self {
        let batch = [1, 1];
        Self { layout, m, n, k, a, b, c, batch, alpha: 1.0, scale: None, bias: None, accumulate: false, addend: None }
    }

    /// With the addend of the op that is being lowered, if it has one.
    pub fn with_addend(self, lowering: &Lowering<'_>) -> Self {
        Self { addend: lowering.addend().map(|value| Operand::matrix(value, self.n)), ..self }
    }

    /// Products that bind at most `limit` bytes of each operand, were it f32: bands of rows of A and C, or of k where A
    /// and B have a row for each k; those add up.
    fn banded(&self, limit: u64) -> Vec<Self> {
        let (rows, stride) = match self.layout {
            Layout::NT | Layout::NN => (self.m, self.a.row_stride.max(self.c.row_stride)),
            Layout::TN => (self.k, self.a.row_stride.max(self.b.row_stride)),
        };
        let (blocks, block_bytes) = (rows.div_ceil(ROWS_PER_BLOCK), (4 * ROWS_PER_BLOCK * stride) as u64);
        let bands = bands(blocks, block_bytes, limit, BAND_ALIGNMENT);
        bands
            .map(|band| band.start * ROWS_PER_BLOCK..rows.min(band.end * ROWS_PER_BLOCK))
            .map(|band| if band.len() == rows { self.clone() } else { self.band(&band) })
            .collect()
    }

    fn band(&self, band: &Range<usize>) -> Self {
        match self.layout {
            Layout::NT | Layout::NN => {
                let (a, c) = (self.a.rows(band, self.k), self.c.rows(band, self.n));
                let addend = self.addend.as_ref().map(|addend| addend.rows(band, self.n));
                Self { m: band.len(), a, c, addend, ..self.clone() }
            }
            Layout::TN => {
                let (a, b) = (self.a.rows(band, self.m), self.b.rows(band, self.n));
                let bias = self.bias.filter(|_| band.start == 0);
                let addend = self.addend.clone().filter(|_| band.start == 0);
                let accumulate = self.accumulate || band.start > 0;
                Self { k: band.len(), a, b, bias, accumulate, addend, ..self.clone() }
            }
        }
    }
}

/// Appends the launches of `gemm`, in bands where a single product's operands exceed what the device binds at once.
/// Callers of batched products bind parts of their values themselves.
pub(super) fn launch_gemm(lowering: &mut Lowering<'_>, gemm: &Gemm) {
    if gemm.batch != [1, 1] {
        return launch_bound_gemm(lowering, gemm);
    }
    for band in gemm.banded(lowering.caps().max_binding) {
        kernels::launch(lowering, &band);
    }
}

/// Appends the launch of a product whose caller has bound parts of its values that the device can bind.
pub(super) fn launch_bound_gemm(lowering: &mut Lowering<'_>, gemm: &Gemm) {
    kernels::launch(lowering, gemm);
}

/// Appends `c = Σ partial + bias + addend`, the sum over the first dimension of `partial`, `(slices, M, N)`.
pub(super) fn launch_sum_of_slices(
    lowering: &mut Lowering<'_>,
    partial: Value,
    bias: Option<Value>,
    addend: Option<Value>,
    c: Value,
) {
    let &[slices, m, n] = lowering.shape(partial) else { panic!("gemm: slices of a matrix") };
    let [a, b, c] = [partial, partial, c].map(|value| Operand::matrix(value, n));
    let addend = addend.map(|value| Operand::matrix(value, n));
    let sum = Gemm { bias, addend, ..Gemm::new(Layout::NT, [m, n, 0], a, b, c) };
    kernels::launch_reduce(lowering, &sum, partial, slices);
}

/// The shared shader file that reads frozen matrices of a storage type.
///
/// # Panics
/// Where `dtype` is no floating-point type.
pub(super) fn weight_import(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "shared/weight_f32.wgsl",
        DType::F16 => "shared/weight_f16.wgsl",
        DType::BF16 => "shared/weight_bf16.wgsl",
        DType::U32 => panic!("a matrix of whole numbers cannot be multiplied"),
    }
}
