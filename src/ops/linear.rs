//! Linear layer, with a frozen weight or one that was built from trained factors.

use crate::tape::{Backward, DType, Lowering, Op, Tape, Value};

use super::{
    gemm::{Gemm, Layout, Operand, launch_gemm},
    panels::Panels,
};

#[derive(Debug)]
struct Linear;

/// Inputs `d_out`, `weight`.
#[derive(Debug)]
struct LinearBackwardInput;

/// Inputs `d_out`, `x`.
#[derive(Debug)]
struct LinearBackwardWeight;

/// `x · weightᵀ + bias`; also a 1×1 convolution, the channels being last.
///
/// `x` is (…, K), `weight` (N, K), or the same in [`Panels`], of any floating-point storage type and `bias` (N); the result
/// is (…, N). The gradient goes to `x`, and to a `weight` that descends from trained values: it is then a plain (N, K) in
/// f32, and so is its gradient, whatever the type of `x`.
///
/// # Panics
/// Where the shapes do not fit, or K or N is no multiple of 4; in backward, where the gradient of a bias is wanted, or that
/// of a weight in panels or another type than f32.
pub fn linear(tape: &mut Tape, x: Value, weight: Value, bias: Option<Value>) -> Value {
    let shape = output_shape(tape, "linear", x, weight, bias);
    let mut inputs = vec![x, weight];
    inputs.extend(bias);
    tape.push_one(Linear, &inputs, &shape)
}

/// Shape of `x · weightᵀ`, after checking that the operands fit.
pub(super) fn output_shape(tape: &Tape, op: &str, x: Value, weight: Value, bias: Option<Value>) -> Vec<usize> {
    let (x_shape, weight_shape) = (tape.shape(x), tape.shape(weight));
    let Some(Panels { rows: n, columns: k, .. }) = Panels::described_by(weight_shape) else {
        panic!("{op}: weight {weight_shape:?} is no matrix")
    };
    assert_eq!(x_shape.last(), Some(&k), "{op}: x {x_shape:?} and weight {weight_shape:?}");
    assert!(n % 4 == 0 && k % 4 == 0, "{op}: weight {weight_shape:?} is not padded to multiples of 4");
    if let Some(bias) = bias {
        assert_eq!(tape.shape(bias), [n], "{op}: bias of weight {weight_shape:?}");
    }
    [&x_shape[..x_shape.len() - 1], &[n]].concat()
}

impl Op for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn sum_output(&self) -> Option<usize> {
        Some(0)
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let bias = (lowering.input_count() == 3).then(|| lowering.input(2));
        let gemm = project(lowering, lowering.input(0), lowering.input(1), lowering.output(0));
        launch_gemm(lowering, &Gemm { bias, ..gemm.with_addend(lowering) });
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        assert!(!(2..backward.input_count()).any(|index| backward.wants(index)), "linear: the bias is frozen");
        let (x, weight, d_out) = (backward.input(0), backward.input(1), backward.d_output(0));
        if backward.wants(0) {
            let shape = backward.tape.shape(x).to_vec();
            let d_x = backward.tape.push_one(LinearBackwardInput, &[d_out, weight], &shape);
            backward.give(0, d_x);
        }
        if backward.wants(1) {
            let (shape, dtype) = (backward.tape.shape(weight).to_vec(), backward.tape.dtype(weight));
            assert!(shape.len() == 2 && dtype == DType::F32, "linear: a weight {shape:?} of {dtype:?} is frozen");
            let d_weight = [("d_weight", &shape[..], DType::F32)];
            let d_weight = backward.tape.push(LinearBackwardWeight, &[d_out, x], &d_weight)[0];
            backward.give(1, d_weight);
        }
    }
}

impl Op for LinearBackwardInput {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn sum_output(&self) -> Option<usize> {
        Some(0)
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        // out = x · weightᵀ, so that d_x = d_out · weight
        let gemm = project_back(lowering, lowering.input(0), lowering.input(1), lowering.output(0));
        launch_gemm(lowering, &gemm.with_addend(lowering));
    }
}

impl Op for LinearBackwardWeight {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        // out = x · weightᵀ, so that d_weight = d_outᵀ · x
        let gemm = outer_product(lowering, lowering.input(0), lowering.input(1), lowering.output(0));
        launch_gemm(lowering, &gemm);
    }
}

/// `out = x · weightᵀ` over all rows of `x`.
pub(super) fn project(lowering: &Lowering<'_>, x: Value, weight: Value, out: Value) -> Gemm {
    let panels = panels(lowering, weight);
    let (n, k) = (panels.rows, panels.columns);
    let m = lowering.elements(x) / k;
    let (a, b, c) = (Operand::matrix(x, k), Operand::panels(weight, panels), Operand::matrix(out, n));
    Gemm::new(Layout::NT, [m, n, k], a, b, c)
}

/// `out = x · weight` over all rows of `x`.
pub(super) fn project_back(lowering: &Lowering<'_>, x: Value, weight: Value, out: Value) -> Gemm {
    let panels = panels(lowering, weight);
    let (k, n) = (panels.rows, panels.columns);
    let m = lowering.elements(x) / k;
    let (a, b, c) = (Operand::matrix(x, k), Operand::panels(weight, panels), Operand::matrix(out, n));
    Gemm::new(Layout::NN, [m, n, k], a, b, c)
}

/// `out = leftᵀ · right`, the sum over all rows of both; `out` is a matrix.
pub(super) fn outer_product(lowering: &Lowering<'_>, left: Value, right: Value, out: Value) -> Gemm {
    let &[m, n] = lowering.shape(out) else { panic!("linear: the gradient of a matrix is one") };
    let k = lowering.elements(left) / m;
    let (a, b, c) = (Operand::matrix(left, m), Operand::matrix(right, n), Operand::matrix(out, n));
    Gemm::new(Layout::TN, [m, n, k], a, b, c)
}

fn panels(lowering: &Lowering<'_>, weight: Value) -> Panels {
    Panels::described_by(lowering.shape(weight)).expect("recording has checked that the weight is a matrix")
}
