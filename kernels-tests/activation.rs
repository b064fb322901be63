use lora_wgpu::{
    ops,
    tape::{Tape, Value},
};

use crate::support::{Fixture, Tensor, assert_close, devices, devices_and_bands, evaluate, evaluate_with_gradients};

type Record = fn(&mut Tape, Value) -> Value;

const ACTIVATIONS: [(&str, Record); 4] =
    [("silu", ops::silu), ("gelu", ops::gelu), ("quick_gelu", ops::quick_gelu), ("geglu", ops::geglu)];

#[test]
fn matches_pytorch() {
    let fixture = Fixture::open("activation");
    for (case, record) in ACTIVATIONS {
        let name = |tensor: &str| format!("{case}/{tensor}");
        let inputs = [fixture.tensor(&name("x"))];
        let upstream = fixture.tensor(&name("upstream"));
        for device in devices() {
            let record = |tape: &mut Tape, values: &[Value]| vec![record(tape, values[0])];
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &[0]);
            let what = format!("{case} on {}", device.name);
            assert_close(&what, &result.outputs[0], &fixture.expected(&name("out")), 1e-6);
            let d_x = result.gradients[0].as_ref().unwrap();
            assert_close(&what, d_x, &fixture.expected(&name("d_x")), 1e-6);
        }
    }
}

/// Element by element from −6, where GELU is −6e-9, to 6.
#[test]
fn gelu_keeps_its_relative_accuracy_in_the_tail() {
    let fixture = Fixture::open("activation");
    let inputs = [fixture.tensor("gelu_sweep/x")];
    let expected = fixture.expected("gelu_sweep/out");
    for device in devices() {
        let outputs = evaluate(&device.gpu, &inputs, |tape, values| vec![ops::gelu(tape, values[0])]);
        for ((x, y), expected) in inputs[0].data.iter().zip(&outputs[0]).zip(&expected) {
            // Beyond −4 the rounding of x² in exp(−x²/2) alone is 1e-6.
            let tolerance = if *x < -4.0 { 3e-6 } else { 1e-6 };
            let error = (f64::from(*y) / expected - 1.0).abs();
            assert!(error < tolerance, "{}: gelu({x}) = {y}, not {expected}: {error:.1e}", device.name);
        }
    }
}

#[test]
fn huge_arguments_stay_finite() {
    let inputs = [Tensor::new(&[8], vec![-1e30, -1e4, -200.0, -90.0, 90.0, 200.0, 1e4, 1e30])];
    let expected: Vec<f64> = inputs[0].data.iter().map(|&x| f64::from(x.max(0.0))).collect();
    for device in devices() {
        for (case, record) in &ACTIVATIONS[..3] {
            let record = |tape: &mut Tape, values: &[Value]| vec![record(tape, values[0])];
            let outputs = evaluate(&device.gpu, &inputs, record);
            let what = format!("{case} on {}", device.name);
            assert_close(&what, &outputs[0], &expected, 1e-6);
            // What should be nearly nothing is not merely small against 1e30.
            assert!(outputs[0][1..4].iter().all(|value| value.abs() < 1e-20), "{what}: {:?}", outputs[0]);
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn matches_plain_loops_mid_graph() {
    for shape in [vec![1, 4], vec![2, 127, 12], vec![1, 331, 4]] {
        let inputs = [Tensor::random(&shape, 1)];
        let upstream = Tensor::random(&shape, 2);
        let x: Vec<f64> = inputs[0].data.iter().map(|&x| f64::from(x)).collect();
        let expected: Vec<f64> = x.iter().map(|x| sigmoid(*x) * x * sigmoid(1.702 * sigmoid(*x) * x)).collect();
        let gradient = |(x, d): (&f64, &f32)| {
            let (s, y) = (sigmoid(*x), sigmoid(*x) * x);
            let q = sigmoid(1.702 * y);
            f64::from(*d) * q * (1.0 + 1.702 * y * (1.0 - q)) * s * (1.0 + x * (1.0 - s))
        };
        let d_x: Vec<f64> = x.iter().zip(&upstream.data).map(gradient).collect();
        for device in devices_and_bands() {
            let record = |tape: &mut Tape, values: &[Value]| {
                let y = ops::silu(tape, values[0]);
                vec![ops::quick_gelu(tape, y)]
            };
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &[0]);
            assert_close(device.name, &result.outputs[0], &expected, 1e-6);
            assert_close(device.name, result.gradients[0].as_ref().unwrap(), &d_x, 1e-6);
        }
    }
}

/// GEGLU's halves interleave row by row, so that bands must keep whole rows together.
#[test]
fn geglu_in_bands_gives_the_same_bits() {
    for shape in [[1, 8], [47, 24], [131, 8]] {
        let inputs = [Tensor::random(&shape, 1)];
        let upstream = Tensor::random(&[shape[0], shape[1] / 2], 2);
        let record = |tape: &mut Tape, values: &[Value]| {
            let doubled = ops::scale(tape, values[0], 2.0);
            vec![ops::geglu(tape, doubled)]
        };
        let results: Vec<_> = devices_and_bands()
            .map(|device| evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &[0]))
            .map(|result| (result.outputs, result.gradients))
            .collect();
        assert!(results.iter().all(|result| *result == results[0]), "{shape:?}");
        // y = 2v·Φ(2g)·2g, checked where the gate is far enough from zero that Φ is 0 or 1.
        let y = &results[0].0[0];
        let half = shape[1] / 2;
        for (i, y) in y.iter().enumerate() {
            let at = i / half * shape[1] + i % half;
            let (value, gate) = (2.0 * inputs[0].data[at], 2.0 * inputs[0].data[at + half]);
            if gate.abs() > 4.5 {
                assert!((y - value * gate.max(0.0)).abs() < 1e-3, "{shape:?} {i}: {y}");
            }
        }
    }
}
