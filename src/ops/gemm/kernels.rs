//! Which kernel multiplies, and how its dispatch is cut.

use crate::{
    gpu::{Access, Cost, KernelSpec, Variant},
    tape::{Arg, DType, Lowering, Value},
};

use super::{
    super::{
        broadcast::BroadcastTile,
        panels::PANEL,
        quads::{quad_import, result_import},
    },
    Gemm, Layout, Operand, weight_import,
};

/// A, B, bias, scale, addend and C.
const BINDINGS: [Access; 6] = [Access::Read, Access::Read, Access::Read, Access::Read, Access::Read, Access::Write];

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
    has_addend: u32,
    slices: u32,
    slice_k: u32,
    slice_stride: u32,
    panel_stride: u32,
    padding: [u32; 3],
}

/// How a long sum is cut so that enough workgroups share it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slices {
    count: usize,
    /// k in each slice but the last.
    k: usize,
}

/// A register-tiled kernel: invocations along M and N, and vectors of four rows and columns for each invocation.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tile {
    lanes_m: u32,
    lanes_n: u32,
    rows4: u32,
    columns4: u32,
}

/// 128 × 128, for products that fill a large GPU with such tiles.
const LARGE: Tile = Tile { lanes_m: 16, lanes_n: 16, rows4: 2, columns4: 2 };
/// 64 × 64.
const MEDIUM: Tile = Tile { lanes_m: 8, lanes_n: 8, rows4: 2, columns4: 2 };
/// 128 × 16: projections to a LoRA's rank.
const TALL: Tile = Tile { lanes_m: 16, lanes_n: 4, rows4: 2, columns4: 1 };
/// 16 × 128: gradients of a LoRA's down matrix, and few tokens.
const WIDE: Tile = Tile { lanes_m: 4, lanes_n: 16, rows4: 1, columns4: 2 };

/// Workgroups that keep a large GPU busy.
const ENOUGH_WORKGROUPS: usize = 256;
/// Least k worth a workgroup of its own, a multiple of the kernel's sixteen.
const LEAST_SLICE: usize = 128;

impl Tile {
    fn choose(m: usize, n: usize, batches: usize) -> Self {
        match (m, n) {
            (_, 0..=16) => TALL,
            (0..=16, _) => WIDE,
            _ if LARGE.workgroups(m, n) * batches >= ENOUGH_WORKGROUPS => LARGE,
            _ => MEDIUM,
        }
    }

    fn rows(self) -> usize {
        (4 * self.lanes_m * self.rows4) as usize
    }

    fn columns(self) -> usize {
        (4 * self.lanes_n * self.columns4) as usize
    }

    /// Blocks of four by four that an invocation reads of a tile of so many along M or N, by four along K.
    fn blocks_each(self, across: u32) -> u32 {
        (4 * across).div_ceil(self.lanes_m * self.lanes_n)
    }

    fn workgroups(self, m: usize, n: usize) -> usize {
        m.div_ceil(self.rows()) * n.div_ceil(self.columns())
    }
}

impl Slices {
    fn whole(k: usize) -> Self {
        Self { count: 1, k }
    }

    /// Only single products are cut: batches bring enough workgroups.
    fn choose(gemm: &Gemm, tile: Tile) -> Self {
        let workgroups = tile.workgroups(gemm.m, gemm.n);
        let wanted = (ENOUGH_WORKGROUPS / workgroups).min(gemm.k / LEAST_SLICE);
        if gemm.batch != [1, 1] || wanted < 2 {
            return Self::whole(gemm.k);
        }
        let k = gemm.k.div_ceil(wanted).next_multiple_of(16);
        Self { count: gemm.k.div_ceil(k), k }
    }
}

/// Appends the launches of a product whose operands fit into the device's bindings.
pub(super) fn launch(lowering: &mut Lowering<'_>, gemm: &Gemm) {
    let entry = match gemm.layout {
        Layout::NT => "nt",
        Layout::NN => "nn",
        Layout::TN => "tn",
    };
    match lowering.caps().variant {
        Variant::Naive => {
            let kernel = gemm.imports(lowering, KernelSpec::new("gemm_naive.wgsl", entry, &BINDINGS));
            launch_multiply(lowering, gemm, kernel, [16, 64], Slices::whole(gemm.k));
        }
        Variant::Portable => launch_tiled(lowering, gemm),
        Variant::CpuDriver => launch_broadcast(lowering, gemm, KernelSpec::new("gemm_cpu.wgsl", entry, &BINDINGS)),
    }
}

