use lora_wgpu::{
    diffusion::philox::philox_4x32_10,
    ops,
    tape::{DType, Tape, Value},
};

use crate::support::{Tensor, assert_close, devices, devices_and_bands, evaluate, evaluate_with_gradients};

const KEY: [u32; 2] = [0xabcdef, 0x123456];

/// What an element is multiplied by.
fn factor(at: usize, site: u32, rate: f32) -> f64 {
    let word = philox_4x32_10([(at / 4) as u32, site, 0, 0], KEY)[at % 4];
    let dropped = f64::from(word) < (f64::from(rate) * 2f64.powi(32)).floor();
    if dropped { 0.0 } else { f64::from(1.0 / (1.0 - rate)) }
}

fn inputs(shape: &[usize]) -> [Tensor; 2] {
    let key = Tensor { dtype: DType::U32, ..Tensor::new(&[2], KEY.map(|word| word as f32).to_vec()) };
    [Tensor::random(shape, 1), key]
}

fn dropout(site: u32, rate: f32) -> impl Fn(&mut Tape, &[Value]) -> Vec<Value> {
    move |tape, values| vec![ops::dropout(tape, values[0], values[1], site, rate)]
}

#[test]
fn drops_what_philox_says_in_both_directions() {
    for (shape, site, rate) in [(vec![4], 0, 0.5), (vec![3, 77, 12], 7, 0.1), (vec![2, 33, 64], u32::MAX, 0.9)] {
        let upstream = Tensor::random(&shape, 3);
        let inputs = inputs(&shape);
        let masked = |values: &[f32]| -> Vec<f64> {
            values.iter().enumerate().map(|(at, &value)| f64::from(value) * factor(at, site, rate)).collect()
        };
        for device in devices_and_bands() {
            let result = evaluate_with_gradients(&device.gpu, &inputs, dropout(site, rate), &upstream, &[0]);
            let what = format!("{}: {shape:?}, site {site}, rate {rate}", device.name);
            assert_close(&what, &result.outputs[0], &masked(&inputs[0].data), 1e-7);
            assert_close(&what, result.gradients[0].as_ref().unwrap(), &masked(&upstream.data), 1e-7);
        }
    }
}

#[test]
fn drops_its_share_and_other_elements_at_other_sites() {
    let inputs = inputs(&[100, 100]);
    let gpu = &devices()[0].gpu;
    let zeros = |site: u32| -> Vec<bool> {
        evaluate(gpu, &inputs, dropout(site, 0.3))[0].iter().map(|&value| value == 0.0).collect()
    };
    let [first, second] = [1, 2].map(zeros);
    let count = |dropped: &mut dyn Iterator<Item = bool>| dropped.filter(|&dropped| dropped).count();
    // Six standard deviations of 10,000 draws.
    assert!(count(&mut first.iter().copied()).abs_diff(3000) < 275);
    let both = count(&mut first.iter().zip(&second).map(|(a, b)| *a && *b));
    assert!(both.abs_diff(900) < 172, "{both} elements are dropped at both sites");
}

#[test]
fn a_rate_of_zero_records_nothing() {
    let mut tape = Tape::new();
    let (h, key) = (tape.input("h", &[4]).value, tape.input_of("key", &[2], DType::U32).value);
    assert_eq!(ops::dropout(&mut tape, h, key, 0, 0.0), h);
}
