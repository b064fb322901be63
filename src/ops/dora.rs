//! Weight decomposition: a weight's direction times a trained magnitude (DoRA, <https://arxiv.org/abs/2402.09353>).

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Arg, Backward, DType, Lowering, Op, Tape, Value},
};

use super::{bands::flat_workgroups, chunks::Chunks, quads::launch_quads, rows::RowKernel};

const FILE: &str = "dora.wgsl";

/// Sums over a row of products of two matrices.
const ROW_PRODUCTS: RowKernel = RowKernel {
    file: FILE,
    by_workgroup: "row_products",
    by_row: "row_products_by_row",
    bindings: &[Read, Read, Read, Write],
};

/// Over which of a weight's values a norm is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoraAxis {
    /// Over each output row.
    Out,
    /// Over each input channel: its taps in all rows.
    In,
}

/// How a weight is decomposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoraShape {
    pub axis: DoraAxis,
    /// 9 for a 3×3 convolution, else 1.
    pub taps: usize,
    /// Whether the norm counts as a constant in backward, as the paper's section 4.3 and PEFT have it; LyCORIS
    /// differentiates it.
    pub detached: bool,
}

/// Inputs `v`, `magnitude`; outputs the weight and its norms.
#[derive(Debug)]
struct Dora(DoraShape);

/// Inputs `v`, `magnitude`, norms, `d_out`; outputs `d_v` and `d_magnitude`.
#[derive(Debug)]
struct DoraBackward(DoraShape);

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    rows: u32,
    columns: u32,
    taps: u32,
    along_rows: u32,
    is_norm: u32,
    detached: u32,
    chunks: u32,
    groups: u32,
}

/// `magnitude ⊙ v / (‖v‖ + ε)`, v `(out, in·taps)` and the result in f32, norms as `shape` says, `magnitude` (out) or (in).
///
/// ε is f32's machine epsilon, as `_weight_decompose` of LyCORIS adds it (`functional/general.py`); PEFT
/// (`tuners/lora/dora.py`) adds nothing, which differs by no more than rounding where a norm is above 1 and keeps padding
/// from dividing by zero where it is 0. With n = ‖v‖ + ε, v̂ = v/n and a gradient G, d_magnitude = v̂·G of each group; d_v is
/// magnitude/n · (G − v̂·(v̂·G)), or magnitude/n · G where the norm is detached.
///
/// # Panics
/// Where the shapes do not fit together, a value is not in f32, or out or in is no multiple of 4.
pub fn dora(tape: &mut Tape, v: Value, magnitude: Value, shape: DoraShape) -> Value {
    let v_shape = tape.shape(v).to_vec();
    let &[rows, columns] = &v_shape[..] else { panic!("dora: {v_shape:?} is no matrix") };
    assert!(rows % 4 == 0 && columns % (4 * shape.taps) == 0, "dora: {v_shape:?} as {shape:?}");
    let groups = if shape.axis == DoraAxis::Out { rows } else { columns / shape.taps };
    assert_eq!(tape.shape(magnitude), [groups], "dora: magnitude of {v_shape:?} as {shape:?}");
    assert!([v, magnitude].iter().all(|&value| tape.dtype(value) == DType::F32), "dora: all is F32");
    let outputs: [(&str, &[usize], DType); 2] = [("out", &v_shape, DType::F32), ("norms", &[groups], DType::F32)];
    tape.push(Dora(shape), &[v, magnitude], &outputs)[0]
}

impl Op for Dora {
    fn name(&self) -> &'static str {
        "dora"
    }

    fn is_rebuilt(&self) -> bool {
        true
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [v, magnitude] = [0, 1].map(|index| lowering.input(index));
        let [out, norms] = [0, 1].map(|index| lowering.output(index));
        let params = Params { is_norm: 1, ..self.0.params(lowering, v) };
        // n = √(v·v) + ε
        self.0.launch_sums(lowering, [v, v, magnitude, norms], params);
        let kernel = KernelSpec::new(FILE, "apply", &[Read, Read, Read, Write]);
        launch_apply(lowering, kernel, &[v, magnitude, norms, out], params);
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        let [v, magnitude] = [0, 1].map(|index| backward.input(index));
        let (norms, d_out) = (backward.output(1), backward.d_output(0));
        let [v_shape, groups] = [v, magnitude].map(|value| backward.tape.shape(value).to_vec());
        let outputs: [(&str, &[usize], DType); 2] =
            [("d_v", &v_shape, DType::F32), ("d_magnitude", &groups, DType::F32)];
        let inputs = [v, magnitude, norms, d_out];
        let gradients = backward.tape.push(DoraBackward(self.0), &inputs, &outputs);
        for (index, gradient) in gradients.into_iter().enumerate() {
            if backward.wants(index) {
                backward.give(index, gradient);
            }
        }
    }
}