fn launch_broadcast(lowering: &mut Lowering<'_>, gemm: &Gemm, kernel: KernelSpec) {
    let tile = BroadcastTile::choose(gemm.m, gemm.n, gemm.k);
    let (a_row, b_row) = match gemm.layout {
        Layout::NT => (gemm.k, gemm.k),
        Layout::NN => (gemm.k, gemm.n),
        Layout::TN => (gemm.m, gemm.n),
    };
    let wide_b = gemm.b.is_wide(b_row) && (gemm.layout == Layout::NT || tile.has_pairs());
    let [a_dtype, b_dtype] = [&gemm.a, &gemm.b].map(|operand| lowering.dtype(operand.arg.value));
    let kernel = tile.kernel(kernel, (a_dtype, gemm.a.is_wide(a_row)), (b_dtype, wide_b));
    launch_multiply(lowering, gemm, kernel, [tile.rows(), tile.columns()], Slices::whole(gemm.k));
}

fn launch_tiled(lowering: &mut Lowering<'_>, gemm: &Gemm) {
    let tile = Tile::choose(gemm.m, gemm.n, gemm.batch[0] * gemm.batch[1]);
    let slices = Slices::choose(gemm, tile);
    let kernel = KernelSpec::new("gemm_tiled.wgsl", "multiply", &BINDINGS)
        .constant("LANES_M", tile.lanes_m)
        .constant("LANES_N", tile.lanes_n)
        .constant("ROWS4", tile.rows4)
        .constant("COLUMNS4", tile.columns4)
        .constant("A_EACH", tile.blocks_each(tile.lanes_m * tile.rows4))
        .constant("B_EACH", tile.blocks_each(tile.lanes_n * tile.columns4))
        .constant("A_ALONG_K", (gemm.layout != Layout::TN).into())
        .constant("B_ALONG_K", (gemm.layout == Layout::NT).into());
    let kernel = gemm.imports(lowering, kernel);
    let size = [tile.rows(), tile.columns()];
    if slices.count == 1 {
        return launch_multiply(lowering, gemm, kernel, size, slices);
    }
    let row = gemm.n.next_multiple_of(4);
    let partial = lowering.scratch("partial", &[slices.count, gemm.m, row]);
    let c = Operand::matrix(partial, row);
    let sliced = Gemm { c, alpha: 1.0, scale: None, bias: None, accumulate: false, addend: None, ..gemm.clone() };
    launch_multiply(lowering, &sliced, kernel, size, slices);
    launch_reduce(lowering, gemm, partial, slices.count);
}

fn launch_multiply(lowering: &mut Lowering<'_>, gemm: &Gemm, kernel: KernelSpec, tile: [usize; 2], slices: Slices) {
    let [a, b, c] = [&gemm.a, &gemm.b, &gemm.c].map(|operand| operand.arg.clone());
    let args = vec![a, b, gemm.or_a(gemm.bias), gemm.or_a(gemm.scale), gemm.addend_or(&gemm.a.arg), c];
    let workgroups = [
        gemm.n.div_ceil(tile[1]) as u32,
        gemm.m.div_ceil(tile[0]) as u32,
        (gemm.batch[0] * gemm.batch[1] * slices.count) as u32,
    ];
    let dtypes = [&gemm.a, &gemm.b, &gemm.c].map(|operand| lowering.dtype(operand.arg.value));
    let cost = gemm.cost(dtypes.map(DType::bytes));
    lowering.launch(kernel.import(result_import(dtypes[2])), args, &gemm.params(slices), workgroups, cost);
}

