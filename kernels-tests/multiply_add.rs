use lora_wgpu::ops;

use crate::support::{Tensor, assert_close, devices_and_bands, evaluate};

#[test]
fn every_chain_goes_through_every_round() {
    let x = Tensor::random(&[3, 68], 1);
    let expected = x.data.iter().map(|&value| {
        let chain = |c: u32| (0..3 * 8).fold(f64::from(value) + f64::from(c), |v, _| 0.75 * v + 0.125);
        (0..8).map(chain).sum::<f64>()
    });
    let expected: Vec<f64> = expected.collect();
    for device in devices_and_bands() {
        let record = |tape: &mut _, values: &[_]| vec![ops::multiply_add(tape, values[0], 3, 0.75, 0.125)];
        let outputs = evaluate(&device.gpu, std::slice::from_ref(&x), record);
        assert_close(device.name, &outputs[0], &expected, 1e-6);
    }
}
