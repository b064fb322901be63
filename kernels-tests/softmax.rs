use lora_wgpu::{
    ops,
    tape::{Tape, Value},
};

use crate::support::{Fixture, Tensor, assert_close, devices, devices_and_bands, evaluate, evaluate_with_gradients};

#[test]
fn matches_pytorch() {
    let fixture = Fixture::open("softmax");
    for (case, causal) in [("plain", false), ("causal", true)] {
        let name = |tensor: &str| format!("{case}/{tensor}");
        let inputs = [fixture.tensor(&name("x"))];
        let upstream = fixture.tensor(&name("upstream"));
        for device in devices() {
            let record = |tape: &mut Tape, values: &[Value]| vec![ops::softmax(tape, values[0], 0.5, causal)];
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &[0]);
            let what = format!("{case} on {}", device.name);
            assert_close(&what, &result.outputs[0], &fixture.expected(&name("out")), 1e-5);
            assert_close(&what, result.gradients[0].as_ref().unwrap(), &fixture.expected(&name("d_x")), 1e-5);
        }
    }
}

#[test]
fn matches_plain_loops_mid_graph() {
    for (rows, n, causal) in [(1, 1, false), (5, 64, false), (3, 65, false), (77, 77, true), (130, 20, false)] {
        let inputs = [Tensor::random(&[rows, n], 1)];
        let upstream = Tensor::random(&[rows, n], 2);
        let mut expected = vec![0.0; rows * n];
        let mut d_x = vec![0.0; rows * n];
        for row in 0..rows {
            let width = if causal { row + 1 } else { n };
            let row = row * n..row * n + width;
            let exps: Vec<f64> = inputs[0].data[row.clone()].iter().map(|&x| (1.5 * f64::from(x)).exp()).collect();
            let sum: f64 = exps.iter().sum();
            let y: Vec<f64> = exps.iter().map(|e| e / sum).collect();
            let d_y: Vec<f64> = upstream.data[row.clone()].iter().map(|&d| f64::from(d)).collect();
            let dot: f64 = y.iter().zip(&d_y).map(|(y, d)| y * d).sum();
            for (i, at) in row.enumerate() {
                expected[at] = y[i];
                d_x[at] = 1.5 * y[i] * (d_y[i] - dot);
            }
        }
        for device in devices_and_bands().filter(|device| device.gpu.caps().max_binding > 4096 || n == 20) {
            let record = |tape: &mut Tape, values: &[Value]| vec![ops::softmax(tape, values[0], 1.5, causal)];
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &[0]);
            let what = format!("{rows} rows of {n} on {}", device.name);
            assert_close(&what, &result.outputs[0], &expected, 1e-5);
            assert_close(&what, result.gradients[0].as_ref().unwrap(), &d_x, 1e-5);
        }
    }
}

#[test]
fn large_scores_do_not_overflow() {
    let inputs = [Tensor::new(&[1, 4], vec![-2e4, 2e4, 2e4, 0.0])];
    for device in devices() {
        let outputs = evaluate(&device.gpu, &inputs, |tape, values| vec![ops::softmax(tape, values[0], 1.0, false)]);
        assert_close(device.name, &outputs[0], &[0.0, 0.5, 0.5, 0.0], 1e-6);
    }
}
