use lora_wgpu::{
    ops::{self, ConvGeometry},
    tape::{Tape, Value},
};

use crate::support::{Fixture, Tensor, assert_close, devices, evaluate_with_gradients};

fn conv_taps(tape: &mut Tape, values: &[Value]) -> Vec<Value> {
    vec![ops::conv_taps(tape, values[0])]
}

#[test]
fn permutes_weights_and_their_gradients() {
    // Rows of the matrix, input channels.
    for [rows, channels] in [[4, 4], [8, 36], [36, 12], [64, 68], [132, 4]] {
        let v = Tensor::random(&[rows, 9 * channels], 1);
        let upstream = Tensor::random(&[9, channels, rows], 2);
        let mut out = vec![0.0; v.data.len()];
        let mut d_v = vec![0.0; v.data.len()];
        for (at, value) in v.data.iter().enumerate() {
            let (row, channel, tap) = (at / 9 / channels, at / 9 % channels, at % 9);
            let place = (tap * channels + channel) * rows + row;
            out[place] = f64::from(*value);
            d_v[at] = f64::from(upstream.data[place]);
        }
        for device in devices() {
            let inputs = std::slice::from_ref(&v);
            let result = evaluate_with_gradients(&device.gpu, inputs, conv_taps, &upstream, &[0]);
            assert_close(device.name, &result.outputs[0], &out, 0.0);
            assert_close(device.name, result.gradients[0].as_ref().unwrap(), &d_v, 0.0);
        }
    }
}

/// The LoRA of a convolution as kohya's trainer computes it: `down` over 3×3 pixels, `up` on its result.
#[test]
fn a_convolutions_lora_agrees_with_pytorch() {
    let fixture = Fixture::open("conv_taps");
    for (name, geometry) in [("same", ConvGeometry::Same), ("down", ConvGeometry::Down)] {
        let tensor = |part: &str| fixture.tensor(&format!("{name}/{part}"));
        let down = tensor("down");
        let rank = down.shape[0];
        let down = Tensor::new(&[rank, down.data.len() / rank], down.data).padded();
        let inputs = [tensor("x"), down, tensor("up").padded()];
        let lora = |tape: &mut Tape, v: &[Value]| {
            let taps = ops::conv_taps(tape, v[1]);
            let hidden = ops::conv3x3(tape, v[0], taps, None, geometry);
            vec![ops::linear(tape, hidden, v[2], None)]
        };
        for device in devices() {
            let result = evaluate_with_gradients(&device.gpu, &inputs, lora, &tensor("upstream"), &[0, 1, 2]);
            let what = format!("{}: {name}", device.name);
            assert_close(&what, &result.outputs[0], &fixture.expected(&format!("{name}/out")), 1e-5);
            let d_down = tensor("d_down");
            let d_down = Tensor::new(&[rank, d_down.data.len() / rank], d_down.data).padded();
            let expected = [tensor("d_x"), d_down, tensor("d_up").padded()];
            for (gradient, expected) in result.gradients.iter().zip(expected) {
                let expected: Vec<f64> = expected.data.iter().map(|&value| f64::from(value)).collect();
                assert_close(&what, gradient.as_ref().unwrap(), &expected, 1e-5);
            }
        }
    }
}
