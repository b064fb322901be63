//! Linear layer with a frozen weight.

use crate::tape::{Backward, Lowering, Op, Tape, Value};

use super::{
    gemm::{Gemm, Layout, Operand, launch_gemm},
    panels::Panels,
};

#[derive(Debug)]
struct Linear;

#[derive(Debug)]
struct LinearBackwardInput;

/// `x · weightᵀ + bias`; also a 1×1 convolution, the channels being last.
///
/// `x` is (…, K), `weight` (N, K), or the same in [`Panels`], of any floating-point storage type and `bias` (N); the result
/// is (…, N). The gradient goes to `x` only.
///
/// # Panics
/// Where the shapes do not fit, or K or N is no multiple of 4.
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
        assert!(!(1..backward.input_count()).any(|index| backward.wants(index)), "linear: the weight is frozen");
        let inputs = [backward.d_output(0), backward.input(1)];
        let shape = backward.tape.shape(backward.input(0)).to_vec();
        let d_x = backward.tape.push_one(LinearBackwardInput, &inputs, &shape);
        backward.give(0, d_x);
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

fn panels(lowering: &Lowering<'_>, weight: Value) -> Panels {
    Panels::described_by(lowering.shape(weight)).expect("recording has checked that the weight is a matrix")
}