impl Op for DoraBackward {
    fn name(&self) -> &'static str {
        "dora_backward"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [v, magnitude, norms, d_out] = [0, 1, 2, 3].map(|index| lowering.input(index));
        let [d_v, d_magnitude] = [0, 1].map(|index| lowering.output(index));
        let params = self.0.params(lowering, v);
        // d_magnitude = v·G / n
        self.0.launch_sums(lowering, [v, d_out, norms, d_magnitude], params);
        let kernel = KernelSpec::new(FILE, "apply_backward", &[Read, Read, Read, Read, Read, Write]);
        launch_apply(lowering, kernel, &[v, magnitude, norms, d_out, d_magnitude, d_v], params);
    }
}

impl DoraShape {
    fn params(self, lowering: &Lowering<'_>, v: Value) -> Params {
        let &[rows, columns] = lowering.shape(v) else { unreachable!("checked while recording") };
        let groups = if self.axis == DoraAxis::Out { rows } else { columns / self.taps };
        Params {
            rows: rows as u32,
            columns: (columns / 4) as u32,
            taps: self.taps as u32,
            along_rows: (self.axis == DoraAxis::Out).into(),
            is_norm: 0,
            detached: self.detached.into(),
            chunks: Self::chunks(rows, columns).count() as u32,
            groups: groups as u32,
        }
    }

    /// How rows are cut where columns are summed.
    fn chunks(rows: usize, columns: usize) -> Chunks {
        Chunks::of(&[1, rows, columns])
    }

    /// Appends each group's sum over a ⊙ b, from which the kernel makes a norm, or a gradient by dividing by `norms`.
    fn launch_sums(self, lowering: &mut Lowering<'_>, [a, b, norms, result]: [Value; 4], params: Params) {
        let &[rows, columns] = lowering.shape(a) else { unreachable!("checked while recording") };
        let elements = (rows * columns) as u64;
        let cost = Cost { flops: 2 * elements, bytes: 8 * elements };
        if self.axis == DoraAxis::Out {
            let args = [a, b, norms, result].map(Arg::from).to_vec();
            return ROW_PRODUCTS.launch(lowering, rows, args, &params, cost);
        }
        let chunks = Self::chunks(rows, columns);
        let partials = lowering.scratch("partials", &[chunks.count(), columns]);
        let (band, kernel) = (chunks.whole(), KernelSpec::new(FILE, "column_products", &[Read, Read, Write]));
        let args = [a, b, partials].map(Arg::from).to_vec();
        launch_quads(lowering, a, &kernel, args, &chunks.params(&band), chunks.workgroups(&band), cost);
        let added = lowering.elements(partials) as u64;
        let kernel = KernelSpec::new(FILE, "column_sums", &[Read, Read, Write]);
        let args = [partials, norms, result].map(Arg::from).to_vec();
        let cost = Cost { flops: added, bytes: 4 * added };
        launch_quads(lowering, a, &kernel, args, &params, flat_workgroups(params.groups as usize), cost);
    }
}

/// Appends a kernel over the vectors of a weight, the first and the last of `values`.
fn launch_apply(lowering: &mut Lowering<'_>, kernel: KernelSpec, values: &[Value], params: Params) {
    let elements = lowering.elements(values[0]);
    let args = values.iter().map(|&value| Arg::from(value)).collect();
    let cost = Cost { flops: 4 * elements as u64, bytes: 12 * elements as u64 };
    lowering.launch(kernel, args, &params, flat_workgroups(elements / 4), cost);
}
