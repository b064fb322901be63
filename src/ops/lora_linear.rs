//! Linear layer with a frozen weight and a trained low-rank update (LoRA, <https://arxiv.org/abs/2106.09685>).

use crate::tape::{Backward, Lowering, Op, Tape, Value};

use super::{
    gemm::{Gemm, Layout, Operand, launch_gemm},
    linear::{output_shape, project, project_back},
};

/// Inputs: x, weight, down, up, scale, and the bias where there is one. Outputs: y, h.
#[derive(Debug)]
struct LoraLinear;

/// Inputs: d_y, x, weight, down, up, scale, h. Outputs: those of d_x, d_down and d_up that are wanted.
#[derive(Debug)]
struct LoraLinearBackward {
    wants_x: bool,
    wants_down: bool,
    wants_up: bool,
}

/// `x · weightᵀ + bias + scale · (x · downᵀ) · upᵀ`.
///
/// `x` is (…, K), `weight` (N, K) of any floating-point storage type, `bias` (N), `down` (r, K), `up` (N, r) and `scale`
/// (1), the alpha of the LoRA divided by its rank; the result is (…, N). Gradients go to `x`, `down` and `up`.
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
    let (weight_shape, rank) = (tape.shape(weight), hidden_shape[hidden_shape.len() - 1]);
    assert_eq!(tape.shape(up), [weight_shape[0], rank], "lora_linear: up of weight {weight_shape:?}, rank {rank}");
    assert_eq!(tape.shape(scale), [1], "lora_linear: scale");
    let mut inputs = vec![x, weight, down, up, scale];
    inputs.extend(bias);
    tape.push(LoraLinear, &inputs, &[("out", &shape), ("hidden", &hidden_shape)])[0]
}

impl Op for LoraLinear {
    fn name(&self) -> &'static str {
        "lora_linear"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [x, weight, down, up, scale] = [0, 1, 2, 3, 4].map(|index| lowering.input(index));
        let bias = (lowering.input_count() == 6).then(|| lowering.input(5));
        let (y, h) = (lowering.output(0), lowering.output(1));
        let hidden = project(lowering, x, down, h);
        launch_gemm(lowering, &hidden);
        let base = project(lowering, x, weight, y);
        launch_gemm(lowering, &Gemm { bias, ..base });
        let update = project(lowering, h, up, y);
        launch_gemm(lowering, &Gemm { scale: Some(scale), accumulate: true, ..update });
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        let (x, weight, down, up, scale) = (0, 1, 2, 3, 4);
        let frozen = [weight, scale, 5];
        let wanted = (0..backward.input_count()).filter(|&index| backward.wants(index));
        assert!(
            wanted.clone().all(|index| !frozen.contains(&index)),
            "lora_linear: only x, down and up have gradients"
        );
        let wanted: Vec<usize> = wanted.collect();
        let op = LoraLinearBackward {
            wants_x: backward.wants(x),
            wants_down: backward.wants(down),
            wants_up: backward.wants(up),
        };
        let mut inputs = vec![backward.d_output(0)];
        inputs.extend([x, weight, down, up, scale].map(|index| backward.input(index)));
        inputs.push(backward.output(1));
        let shapes: Vec<Vec<usize>> =
            wanted.iter().map(|&index| backward.tape.shape(backward.input(index)).to_vec()).collect();
        let names = ["d_x", "", "d_down", "d_up"];
        let outputs: Vec<(&str, &[usize])> =
            wanted.iter().zip(&shapes).map(|(&index, shape)| (names[index], &shape[..])).collect();
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

    // With h = x · downᵀ the forward line is y = x · weightᵀ + bias + scale · h · upᵀ.
    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [d_y, x, weight, down, up, scale, h] = [0, 1, 2, 3, 4, 5, 6].map(|index| lowering.input(index));
        let mut outputs = 0..;
        let mut next = |lowering: &Lowering<'_>| lowering.output(outputs.next().expect("the range has no end"));
        let scaled = |gemm: Gemm| Gemm { scale: Some(scale), ..gemm };
        let &[n, rank] = lowering.shape(up) else { panic!("lora_linear: up is no matrix") };
        let rows = lowering.elements(d_y) / n;
        // d_h = d_y · up, without the scale
        let d_h = lowering.scratch("d_hidden", &[rows, rank]);
        if self.wants_x || self.wants_down {
            let gemm = project_back(lowering, d_y, up, d_h);
            launch_gemm(lowering, &gemm);
        }
        if self.wants_x {
            // d_x = d_y · weight + scale · d_h · down
            let d_x = next(lowering);
            let base = project_back(lowering, d_y, weight, d_x);
            launch_gemm(lowering, &base);
            let update = project_back(lowering, d_h, down, d_x);
            launch_gemm(lowering, &Gemm { accumulate: true, ..scaled(update) });
        }
        if self.wants_down {
            // d_down = scale · d_hᵀ · x
            let gemm = outer_product(lowering, d_h, rank, x, next(lowering));
            launch_gemm(lowering, &scaled(gemm));
        }
        if self.wants_up {
            // d_up = scale · d_yᵀ · h
            let gemm = outer_product(lowering, d_y, n, h, next(lowering));
            launch_gemm(lowering, &scaled(gemm));
        }
    }
}

/// `out = leftᵀ · right`, the sum over all rows of both; `left` has rows of `m` elements.
fn outer_product(lowering: &Lowering<'_>, left: Value, m: usize, right: Value, out: Value) -> Gemm {
    let k = lowering.elements(left) / m;
    let n = lowering.elements(right) / k;
    let (a, b, c) = (Operand::matrix(left, m), Operand::matrix(right, n), Operand::matrix(out, n));
    Gemm::new(Layout::TN, [m, n, k], a, b, c)
}
