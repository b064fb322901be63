//! Linear layer with a frozen weight and a trained low-rank update (LoRA, <https://arxiv.org/abs/2106.09685>).

use crate::tape::{Backward, DType, Lowering, Op, Tape, Value};

use super::{
    gemm::{Gemm, launch_gemm},
    linear::{outer_product, output_shape, project, project_back},
};

// Inputs, before the bias where there is one.
const X: usize = 0;
const WEIGHT: usize = 1;
const DOWN: usize = 2;
const UP: usize = 3;
const SCALE: usize = 4;
const BIAS: usize = 5;

/// Outputs: y, and h = x · downᵀ for the gradient of `up`.
#[derive(Debug)]
struct LoraLinear;

/// Inputs: d_y, then x, weight, down, up and scale, then h. Outputs: the gradients of `wanted`, of X, DOWN and UP.
#[derive(Debug)]
struct LoraLinearBackward {
    wanted: Vec<usize>,
}

/// `x · weightᵀ + bias + scale · (x · downᵀ) · upᵀ`.
///
/// `x` is (…, K), `weight` (N, K), or the same in [`Panels`](super::Panels), of any floating-point storage type, `bias`
/// (N), `down` (r, K), `up` (N, r) and `scale` (1), the alpha of the LoRA divided by its rank; the result is (…, N).
/// Gradients go to `x`, `down` and `up`. Whatever the type of `x`, `down`, `up`, their gradients and h = x · downᵀ are f32.
///
/// # Panics
/// Where the shapes do not fit, or K, N or r is no multiple of 4.
pub fn lora_linear(
    tape: &mut Tape,
    x: Value,
    weight: Value,
    bias: Option<Value>,
    down: Value,
    up: Value,
    scale: Value,
) -> Value {
    let shape = output_shape(tape, "lora_linear", x, weight, bias);
    let hidden_shape = output_shape(tape, "lora_linear: down", x, down, None);
    let (features, rank) = (shape[shape.len() - 1], hidden_shape[hidden_shape.len() - 1]);
    assert_eq!(tape.shape(up), [features, rank], "lora_linear: up of {features} features, rank {rank}");
    assert_eq!(tape.shape(scale), [1], "lora_linear: scale");
    let mut inputs = vec![x, weight, down, up, scale];
    inputs.extend(bias);
    let dtype = tape.dtype(x);
    tape.push(LoraLinear, &inputs, &[("out", &shape, dtype), ("hidden", &hidden_shape, DType::F32)])[0]
}

impl Op for LoraLinear {
    fn name(&self) -> &'static str {
        "lora_linear"
    }

    fn sum_output(&self) -> Option<usize> {
        Some(0)
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [x, weight, down, up, scale] = [X, WEIGHT, DOWN, UP, SCALE].map(|index| lowering.input(index));
        let bias = (lowering.input_count() > BIAS).then(|| lowering.input(BIAS));
        let (y, h) = (lowering.output(0), lowering.output(1));
        let hidden = project(lowering, x, down, h);
        launch_gemm(lowering, &hidden);
        let base = project(lowering, x, weight, y);
        launch_gemm(lowering, &Gemm { bias, ..base });
        let update = project(lowering, h, up, y);
        launch_gemm(lowering, &Gemm { scale: Some(scale), accumulate: true, ..update.with_addend(lowering) });
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        let wanted: Vec<usize> = (0..backward.input_count()).filter(|&index| backward.wants(index)).collect();
        let trained = |index: &usize| matches!(*index, X | DOWN | UP);
        assert!(wanted.iter().all(trained), "lora_linear: only x, down and up have gradients");
        let mut inputs = vec![backward.d_output(0)];
        inputs.extend([X, WEIGHT, DOWN, UP, SCALE].map(|index| backward.input(index)));
        inputs.push(backward.output(1));
        let kind = |&index: &usize| {
            let input = backward.input(index);
            (backward.tape.shape(input).to_vec(), backward.tape.dtype(input))
        };
        let kinds: Vec<(Vec<usize>, DType)> = wanted.iter().map(kind).collect();
        let outputs: Vec<_> = kinds.iter().map(|(shape, dtype)| ("gradient", &shape[..], *dtype)).collect();
        let op = LoraLinearBackward { wanted: wanted.clone() };
        let gradients = backward.tape.push(op, &inputs, &outputs);
        for (index, gradient) in wanted.into_iter().zip(gradients) {
            backward.give(index, gradient);
        }
    }
}

impl Op for LoraLinearBackward {
    fn name(&self) -> &'static str {
        "lora_linear"
    }

    fn sum_output(&self) -> Option<usize> {
        self.wanted.iter().position(|&input| input == X)
    }

    // y = x · weightᵀ + bias + scale · h · upᵀ with h = x · downᵀ
    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [x, weight, down, up, scale] = [X, WEIGHT, DOWN, UP, SCALE].map(|index| lowering.input(1 + index));
        let (d_y, h) = (lowering.input(0), lowering.input(6));
        let d_h = self.launch_d_hidden(lowering, d_y, up);
        for (output, &wanted) in self.wanted.iter().enumerate() {
            let gradient = lowering.output(output);
            let last = match wanted {
                // d_x = d_y · weight + scale · d_h · down
                X => {
                    let base = project_back(lowering, d_y, weight, gradient);
                    launch_gemm(lowering, &base);
                    Gemm { accumulate: true, ..project_back(lowering, d_h, down, gradient).with_addend(lowering) }
                }
                // d_down = scale · d_hᵀ · x
                DOWN => outer_product(lowering, d_h, x, gradient),
                // d_up = scale · d_yᵀ · h
                _ => outer_product(lowering, d_y, h, gradient),
            };
            launch_gemm(lowering, &Gemm { scale: Some(scale), ..last });
        }
    }
}

impl LoraLinearBackward {
    /// d_h = d_y · up, without the scale; left out where only `up` is wanted.
    fn launch_d_hidden(&self, lowering: &mut Lowering<'_>, d_y: Value, up: Value) -> Value {
        let &[n, rank] = lowering.shape(up) else { panic!("lora_linear: up is no matrix") };
        let rows = lowering.elements(d_y) / n;
        let d_h = lowering.scratch("d_hidden", &[rows, rank]);
        if self.wanted != [UP] {
            let gemm = project_back(lowering, d_y, up, d_h);
            launch_gemm(lowering, &gemm);
        }
        d_h
    }
}
