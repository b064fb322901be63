//! Kronecker product of two trained matrices: LoKr's change of a weight.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Backward, DType, Lowering, Op, Tape, Value},
};

use super::{bands::flat_workgroups, rows::RowKernel};

const FILE: &str = "kron.wgsl";

/// Σ over a row of w2, for each block of the result.
const ROW_PRODUCTS: RowKernel = RowKernel {
    file: FILE,
    by_workgroup: "row_products",
    by_row: "row_products_by_row",
    bindings: &[Read, Read, Write],
};

/// True sizes of the factors: w1 `(l, m)`, w2 `(k, n·taps)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KronShape {
    pub l: usize,
    pub m: usize,
    pub k: usize,
    pub n: usize,
    /// 9 for a 3×3 convolution, whose kernels lie in w2, else 1.
    pub taps: usize,
}

/// Inputs `w1`, `w2`.
#[derive(Debug)]
struct Kron(KronShape);

/// Inputs `d_out`, `w2`.
#[derive(Debug)]
struct KronBackwardW1(KronShape);

/// Inputs `d_out`, `w1`.
#[derive(Debug)]
struct KronBackwardW2(KronShape);

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    l: u32,
    m: u32,
    k: u32,
    block: u32,
    w1_columns: u32,
    w2_columns: u32,
}

/// `Sums` of the shader.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Sums {
    count: u32,
    stored_columns: u32,
    rows: u32,
    columns: u32,
    terms: u32,
    row_step: u32,
    term_step: u32,
}

impl KronShape {
    /// Columns of a block: those of w2.
    fn block(self) -> usize {
        self.n * self.taps
    }

    /// Rows and columns of the result.
    fn result(self) -> [usize; 2] {
        [self.l * self.k, self.m * self.block()]
    }

    fn elements(self) -> usize {
        self.result().iter().product()
    }

    fn params(self, w1_columns: usize, w2_columns: usize) -> Params {
        let sizes = [self.l, self.m, self.k, self.block(), w1_columns, w2_columns].map(|size| size as u32);
        let [l, m, k, block, w1_columns, w2_columns] = sizes;
        Params { l, m, k, block, w1_columns, w2_columns }
    }
}

/// `out[i·k + p, (j·n + q)·taps + t] = w1[i, j] · w2[p, q·taps + t]`: `(l·k, m·n·taps)`, LyCORIS' `make_kron`
/// (`functional/lokr.py`) as a matrix. w1 and w2 are f32 and stored with zeros behind their true rows and columns; gradients
/// go to both, and are exactly zero there.
///
/// # Panics
/// Where a factor is smaller than `shape` says or not in f32, or a side of the result is no multiple of 4.
pub fn kron(tape: &mut Tape, w1: Value, w2: Value, shape: KronShape) -> Value {
    let mismatch = || format!("kron: {:?} and {:?} as {shape:?}", tape.shape(w1), tape.shape(w2));
    for (factor, [rows, columns]) in [(w1, [shape.l, shape.m]), (w2, [shape.k, shape.block()])] {
        let &[stored_rows, stored_columns] = tape.shape(factor) else { panic!("{}", mismatch()) };
        assert!(rows <= stored_rows && columns <= stored_columns, "{}", mismatch());
        assert_eq!(tape.dtype(factor), DType::F32, "kron: factors are F32");
    }
    assert!(shape.result().iter().all(|size| size % 4 == 0), "{}", mismatch());
    tape.push_one(Kron(shape), &[w1, w2], &shape.result())
}

fn columns(lowering: &Lowering<'_>, value: Value) -> usize {
    lowering.shape(value)[1]
}

