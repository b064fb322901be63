use lora_wgpu::ops;

use crate::support::{Tensor, assert_close, devices_and_bands, evaluate_with_gradients};

#[test]
fn multiplies_elements_and_gradients() {
    for shape in [vec![4], vec![7, 12], vec![2, 33, 64]] {
        let inputs = [Tensor::random(&shape, 1), Tensor::random(&shape, 2)];
        let upstream = Tensor::random(&shape, 3);
        let product = |a: &Tensor, b: &Tensor| -> Vec<f64> {
            a.data.iter().zip(&b.data).map(|(a, b)| f64::from(*a) * f64::from(*b)).collect()
        };
        for device in devices_and_bands() {
            let record = |tape: &mut _, values: &[_]| vec![ops::multiply(tape, values[0], values[1])];
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &[0, 1]);
            assert_close(device.name, &result.outputs[0], &product(&inputs[0], &inputs[1]), 1e-7);
            for index in [0, 1] {
                let expected = product(&upstream, &inputs[1 - index]);
                assert_close(device.name, result.gradients[index].as_ref().unwrap(), &expected, 1e-7);
            }
        }
    }
}
