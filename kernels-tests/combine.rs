use lora_wgpu::ops;

use crate::support::{Tensor, assert_close, devices, evaluate};

#[test]
fn weighs_each_sample_on_its_own() {
    for shape in [vec![1, 1, 4], vec![3, 5, 7, 4], vec![2, 129, 4]] {
        let inputs = [Tensor::random(&shape, 1), Tensor::random(&shape, 2), Tensor::random(&[shape[0], 2], 3)];
        let per_sample = inputs[0].data.len() / shape[0];
        let coefficient = |i: usize, which: usize| f64::from(inputs[2].data[2 * (i / per_sample) + which]);
        let value =
            |i| coefficient(i, 0) * f64::from(inputs[0].data[i]) + coefficient(i, 1) * f64::from(inputs[1].data[i]);
        let expected: Vec<f64> = (0..inputs[0].data.len()).map(value).collect();
        for device in devices() {
            let record = |tape: &mut _, values: &[_]| vec![ops::combine(tape, values[0], values[1], values[2])];
            let outputs = evaluate(&device.gpu, &inputs, record);
            assert_close(&format!("{shape:?} on {}", device.name), &outputs[0], &expected, 1e-6);
        }
    }
}