/// Appends the sum over `partial`'s slices, with all that `gemm` has beside its product.
pub(super) fn launch_reduce(lowering: &mut Lowering<'_>, gemm: &Gemm, partial: Value, count: usize) {
    let bindings = [Access::Read, Access::Read, Access::Read, Access::Read, Access::Write];
    let import = result_import(lowering.dtype(gemm.c.arg.value));
    let kernel = KernelSpec::new("gemm_reduce.wgsl", "reduce", &bindings).import(import);
    let or_partial = |value: Option<Value>| Arg::from(value.unwrap_or(partial));
    let addend = gemm.addend_or(&partial.into());
    let args = vec![partial.into(), or_partial(gemm.bias), or_partial(gemm.scale), addend, gemm.c.arg.clone()];
    let elements = (gemm.m * gemm.n) as u64;
    let cost = Cost { flops: count as u64 * elements, bytes: 4 * (count as u64 + 1) * elements };
    let workgroups = [gemm.n.div_ceil(64) as u32, gemm.m.div_ceil(16) as u32, 1];
    lowering.launch(kernel, args, &gemm.params(Slices { count, k: gemm.k }), workgroups, cost);
}

impl Gemm {
    /// What is bound for an optional operand: where it is absent, something that is bound for reading anyhow.
    fn or_a(&self, value: Option<Value>) -> Arg {
        value.map_or_else(|| self.a.arg.clone(), Arg::from)
    }

    /// What is bound for the addend, `otherwise` where there is none.
    fn addend_or(&self, otherwise: &Arg) -> Arg {
        self.addend.as_ref().map_or_else(|| otherwise.clone(), |addend| addend.arg.clone())
    }

    fn has_addend(&self) -> bool {
        let fits = |addend: &Operand| addend.row_stride == self.c.row_stride && self.batch == [1, 1];
        assert!(self.addend.iter().all(fits), "gemm: the addend does not lie as C does in {self:?}");
        self.addend.is_some()
    }

    /// `kernel` with the types of A and B.
    fn imports(&self, lowering: &Lowering<'_>, kernel: KernelSpec) -> KernelSpec {
        let [a, b] = [&self.a, &self.b].map(|operand| lowering.dtype(operand.arg.value));
        kernel.import(quad_import(a)).import(weight_import(b))
    }

    fn params(&self, slices: Slices) -> Params {
        let vectors = |of: fn(&Operand) -> usize| {
            let [a, b, c] = [&self.a, &self.b, &self.c].map(|operand| {
                assert!(of(operand).is_multiple_of(4), "gemm: strides of {self:?} must be multiples of 4");
                (of(operand) / 4) as u32
            });
            [a, b, c, 0]
        };
        Params {
            m: self.m as u32,
            n: self.n as u32,
            k: self.k as u32,
            batch_inner: self.batch[1] as u32,
            rows: vectors(|operand| operand.row_stride),
            outer: vectors(|operand| operand.batch_stride[0]),
            inner: vectors(|operand| operand.batch_stride[1]),
            alpha: self.alpha,
            has_scale: self.scale.is_some().into(),
            has_bias: self.bias.is_some().into(),
            accumulate: self.accumulate.into(),
            has_addend: self.has_addend().into(),
            slices: slices.count as u32,
            slice_k: slices.k as u32,
            slice_stride: (self.m * self.n.div_ceil(4)) as u32,
            panel_stride: self.panel_vectors(),
            padding: [0; 3],
        }
    }

    /// How far panels of B lie apart.
    fn panel_vectors(&self) -> u32 {
        let whole_rows = [&self.a, &self.b, &self.c].map(|operand| operand.panel_stride == PANEL);
        let expected = whole_rows[0] && whole_rows[2] && (whole_rows[1] || self.layout != Layout::TN);
        assert!(expected, "gemm: only B of NT and NN may lie in panels, not {self:?}");
        (self.b.panel_stride / 4) as u32
    }

    /// Given the bytes of an element of A, B and C.
    fn cost(&self, element_bytes: [usize; 3]) -> Cost {
        let batches = (self.batch[0] * self.batch[1]) as u64;
        let [m, n, k] = [self.m, self.n, self.k].map(|size| size as u64);
        let [a, b, c] = element_bytes.map(|bytes| bytes as u64);
        let c = (1 + u64::from(self.accumulate) + u64::from(self.addend.is_some())) * c;
        Cost { flops: 2 * m * n * k * batches, bytes: (a * m * k + b * n * k + c * m * n) * batches }
    }
}
