//! Layouts, strides, batches and epilogues against plain loops, in each kernel variant.

use super::*;
use crate::{
    gpu::{Buffer, BufferSlice, Gpu, GpuOptions, Variant},
    tape::{Op, Program, Tape},
};

/// A product of strided, batched operands that lie in values of their own.
#[derive(Clone, Copy, Debug)]
struct Case {
    layout: Layout,
    m: usize,
    n: usize,
    k: usize,
    /// Elements between rows of A, B and C.
    strides: [usize; 3],
    b_in_panels: bool,
    batch: [usize; 2],
    epilogue: Epilogue,
    /// Bytes of a binding; the device's own limit where absent.
    limit: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Epilogue {
    Plain,
    ScaleAndBias,
    Accumulate,
    Addend,
    AccumulateAndAddend,
}

const EPILOGUES: [Epilogue; 5] =
    [Epilogue::Plain, Epilogue::ScaleAndBias, Epilogue::Accumulate, Epilogue::Addend, Epilogue::AccumulateAndAddend];
const ALPHA: f32 = 0.75;
const SCALE: f32 = -1.5;

impl Case {
    /// Rows and valid columns of A, B and C as they lie in memory.
    fn sizes(&self) -> [[usize; 2]; 3] {
        let (m, n, k) = (self.m, self.n, self.k);
        match self.layout {
            Layout::NT => [[m, k], [n, k], [m, n]],
            Layout::NN => [[m, k], [k, n], [m, n]],
            Layout::TN => [[k, m], [k, n], [m, n]],
        }
    }

    /// Inner batches lie side by side where the row stride leaves room for them, as attention heads do.
    fn batch_stride(&self, operand: usize) -> [usize; 2] {
        let [rows, columns] = self.sizes()[operand];
        let matrix = rows * self.strides[operand];
        let padded = columns.next_multiple_of(4);
        if padded * self.batch[1] <= self.strides[operand] {
            [matrix, padded]
        } else {
            [matrix * self.batch[1], matrix]
        }
    }

    fn elements(&self, operand: usize) -> usize {
        self.sizes()[operand][0] * self.strides[operand] * self.batch[0] * self.batch[1]
    }

    /// Single matrices, whose rows follow each other.
    fn matrices(layout: Layout, [m, n, k]: [usize; 3], epilogue: Epilogue) -> Self {
        let batch = [1, 1];
        let mut case = Self { layout, m, n, k, strides: [0; 3], b_in_panels: false, batch, epilogue, limit: None };
        case.strides = case.sizes().map(|[_, columns]| columns.next_multiple_of(4));
        case
    }

    fn panels(&self) -> Panels {
        let [rows, columns] = self.sizes()[1];
        Panels::of(rows, columns)
    }

    /// Index of an element of op(A), op(B) or C.
    fn index(&self, operand: usize, batch: [usize; 2], row: usize, column: usize) -> usize {
        let [outer, inner] = self.batch_stride(operand);
        let transposed = (operand == 0 && self.layout == Layout::TN) || (operand == 1 && self.layout == Layout::NT);
        let (row, column) = if transposed { (column, row) } else { (row, column) };
        let in_panels = operand == 1 && self.b_in_panels;
        let place = if in_panels { self.panels().index(row, column) } else { row * self.strides[operand] + column };
        batch[0] * outer + batch[1] * inner + place
    }

    /// Every element of op(A), op(B) or C.
    fn positions(&self, rows: usize, columns: usize) -> impl Iterator<Item = ([usize; 2], usize, usize)> + use<> {
        let [outer, inner] = self.batch;
        (0..outer * inner * rows * columns).map(move |at| {
            let (batch, row, column) = (at / (rows * columns), at / columns % rows, at % columns);
            ([batch / inner, batch % inner], row, column)
        })
    }

    /// Values between −1 and 1; the padding of A is zero, that of B is not.
    fn operands(&self) -> [Vec<f32>; 3] {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        let mut a = vec![0.0; self.elements(0)];
        for (batch, row, column) in self.positions(self.m, self.k) {
            a[self.index(0, batch, row, column)] = next();
        }
        let others = [1, 2].map(|operand| (0..self.elements(operand)).map(|_| next()).collect());
        let [b, c] = others;
        [a, b, c]
    }

