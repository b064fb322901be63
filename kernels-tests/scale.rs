use lora_wgpu::ops;

use crate::support::{Tensor, assert_close, devices_and_bands, evaluate_with_gradients};

#[test]
fn multiplies_value_and_gradient() {
    for shape in [vec![4], vec![7, 12], vec![2, 33, 64]] {
        let (x, upstream) = (Tensor::random(&shape, 1), Tensor::random(&shape, 2));
        let times = |values: &[f32]| -> Vec<f64> { values.iter().map(|&value| -0.3 * f64::from(value)).collect() };
        for device in devices_and_bands() {
            let record = |tape: &mut _, values: &[_]| vec![ops::scale(tape, values[0], -0.3)];
            let result = evaluate_with_gradients(&device.gpu, std::slice::from_ref(&x), record, &upstream, &[0]);
            assert_close(device.name, &result.outputs[0], &times(&x.data), 1e-6);
            assert_close(device.name, result.gradients[0].as_ref().unwrap(), &times(&upstream.data), 1e-6);
        }
    }
}

#[test]
fn multiplies_by_a_value_on_the_device() {
    for shape in [vec![4], vec![7, 12], vec![2, 33, 64]] {
        let (x, upstream) = (Tensor::random(&shape, 1), Tensor::random(&shape, 2));
        let times = |values: &[f32]| -> Vec<f64> { values.iter().map(|&value| 1.7 * f64::from(value)).collect() };
        let inputs = [x.clone(), Tensor::new(&[1], vec![1.7])];
        for device in devices_and_bands() {
            let record = |tape: &mut _, values: &[_]| vec![ops::scale_by(tape, values[0], values[1])];
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &[0]);
            assert_close(device.name, &result.outputs[0], &times(&x.data), 1e-6);
            assert_close(device.name, result.gradients[0].as_ref().unwrap(), &times(&upstream.data), 1e-6);
        }
    }
}
