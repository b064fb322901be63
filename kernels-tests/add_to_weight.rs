use lora_wgpu::{ops, tape::DType};

use crate::support::{Matrix, Tensor, assert_close, devices, evaluate_with_gradients};

/// One product and one sum.
const TOLERANCE: f64 = 2e-7;
const SCALE: f32 = -0.75;

/// Compares weight + scale · delta and the gradient; `frozen` is the weight as a matrix in PyTorch's order.
fn check(weight: &Tensor, taps: usize, frozen: &Matrix) {
    let delta = Tensor::random(&[frozen.rows, frozen.columns], 5);
    let upstream = Tensor::random(&[frozen.rows, frozen.columns], 6);
    let scale = f64::from(SCALE);
    let expected = frozen.plus(scale, &Matrix::of(&delta)).data;
    let d_delta: Vec<f64> = upstream.data.iter().map(|&d| scale * f64::from(d)).collect();
    let inputs = [weight.clone().in_panels(), delta, Tensor::new(&[1], vec![SCALE])];
    for device in devices() {
        let record = |tape: &mut _, v: &[_]| vec![ops::add_to_weight(tape, v[0], taps, v[1], v[2])];
        let result = evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &[1]);
        let what = format!("{}: {:?} of {:?}, {taps} taps", device.name, weight.shape, weight.dtype);
        assert_close(&what, &result.outputs[0], &expected, TOLERANCE);
        assert_close(&what, result.gradients[1].as_ref().unwrap(), &d_delta, TOLERANCE);
    }
}

#[test]
fn a_linears_weight_matches_plain_loops() {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        // The last two lie in panels.
        for shape in [[4, 4], [12, 36], [20, 128], [68, 320]] {
            let weight = Tensor::random(&shape, 1).stored_as(dtype);
            check(&weight, 1, &Matrix::of(&weight));
        }
    }
}

#[test]
fn a_convolutions_weight_matches_plain_loops() {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        // Channels in and out; the last lies in panels.
        for [c_in, c_out] in [[4, 4], [12, 36], [68, 20], [36, 64], [12, 192]] {
            let weight = Tensor::random(&[9, c_in, c_out], 1).stored_as(dtype);
            let frozen = Matrix::new(c_out, 9 * c_in, |row, column| {
                f64::from(weight.data[(column % 9 * c_in + column / 9) * c_out + row])
            });
            check(&weight, 9, &frozen);
        }
    }
}

#[test]
#[should_panic(expected = "add_to_weight: weight [9, 8, 64] with 1 taps, delta [64, 72]")]
fn a_convolutions_weight_is_not_taken_for_a_linears() {
    let inputs = [Tensor::random(&[9, 8, 64], 1), Tensor::random(&[64, 72], 2), Tensor::new(&[1], vec![1.0])];
    let record = |tape: &mut _, v: &[_]| vec![ops::add_to_weight(tape, v[0], 1, v[1], v[2])];
    evaluate_with_gradients(&devices()[0].gpu, &inputs, record, &Tensor::random(&[64, 72], 3), &[1]);
}
