use lora_wgpu::{
    ops,
    tape::{Tape, Value},
};

use crate::support::{Fixture, Tensor, assert_close, devices, devices_and_bands, evaluate_with_gradients};

/// Sums of four values.
const TOLERANCE: f64 = 1e-6;

fn upsample(tape: &mut Tape, values: &[Value]) -> Vec<Value> {
    vec![ops::upsample_nearest(tape, values[0])]
}

#[test]
fn agrees_with_plain_loops() {
    for [images, height, width, channels] in [[1, 1, 1, 4], [2, 3, 5, 8], [1, 13, 8, 32], [2, 16, 4, 64]] {
        let x = Tensor::random(&[images, height, width, channels], 1);
        let upstream = Tensor::random(&[images, 2 * height, 2 * width, channels], 2);
        let mut expected = Vec::new();
        let mut d_x = vec![0.0; x.data.len()];
        for (to, &gradient) in upstream.data.iter().enumerate() {
            let (channel, pixel) = (to % channels, to / channels);
            // Rows are counted over all images.
            let (column, row) = (pixel % (2 * width), pixel / (2 * width));
            let from = (row / 2 * width + column / 2) * channels + channel;
            expected.push(f64::from(x.data[from]));
            d_x[from] += f64::from(gradient);
        }
        for device in devices_and_bands() {
            let result = evaluate_with_gradients(&device.gpu, std::slice::from_ref(&x), upsample, &upstream, &[0]);
            assert_close(device.name, &result.outputs[0], &expected, 0.0);
            assert_close(device.name, result.gradients[0].as_ref().unwrap(), &d_x, TOLERANCE);
        }
    }
}

#[test]
fn agrees_with_pytorch() {
    let fixture = Fixture::open("upsample");
    let inputs = [fixture.tensor("nearest/x")];
    for device in devices() {
        let result = evaluate_with_gradients(&device.gpu, &inputs, upsample, &fixture.tensor("nearest/upstream"), &[0]);
        assert_close(device.name, &result.outputs[0], &fixture.expected("nearest/out"), 0.0);
        let d_x = result.gradients[0].as_ref().unwrap();
        assert_close(device.name, d_x, &fixture.expected("nearest/d_x"), TOLERANCE);
    }
}
