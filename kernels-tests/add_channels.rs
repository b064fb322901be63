use lora_wgpu::{
    ops,
    tape::{Tape, Value},
};

use crate::support::{Tensor, assert_close, devices_and_bands, evaluate_with_gradients};

#[test]
fn adds_at_every_position_and_sums_the_gradient() {
    for shape in [[1, 1, 4], [2, 37, 20], [3, 16, 8], [1, 33, 12]] {
        let [samples, positions, channels] = shape;
        let inputs = [Tensor::random(&shape, 1), Tensor::random(&[samples, channels], 2)];
        let upstream = Tensor::random(&shape, 3);
        let sample_channel = |i: usize| i / (positions * channels) * channels + i % channels;
        let mut expected = Vec::new();
        let mut d_y = vec![0.0; samples * channels];
        for (i, x) in inputs[0].data.iter().enumerate() {
            expected.push(3.0 * (f64::from(*x) + f64::from(inputs[1].data[sample_channel(i)])));
            d_y[sample_channel(i)] += 3.0 * f64::from(upstream.data[i]);
        }
        let d_x: Vec<f64> = upstream.data.iter().map(|d| 3.0 * f64::from(*d)).collect();
        for device in devices_and_bands() {
            let record = |tape: &mut Tape, values: &[Value]| {
                let sum = ops::add_channels(tape, values[0], values[1]);
                vec![ops::scale(tape, sum, 3.0)]
            };
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &[0, 1]);
            let what = format!("{shape:?} on {}", device.name);
            assert_close(&what, &result.outputs[0], &expected, 1e-6);
            assert_close(&what, result.gradients[0].as_ref().unwrap(), &d_x, 1e-6);
            assert_close(&what, result.gradients[1].as_ref().unwrap(), &d_y, 1e-6);
        }
    }
}
