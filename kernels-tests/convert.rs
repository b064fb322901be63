use half::f16;
use lora_wgpu::{
    ops,
    tape::{DType, Tape, Value},
};

use crate::support::{Tensor, assert_close, devices_and_bands, evaluate, evaluate_with_gradients};

/// A value that has been f16 on its way.
fn through_half(tape: &mut Tape, values: &[Value]) -> Vec<Value> {
    let half = ops::convert(tape, values[0], DType::F16);
    vec![ops::convert(tape, half, DType::F32)]
}

#[test]
fn rounds_to_a_neighbour_in_f16() {
    // From subnormal to almost too large.
    let exponents = (0..4096).map(|i| 2f32.powi(i % 40 - 24));
    let random = Tensor::random(&[4096], 3);
    let data = random.data.iter().zip(exponents).map(|(value, scale)| (value * scale).clamp(-65_504.0, 65_504.0));
    let x = Tensor::new(&[4, 1024], data.collect());
    for device in devices_and_bands() {
        let out = evaluate(&device.gpu, std::slice::from_ref(&x), through_half);
        for (&was, &is) in x.data.iter().zip(&out[0]) {
            // Half a step where the driver rounds to nearest, less than one where it cuts off.
            let step = (f16::from_f32(was).to_f32().abs() * 2f32.powi(-10)).max(2f32.powi(-24));
            assert!((was - is).abs() < step, "{}: {was:e} became {is:e}", device.name);
        }
    }
}

#[test]
fn what_is_too_large_is_not_finite() {
    let x = Tensor::new(&[8], vec![65_504.0, -65_504.0, 65_520.0, -65_520.0, 1e6, -1e30, f32::INFINITY, f32::NAN]);
    for device in devices_and_bands() {
        let out = evaluate(&device.gpu, std::slice::from_ref(&x), through_half);
        assert_eq!(out[0][..2], x.data[..2], "{}", device.name);
        assert!(out[0][2..].iter().all(|value| !value.is_finite()), "{}: {:?}", device.name, out[0]);
    }
}

#[test]
fn the_gradient_is_converted_back() {
    let (x, upstream) = (Tensor::random(&[2, 8], 1), Tensor::random(&[2, 8], 2).stored_as(DType::F16));
    let record = |tape: &mut Tape, values: &[Value]| vec![ops::convert(tape, values[0], DType::F16)];
    for device in devices_and_bands() {
        let result = evaluate_with_gradients(&device.gpu, std::slice::from_ref(&x), record, &upstream, &[0]);
        let expected: Vec<f64> = upstream.data.iter().map(|&value| f64::from(value)).collect();
        assert_close(device.name, result.gradients[0].as_ref().unwrap(), &expected, 0.0);
    }
}
