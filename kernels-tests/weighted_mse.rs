use lora_wgpu::{
    ops,
    tape::{Tape, Value},
};

use crate::support::{Fixture, Tensor, assert_close, devices, evaluate};

fn record(tape: &mut Tape, values: &[Value]) -> Vec<Value> {
    let loss = ops::weighted_mse(tape, values[0], values[1], values[2], values[3]);
    vec![loss.loss, loss.d_prediction, loss.samples]
}

/// A loss scale that changes nothing.
fn one() -> Tensor {
    Tensor::new(&[4], vec![1.0, 7.0, 7.0, 7.0])
}

#[test]
fn the_loss_scale_multiplies_the_gradient_alone() {
    let shape = [2, 8, 4];
    let tensors = [Tensor::random(&shape, 1), Tensor::random(&shape, 2), Tensor::new(&[2], vec![0.3, 0.7])];
    let [prediction, target, weight] = tensors;
    for device in devices() {
        let with =
            |scale: Tensor| evaluate(&device.gpu, &[prediction.clone(), target.clone(), weight.clone(), scale], record);
        let (plain, scaled) = (with(one()), with(Tensor::new(&[1], vec![1024.0])));
        assert_eq!((&plain[0], &plain[2]), (&scaled[0], &scaled[2]), "{}", device.name);
        assert!(plain[1].iter().zip(&scaled[1]).all(|(plain, scaled)| 1024.0 * plain == *scaled), "{}", device.name);
    }
}

#[test]
fn matches_pytorch() {
    let fixture = Fixture::open("weighted_mse");
    let [prediction, target, weight] = ["prediction", "target", "weight"].map(|name| fixture.tensor(name));
    let inputs = [prediction, target, weight, one()];
    for device in devices() {
        let outputs = evaluate(&device.gpu, &inputs, record);
        assert_close(device.name, &outputs[0], &fixture.expected("loss"), 1e-7);
        assert_close(device.name, &outputs[1], &fixture.expected("d_prediction"), 1e-6);
        assert_close(device.name, &outputs[2], &fixture.expected("samples"), 1e-7);
    }
}

#[test]
fn the_loss_is_accurate_to_a_tenth_of_a_millionth() {
    for shape in [vec![1, 1, 4], vec![2, 11, 13, 4], vec![1, 64, 64, 4], vec![1, 128, 128, 4]] {
        let weights = (0..shape[0]).map(|sample| 0.3 + sample as f32).collect();
        let inputs = [Tensor::random(&shape, 1), Tensor::random(&shape, 2), Tensor::new(&shape[..1], weights), one()];
        let per_sample = inputs[0].data.len() / shape[0];
        let square = |i: usize| (f64::from(inputs[0].data[i]) - f64::from(inputs[1].data[i])).powi(2);
        let sample = |b: usize| (b * per_sample..(b + 1) * per_sample).map(square).sum::<f64>() / per_sample as f64;
        let samples: Vec<f64> = (0..shape[0]).map(sample).collect();
        let loss: f64 = samples.iter().zip(&inputs[2].data).map(|(sample, weight)| sample * f64::from(*weight)).sum();
        for device in devices() {
            let outputs = evaluate(&device.gpu, &inputs, record);
            let what = format!("{shape:?} on {}", device.name);
            assert_close(&what, &outputs[2], &samples, 1e-7);
            assert_close(&what, &outputs[0], &[loss], 2e-7);
        }
    }
}

#[test]
fn a_sample_of_weight_zero_has_no_part() {
    let shape = [2, 8, 4];
    let inputs = [Tensor::random(&shape, 1), Tensor::random(&shape, 2), Tensor::new(&[2], vec![0.0, 1.0]), one()];
    for device in devices() {
        let outputs = evaluate(&device.gpu, &inputs, record);
        assert!(outputs[1][..32].iter().all(|&value| value == 0.0));
        assert!(outputs[0][0] == outputs[2][1] && outputs[2][0] > 0.0);
    }
}