impl Op for Kron {
    fn name(&self) -> &'static str {
        "kron"
    }

    fn is_rebuilt(&self) -> bool {
        true
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [w1, w2, out] = [lowering.input(0), lowering.input(1), lowering.output(0)];
        let params = self.0.params(columns(lowering, w1), columns(lowering, w2));
        let elements = self.0.elements();
        let kernel = KernelSpec::new(FILE, "forward", &[Read, Read, Write]);
        let cost = Cost { flops: elements as u64, bytes: 4 * elements as u64 };
        let args = vec![w1.into(), w2.into(), out.into()];
        lowering.launch(kernel, args, &params, flat_workgroups(elements / 4), cost);
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        let (d_out, [w1, w2]) = (backward.d_output(0), [0, 1].map(|index| backward.input(index)));
        if backward.wants(0) {
            let shape = backward.tape.shape(w1).to_vec();
            let d_w1 = backward.tape.push_one(KronBackwardW1(self.0), &[d_out, w2], &shape);
            backward.give(0, d_w1);
        }
        if backward.wants(1) {
            let shape = backward.tape.shape(w2).to_vec();
            let d_w2 = backward.tape.push_one(KronBackwardW2(self.0), &[d_out, w1], &shape);
            backward.give(1, d_w2);
        }
    }
}

impl Op for KronBackwardW1 {
    fn name(&self) -> &'static str {
        "kron_backward"
    }

    // d_w1[i, j] = Σ_p Σ_c d_out[i·k + p, j·block + c] · w2[p, c]
    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [d_out, w2, d_w1] = [lowering.input(0), lowering.input(1), lowering.output(0)];
        let KronShape { l, m, k, .. } = self.0;
        let params = self.0.params(0, columns(lowering, w2));
        let partials = lowering.scratch("partials", &[l, k, m]);
        let elements = self.0.elements() as u64;
        let cost = Cost { flops: 2 * elements, bytes: 4 * elements };
        let args = vec![d_out.into(), w2.into(), partials.into()];
        ROW_PRODUCTS.launch(lowering, l * k * m, args, &params, cost);
        let (rows, terms) = ((l, k * m), (k, m));
        launch_sums(lowering, partials, d_w1, Summed { rows, columns: m, terms });
    }
}

impl Op for KronBackwardW2 {
    fn name(&self) -> &'static str {
        "kron_backward"
    }

    // d_w2[p, c] = Σ_i Σ_j d_out[i·k + p, j·block + c] · w1[i, j]
    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [d_out, w1, d_w2] = [lowering.input(0), lowering.input(1), lowering.output(0)];
        let KronShape { l, k, .. } = self.0;
        let block = self.0.block();
        let params = self.0.params(columns(lowering, w1), 0);
        let partials = lowering.scratch("partials", &[l, k, block]);
        let elements = self.0.elements() as u64;
        let cost = Cost { flops: 2 * elements, bytes: 4 * elements };
        let kernel = KernelSpec::new(FILE, "block_products", &[Read, Read, Write]);
        let args = vec![d_out.into(), w1.into(), partials.into()];
        lowering.launch(kernel, args, &params, flat_workgroups(l * k * block), cost);
        let (rows, terms) = ((k, block), (l, k * block));
        launch_sums(lowering, partials, d_w2, Summed { rows, columns: block, terms });
    }
}

/// Which partial results add up to those of a matrix: how many rows and terms there are and how far apart they lie, and
/// how many columns there are, side by side.
struct Summed {
    rows: (usize, usize),
    columns: usize,
    terms: (usize, usize),
}

/// Appends the sums over `partials`, and zeros behind the true rows and columns of `result`.
fn launch_sums(lowering: &mut Lowering<'_>, partials: Value, result: Value, summed: Summed) {
    let &[_, stored_columns] = lowering.shape(result) else { unreachable!("checked while recording") };
    let count = lowering.elements(result);
    let params = Sums {
        count: count as u32,
        stored_columns: stored_columns as u32,
        rows: summed.rows.0 as u32,
        columns: summed.columns as u32,
        terms: summed.terms.0 as u32,
        row_step: summed.rows.1 as u32,
        term_step: summed.terms.1 as u32,
    };
    let added = lowering.elements(partials) as u64;
    let kernel = KernelSpec::new(FILE, "sums", &[Read, Write]);
    let args = vec![partials.into(), result.into()];
    lowering.launch(kernel, args, &params, flat_workgroups(count), Cost { flops: added, bytes: 4 * added });
}
