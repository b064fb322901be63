use lora_wgpu::{ops, tape::DType};

use crate::support::{
    Fixture, Matrix, Tensor, assert_close, devices, devices_and_bands, evaluate, evaluate_with_gradients,
};

const TOLERANCE: f64 = 1e-5;

/// out = x · weightᵀ + bias, and d_x = d_out · weight.
fn plain(x: &Tensor, weight: &Tensor, bias: &Tensor, upstream: &Tensor) -> (Vec<f64>, Vec<f64>) {
    let (n, k) = (weight.shape[0], weight.shape[1]);
    let m = x.data.len() / k;
    let weight = |row: usize, column: usize| f64::from(weight.data[row * k + column]);
    let out = |row: usize, column: usize| {
        let sum: f64 = (0..k).map(|i| f64::from(x.data[row * k + i]) * weight(column, i)).sum();
        sum + f64::from(bias.data[column])
    };
    let d_x = |row: usize, column: usize| -> f64 {
        (0..n).map(|i| f64::from(upstream.data[row * n + i]) * weight(i, column)).sum()
    };
    let table = |columns: usize, element: &dyn Fn(usize, usize) -> f64| {
        (0..m * columns).map(|at| element(at / columns, at % columns)).collect()
    };
    (table(n, &out), table(k, &d_x))
}

#[test]
fn every_storage_type_matches_plain_loops() {
    // The last two lie in panels.
    let shapes = [
        (vec![1, 4], 4),
        (vec![2, 17, 36], 60),
        (vec![77, 64], 68),
        (vec![3, 43, 132], 128),
        (vec![77, 128], 68),
        (vec![70, 320], 60),
    ];
    for device in devices() {
        for (x_shape, n) in &shapes {
            for dtype in [DType::F32, DType::F16, DType::BF16] {
                let (x, k) = (Tensor::random(x_shape, 1), x_shape[x_shape.len() - 1]);
                let (weight, bias) = (Tensor::random(&[*n, k], 2).stored_as(dtype), Tensor::random(&[*n], 3));
                let upstream = Tensor::random(&[&x_shape[..x_shape.len() - 1], &[*n]].concat(), 4);
                let (out, d_x) = plain(&x, &weight, &bias, &upstream);
                let result = evaluate_with_gradients(
                    &device.gpu,
                    &[x, weight.in_panels(), bias],
                    |tape, v| vec![ops::linear(tape, v[0], v[1], Some(v[2]))],
                    &upstream,
                    &[0],
                );
                let what = format!("{}: {x_shape:?} to {n}, {dtype:?}", device.name);
                assert_close(&what, &result.outputs[0], &out, TOLERANCE);
                assert_close(&what, result.gradients[0].as_ref().unwrap(), &d_x, TOLERANCE);
            }
        }
    }
}

#[test]
fn matches_pytorch() {
    let fixture = Fixture::open("linear");
    for device in devices() {
        for case in ["tokens", "pixels"] {
            let tensor = |name: &str| fixture.tensor(&format!("{case}/{name}"));
            let inputs = ["x", "weight", "bias"].map(tensor);
            // Twice the layer's output: the gradient arrives from the middle of a graph.
            let record = |tape: &mut _, v: &[_]| {
                let out = ops::linear(tape, v[0], v[1], Some(v[2]));
                vec![ops::add(tape, out, out)]
            };
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &tensor("upstream"), &[0, 1]);
            assert_close(device.name, &result.outputs[0], &fixture.expected(&format!("{case}/out")), TOLERANCE);
            let d_x = result.gradients[0].as_ref().unwrap();
            assert_close(device.name, d_x, &fixture.expected(&format!("{case}/d_x")), TOLERANCE);
            let d_weight = result.gradients[1].as_ref().unwrap();
            assert_close(device.name, d_weight, &fixture.expected(&format!("{case}/d_weight")), TOLERANCE);
        }
    }
}

#[test]
fn bias_is_optional() {
    for device in devices() {
        let (x, weight) = (Tensor::random(&[9, 8], 1), Tensor::random(&[12, 8], 2));
        let zeros = Tensor::new(&[12], vec![0.0; 12]);
        let (out, _) = plain(&x, &weight, &zeros, &Tensor::random(&[9, 12], 3));
        let result = evaluate(&device.gpu, &[x, weight], |tape, v| vec![ops::linear(tape, v[0], v[1], None)]);
        assert_close(device.name, &result[0], &out, TOLERANCE);
    }
}

#[test]
fn a_weight_built_from_trained_values_has_a_gradient() {
    for (rows, k, n) in [(1, 4, 4), (34, 36, 60), (77, 128, 68), (515, 20, 12)] {
        let (x, weight) = (Tensor::random(&[rows, k], 1), Tensor::random(&[n, k], 2));
        let upstream = Tensor::random(&[rows, n], 3);
        let expected = Matrix::of(&upstream).transposed().times(&Matrix::of(&x)).data;
        let weight_bytes = 4 * (n * k) as u64;
        for device in devices_and_bands().filter(|device| device.gpu.caps().max_binding >= weight_bytes) {
            let record = |tape: &mut _, v: &[_]| vec![ops::linear(tape, v[0], v[1], None)];
            let inputs = [x.clone(), weight.clone()];
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &[1]);
            let what = format!("{}: {rows} × {k} to {n}", device.name);
            assert_close(&what, result.gradients[1].as_ref().unwrap(), &expected, TOLERANCE);
            assert!(result.gradients[0].is_none(), "nobody wants the gradient of x");
        }
    }
}

#[test]
#[should_panic(expected = "linear: a weight [8, 4] of F16 is frozen")]
fn a_frozen_weight_has_none() {
    let inputs = [Tensor::random(&[3, 4], 1), Tensor::random(&[8, 4], 2).stored_as(DType::F16)];
    let record = |tape: &mut _, v: &[_]| vec![ops::linear(tape, v[0], v[1], None)];
    evaluate_with_gradients(&devices()[0].gpu, &inputs, record, &Tensor::random(&[3, 8], 3), &[1]);
}
