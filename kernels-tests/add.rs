use lora_wgpu::ops;

use crate::support::{Tensor, assert_close, devices, evaluate_with_gradients};

#[test]
fn sums_and_passes_the_gradient_on() {
    for device in devices() {
        for shape in [vec![4], vec![7, 12], vec![2, 33, 64]] {
            let (a, b) = (Tensor::random(&shape, 1), Tensor::random(&shape, 2));
            let upstream = Tensor::random(&shape, 3);
            let expected: Vec<f64> = a.data.iter().zip(&b.data).map(|(a, b)| f64::from(*a) + f64::from(*b)).collect();
            let doubled: Vec<f64> = upstream.data.iter().map(|&d| 2.0 * f64::from(d)).collect();
            // a + b, then that + a: `a` is used twice, so that its gradient is a sum.
            let twice = |tape: &mut _, values: &[_]| {
                let sum = ops::add(tape, values[0], values[1]);
                vec![ops::add(tape, sum, values[0])]
            };
            let result = evaluate_with_gradients(&device.gpu, &[a.clone(), b], twice, &upstream, &[0]);
            let expected: Vec<f64> = expected.iter().zip(&a.data).map(|(sum, a)| sum + f64::from(*a)).collect();
            assert_close(device.name, &result.outputs[0], &expected, 1e-7);
            assert_close(device.name, result.gradients[0].as_ref().unwrap(), &doubled, 1e-7);
        }
    }
}
