//! General matrix multiplication, strided and batched: what linears, LoRA and attention lower to.

use crate::{
    gpu::{Access, Cost, KernelSpec, Variant},
    tape::{Arg, DType, Lowering, Value},
};

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
    /// How far consecutive matrices lie apart: outer (picture) and inner (head).
    pub batch_stride: [usize; 2],
}

impl Operand {
    /// A single matrix whose rows follow each other.
    pub fn matrix(value: impl Into<Arg>, columns: usize) -> Self {
        Self { arg: value.into(), row_stride: columns, batch_stride: [0, 0] }
    }
}

/// C = alpha · scale · op(A)·op(B) + bias, for every batch; B may be stored as f32, f16 or bf16.
///
/// Where the contiguous dimension of an operand is no multiple of four, its rows must be padded to one: in A of NT and
/// NN the padding must be zero; what lies in the padding of B does not matter; the padding of C takes any finite values.
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
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    m: u32,
    n: u32,
    k: u32,
    batch_inner: u32,
    rows: [u32; 4],
    outer: [u32; 4],
    inner: [u32; 4],
    alpha: f32,
    has_scale: u32,
    has_bias: u32,
    accumulate: u32,
}

impl Gemm {
    /// A product of single matrices without bias.
    pub fn new(layout: Layout, [m, n, k]: [usize; 3], a: Operand, b: Operand, c: Operand) -> Self {
        let batch = [1, 1];
        Self { layout, m, n, k, a, b, c, batch, alpha: 1.0, scale: None, bias: None, accumulate: false }
    }

    fn params(&self) -> Params {
        let vectors = |of: fn(&Operand) -> usize| [&self.a, &self.b, &self.c].map(|operand| (of(operand) / 4) as u32);
        let padded = |[a, b, c]: [u32; 3]| [a, b, c, 0];
        Params {
            m: self.m as u32,
            n: self.n as u32,
            k: self.k as u32,
            batch_inner: self.batch[1] as u32,
            rows: padded(vectors(|operand| operand.row_stride)),
            outer: padded(vectors(|operand| operand.batch_stride[0])),
            inner: padded(vectors(|operand| operand.batch_stride[1])),
            alpha: self.alpha,
            has_scale: self.scale.is_some().into(),
            has_bias: self.bias.is_some().into(),
            accumulate: self.accumulate.into(),
        }
    }

    fn cost(&self, b_bytes: usize) -> Cost {
        let batches = (self.batch[0] * self.batch[1]) as u64;
        let [m, n, k] = [self.m, self.n, self.k].map(|size| size as u64);
        let c_bytes = if self.accumulate { 8 } else { 4 };
        Cost { flops: 2 * m * n * k * batches, bytes: (4 * m * k + b_bytes as u64 * n * k + c_bytes * m * n) * batches }
    }

    fn workgroups(&self, rows: usize, columns: usize) -> [u32; 3] {
        let batches = self.batch[0] * self.batch[1];
        [self.n.div_ceil(columns) as u32, self.m.div_ceil(rows) as u32, batches as u32]
    }
}

/// Appends the launches of `gemm`.
pub(super) fn launch_gemm(lowering: &mut Lowering<'_>, gemm: &Gemm) {
    let entry = match gemm.layout {
        Layout::NT => "nt",
        Layout::NN => "nn",
        Layout::TN => "tn",
    };
    let (file, rows, columns) = match lowering.caps().variant {
        Variant::Naive | Variant::Portable => ("gemm_naive.wgsl", 16, 16),
        Variant::CpuDriver => ("gemm_cpu.wgsl", 32, 32),
    };
    let b_dtype = lowering.dtype(gemm.b.arg.value);
    let kernel = KernelSpec::new(file, entry, &[Access::Read, Access::Read, Access::Read, Access::Read, Access::Write])
        .import(weight_import(b_dtype));
    let or_a = |value: Option<Value>| value.map_or_else(|| gemm.a.arg.clone(), Arg::from);
    let args = vec![gemm.a.arg.clone(), gemm.b.arg.clone(), or_a(gemm.bias), or_a(gemm.scale), gemm.c.arg.clone()];
    lowering.launch(kernel, args, &gemm.params(), gemm.workgroups(rows, columns), gemm.cost(b_dtype.bytes()));
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

#[cfg(test)]
mod tests;
