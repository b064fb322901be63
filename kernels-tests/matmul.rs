use lora_wgpu::{
    ops,
    tape::{Tape, Value},
};

use crate::support::{Matrix, Tensor, assert_close, devices, devices_and_bands, evaluate_with_gradients};

const TOLERANCE: f64 = 1e-5;

fn matmul(tape: &mut Tape, values: &[Value]) -> Vec<Value> {
    vec![ops::matmul(tape, values[0], values[1])]
}

#[test]
fn agrees_with_plain_loops() {
    // Ranks of adapters and others, rows of fours and of eights, long sums, large tiles.
    for [m, k, n] in [[4, 4, 4], [36, 4, 68], [132, 8, 36], [320, 16, 288], [12, 700, 20], [260, 260, 256]] {
        let (a, b) = (Tensor::random(&[m, k], 1), Tensor::random(&[k, n], 2));
        let upstream = Tensor::random(&[m, n], 3);
        let [a_matrix, b_matrix, d_out] = [&a, &b, &upstream].map(Matrix::of);
        let out = a_matrix.times(&b_matrix).data;
        let d_a = d_out.times(&b_matrix.transposed()).data;
        let d_b = a_matrix.transposed().times(&d_out).data;
        for device in devices() {
            let inputs = [a.clone(), b.clone()];
            let result = evaluate_with_gradients(&device.gpu, &inputs, matmul, &upstream, &[0, 1]);
            let what = format!("{}: {m}, {k}, {n}", device.name);
            assert_close(&what, &result.outputs[0], &out, TOLERANCE);
            for (gradient, expected) in result.gradients.iter().zip([&d_a, &d_b]) {
                assert_close(&what, gradient.as_ref().unwrap(), expected, TOLERANCE);
            }
        }
    }
}

#[test]
fn either_gradient_may_be_wanted_alone() {
    let inputs = [Tensor::random(&[8, 4], 1), Tensor::random(&[4, 12], 2)];
    let upstream = Tensor::random(&[8, 12], 3);
    for device in devices() {
        for wanted in [0, 1] {
            let result = evaluate_with_gradients(&device.gpu, &inputs, matmul, &upstream, &[wanted]);
            assert_eq!(result.gradients.iter().map(Option::is_some).collect::<Vec<_>>(), [wanted == 0, wanted == 1]);
        }
    }
}

#[test]
fn padding_gets_no_gradient() {
    // Rank 5 of 18 × 22: all sizes are padded, and so is what comes from above.
    let (a, b) = (Tensor::random(&[18, 5], 1).padded(), Tensor::random(&[5, 22], 2).padded());
    let upstream = Tensor::random(&[18, 22], 3).padded();
    for device in devices_and_bands() {
        let result = evaluate_with_gradients(&device.gpu, &[a.clone(), b.clone()], matmul, &upstream, &[0, 1]);
        for (gradient, factor) in result.gradients.iter().zip([&a, &b]) {
            for (d, value) in gradient.as_ref().unwrap().iter().zip(&factor.data) {
                assert_eq!(*d == 0.0, *value == 0.0, "{}: {d} for {value}", device.name);
            }
        }
    }
}