    fn expected(&self, [a, b, c]: &[Vec<f32>; 3], bias: &[f32], addend: &[f32]) -> Vec<f64> {
        let element = |batch, row, column| {
            let product = |k| {
                let (left, right) = (self.index(0, batch, row, k), self.index(1, batch, k, column));
                f64::from(a[left]) * f64::from(b[right])
            };
            let sum = f64::from(ALPHA) * (0..self.k).map(product).sum::<f64>();
            match self.epilogue {
                Epilogue::Plain => sum,
                Epilogue::ScaleAndBias => f64::from(SCALE) * sum + f64::from(bias[column]),
                Epilogue::Accumulate => sum + f64::from(c[self.index(2, batch, row, column)]),
                Epilogue::AccumulateAndAddend => {
                    let at = self.index(2, batch, row, column);
                    sum + f64::from(c[at]) + f64::from(addend[at])
                }
                Epilogue::Addend => sum + f64::from(addend[self.index(2, batch, row, column)]),
            }
        };
        self.positions(self.m, self.n).map(|(batch, row, column)| element(batch, row, column)).collect()
    }

    fn check(&self, gpu: &Gpu) {
        let operands = self.operands();
        let bias: Vec<f32> = (0..self.n.next_multiple_of(4)).map(|column| column as f32 / 8.0).collect();
        let mut tape = Tape::new();
        let mut load = |name: &str, data: &[f32]| {
            let buffer = Buffer::declare(name.to_owned(), 4 * data.len() as u64);
            gpu.upload(&buffer.whole(), bytemuck::cast_slice(data));
            (tape.external(name, &[data.len()], DType::F32, &buffer.whole()), buffer.whole())
        };
        let [a, b, (c, c_slice)] = [("a", 0), ("b", 1), ("c", 2)].map(|(name, which)| load(name, &operands[which]));
        let addend: Vec<f32> = operands[2].iter().rev().copied().collect();
        let others = [("bias", &bias[..]), ("scale", &[SCALE]), ("addend", &addend)];
        let [bias_value, scale, addend_value] = others.map(|(name, data)| load(name, data).0);
        let values = [a.0, b.0, c, bias_value, scale, addend_value];
        tape.push_effect(*self, &values);
        Program::compile(gpu, "gemm", tape).expect("the case compiles").replay(gpu);
        self.compare(gpu, &c_slice, &operands[2], &self.expected(&operands, &bias, &addend));
    }

    fn compare(&self, gpu: &Gpu, c: &BufferSlice, before: &[f32], expected: &[f64]) {
        let after: Vec<f32> = bytemuck::pod_collect_to_vec(&gpu.read(c).expect("the replay succeeds"));
        let mut written = vec![false; after.len()];
        let (mut error, mut norm) = (0.0, 0.0);
        for ((batch, row, column), expected) in self.positions(self.m, self.n).zip(expected) {
            let at = self.index(2, batch, row, column);
            written[at / 4 * 4..at / 4 * 4 + 4].fill(true);
            error += (f64::from(after[at]) - expected).powi(2);
            norm += expected.powi(2);
        }
        let variant = gpu.caps().variant;
        assert!((error / norm).sqrt() < 1e-6, "{variant:?} {self:?}: relative error {:.1e}", (error / norm).sqrt());
        let untouched = |at: usize| after[at] == before[at];
        assert!((0..after.len()).all(|at| written[at] || untouched(at)), "{variant:?} {self:?} wrote outside of C");
    }
}

impl Op for Case {
    fn name(&self) -> &'static str {
        "gemm"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let operand = |index: usize| Operand {
            batch_stride: self.batch_stride(index),
            ..Operand::matrix(lowering.input(index), self.strides[index])
        };
        let b = if self.b_in_panels {
            Operand { batch_stride: self.batch_stride(1), ..Operand::panels(lowering.input(1), self.panels()) }
        } else {
            operand(1)
        };
        let with_bias = self.epilogue == Epilogue::ScaleAndBias;
        let gemm = Gemm {
            layout: self.layout,
            m: self.m,
            n: self.n,
            k: self.k,
            a: operand(0),
            b,
            c: operand(2),
            batch: self.batch,
            alpha: ALPHA,
            bias: with_bias.then(|| lowering.input(3)),
            scale: with_bias.then(|| lowering.input(4)),
            accumulate: matches!(self.epilogue, Epilogue::Accumulate | Epilogue::AccumulateAndAddend),
            addend: matches!(self.epilogue, Epilogue::Addend | Epilogue::AccumulateAndAddend)
                .then(|| Operand::matrix(lowering.input(5), self.strides[2])),
        };
        let Some(limit) = self.limit else { return launch_gemm(lowering, &gemm) };
        let bands = gemm.banded(limit);
        assert!(bands.len() > 1, "{self:?} is not cut");
        for band in bands {
            kernels::launch(lowering, &band);
        }
    }
}

