use lora_wgpu::{
    ops,
    tape::{Tape, Value},
};

use crate::support::{Fixture, Tensor, assert_close, devices, devices_and_bands, evaluate, evaluate_with_gradients};

fn concat(tape: &mut Tape, values: &[Value]) -> Vec<Value> {
    vec![ops::concat(tape, values[0], values[1])]
}

#[test]
fn agrees_with_plain_loops() {
    let cases: [(&[usize], usize, usize); 4] =
        [(&[1], 4, 4), (&[2, 3, 5], 12, 20), (&[131], 8, 24), (&[2, 5, 7], 24, 4)];
    for (pixels, a_channels, b_channels) in cases {
        let channels = a_channels + b_channels;
        let shape = |channels: usize| [pixels, &[channels]].concat();
        let (a, b) = (Tensor::random(&shape(a_channels), 1), Tensor::random(&shape(b_channels), 2));
        let upstream = Tensor::random(&shape(channels), 3);
        let (mut out, mut d_a, mut d_b) = (Vec::new(), Vec::new(), Vec::new());
        for (index, &gradient) in upstream.data.iter().enumerate() {
            let (pixel, channel) = (index / channels, index % channels);
            let (value, d_value) = match channel.checked_sub(a_channels) {
                None => (a.data[pixel * a_channels + channel], &mut d_a),
                Some(channel) => (b.data[pixel * b_channels + channel], &mut d_b),
            };
            out.push(f64::from(value));
            d_value.push(f64::from(gradient));
        }
        for device in devices_and_bands() {
            let inputs = [a.clone(), b.clone()];
            let result = evaluate_with_gradients(&device.gpu, &inputs, concat, &upstream, &[0, 1]);
            assert_close(device.name, &result.outputs[0], &out, 0.0);
            assert_close(device.name, result.gradients[0].as_ref().unwrap(), &d_a, 0.0);
            assert_close(device.name, result.gradients[1].as_ref().unwrap(), &d_b, 0.0);
        }
    }
}

#[test]
fn parts_of_a_split_are_its_channels_in_order() {
    let (pixels, channels, parts) = (131, 24, 3);
    let x = Tensor::random(&[pixels, channels], 1);
    let part = channels / parts;
    for device in devices_and_bands() {
        let outputs =
            evaluate(&device.gpu, std::slice::from_ref(&x), |tape, values| ops::split(tape, values[0], parts));
        for (index, actual) in outputs.iter().enumerate() {
            let rows = x.data.chunks_exact(channels).flat_map(|row| &row[index * part..][..part]);
            let expected: Vec<f64> = rows.map(|&value| f64::from(value)).collect();
            assert_close(device.name, actual, &expected, 0.0);
        }
    }
}

#[test]
fn agrees_with_pytorch() {
    let fixture = Fixture::open("concat");
    let inputs = [fixture.tensor("channels/a"), fixture.tensor("channels/b")];
    for device in devices() {
        let result =
            evaluate_with_gradients(&device.gpu, &inputs, concat, &fixture.tensor("channels/upstream"), &[0, 1]);
        assert_close(device.name, &result.outputs[0], &fixture.expected("channels/out"), 0.0);
        assert_close(device.name, result.gradients[0].as_ref().unwrap(), &fixture.expected("channels/d_a"), 0.0);
        assert_close(device.name, result.gradients[1].as_ref().unwrap(), &fixture.expected("channels/d_b"), 0.0);
    }
}
