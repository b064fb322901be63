use lora_wgpu::{
    ops,
    tape::{Tape, Value},
};

use crate::support::{Fixture, Tensor, assert_close, devices, devices_and_bands, evaluate_with_gradients, normalize};

const EPS: f32 = 1e-5;
const TOLERANCE: f64 = 2e-5;

fn record(tape: &mut Tape, values: &[Value]) -> Vec<Value> {
    vec![ops::layer_norm(tape, values[0], values[1], values[2], EPS)]
}

#[test]
fn matches_pytorch() {
    let fixture = Fixture::open("layer_norm");
    for case in ["tokens", "narrow", "wide"] {
        let name = |tensor: &str| format!("{case}/{tensor}");
        let inputs = ["x", "gamma", "beta"].map(|tensor| fixture.tensor(&name(tensor)));
        let upstream = fixture.tensor(&name("upstream"));
        for device in devices() {
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &[0]);
            let what = format!("{case} on {}", device.name);
            assert_close(&what, &result.outputs[0], &fixture.expected(&name("out")), TOLERANCE);
            let d_x = result.gradients[0].as_ref().unwrap();
            assert_close(&what, d_x, &fixture.expected(&name("d_x")), TOLERANCE);
        }
    }
}

#[test]
fn matches_plain_loops_mid_graph() {
    for shape in [[1, 1, 4], [2, 3, 252], [1, 37, 256], [2, 131, 20], [1, 2, 1028]] {
        let channels = shape[2];
        let inputs = [Tensor::random(&shape, 1), Tensor::random(&[channels], 2), Tensor::random(&[channels], 3)];
        let upstream = Tensor::random(&shape, 4);
        let rows: Vec<Vec<usize>> =
            (0..shape[0] * shape[1]).map(|row| (row * channels..(row + 1) * channels).collect()).collect();
        let gamma = |i: usize| f64::from(inputs[1].data[i % channels]);
        // The norm is followed by y + y.
        let normalized =
            normalize(&inputs[0].data, &rows, f64::from(EPS), |i, _| 2.0 * f64::from(upstream.data[i]) * gamma(i));
        let y = |(i, x_hat): (usize, &f64)| 2.0 * (x_hat * gamma(i) + f64::from(inputs[2].data[i % channels]));
        let expected: Vec<f64> = normalized.x_hat.iter().enumerate().map(y).collect();
        for device in devices_and_bands().filter(|device| device.gpu.caps().max_binding > 4096 || channels < 128) {
            let twice = |tape: &mut Tape, values: &[Value]| {
                let y = record(tape, values)[0];
                vec![ops::add(tape, y, y)]
            };
            let result = evaluate_with_gradients(&device.gpu, &inputs, twice, &upstream, &[0]);
            let what = format!("{shape:?} on {}", device.name);
            assert_close(&what, &result.outputs[0], &expected, TOLERANCE);
            assert_close(&what, result.gradients[0].as_ref().unwrap(), &normalized.d_x, TOLERANCE);
        }
    }
}