fn devices() -> Vec<Gpu> {
    let open = |variant| {
        let options = GpuOptions { variant: Some(variant), ..Default::default() };
        Gpu::open(&options).expect("the tests need a Vulkan driver")
    };
    let mut devices = vec![open(Variant::Naive), open(Variant::Portable)];
    if devices[0].caps().allows_cpu_driver_kernels() {
        devices.push(open(Variant::CpuDriver));
    }
    devices
}

const LAYOUTS: [Layout; 3] = [Layout::NT, Layout::NN, Layout::TN];

#[test]
fn awkward_sizes_match_plain_loops() {
    // Edges of every tile; long sums, which are cut into slices; N and K that want padding; rows of eights.
    let sizes = [
        [1, 4, 4],
        [31, 36, 7],
        [65, 68, 31],
        [7, 132, 300],
        [130, 77, 18],
        [131, 12, 275],
        [65, 68, 700],
        [32, 40, 72],
        [24, 120, 46],
    ];
    for gpu in devices() {
        for (layout, size) in LAYOUTS.into_iter().flat_map(|layout| sizes.map(|size| (layout, size))) {
            for epilogue in EPILOGUES {
                Case::matrices(layout, size, epilogue).check(&gpu);
            }
        }
    }
}

#[test]
fn products_that_take_the_largest_tile_match_plain_loops() {
    let sizes = [[248, 248, 280], [250, 244, 277]];
    for gpu in devices().iter().filter(|gpu| gpu.caps().variant == Variant::CpuDriver) {
        for (layout, size) in LAYOUTS.into_iter().flat_map(|layout| sizes.map(|size| (layout, size))) {
            Case::matrices(layout, size, Epilogue::Plain).check(gpu);
        }
    }
}

#[test]
fn heads_are_strides() {
    for gpu in devices() {
        for layout in LAYOUTS {
            let (m, n, k) = (37, 20, 12);
            let (batch, epilogue) = ([2, 3], Epilogue::Plain);
            let mut case = Case { batch, ..Case::matrices(layout, [m, n, k], epilogue) };
            // A as interleaved heads, B as matrices one after the other, C as interleaved heads with a gap.
            case.strides = case.sizes().map(|[_, columns]| 3 * columns.next_multiple_of(4));
            case.strides[1] /= 3;
            case.strides[2] += 4;
            case.check(&gpu);
        }
    }
}

#[test]
fn a_b_in_panels_gives_the_same_product() {
    let along_k = [[37, 20, 128], [66, 77, 192], [3, 132, 256], [250, 244, 320]];
    let along_n = [[37, 128, 20], [66, 192, 77], [3, 256, 130], [250, 320, 244]];
    let products = along_k.map(|size| (Layout::NT, size)).into_iter().chain(along_n.map(|size| (Layout::NN, size)));
    for gpu in devices() {
        for (layout, size) in products.clone() {
            for batch in [[1, 1], [1, 3]] {
                Case { b_in_panels: true, batch, ..Case::matrices(layout, size, Epilogue::ScaleAndBias) }.check(&gpu);
            }
        }
    }
}

#[test]
fn bands_give_the_whole_product() {
    for gpu in devices() {
        for layout in LAYOUTS {
            for epilogue in EPILOGUES {
                let (m, n, k) = (71, 44, 83);
                let k = if layout == Layout::TN { k } else { 84 };
                let limit = Some(32 * 4 * 84);
                Case { limit, ..Case::matrices(layout, [m, n, k], epilogue) }.check(&gpu);
            }
        }
    }
}
