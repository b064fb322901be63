use lora_wgpu::{
    ops,
    tape::{Tape, Value},
};

use crate::support::{Tensor, assert_close, devices, evaluate};

fn record(tape: &mut Tape, values: &[Value]) -> Vec<Value> {
    vec![ops::grad_norm(tape, &values[2..], values[0], values[1])]
}

/// The inputs of `record`: the bound, the loss scale, then the gradients.
fn inputs(max_norm: f32, gradients: &[Tensor]) -> Vec<Tensor> {
    scaled_inputs(max_norm, 1.0, gradients)
}

fn scaled_inputs(max_norm: f32, loss_scale: f32, gradients: &[Tensor]) -> Vec<Tensor> {
    let mut inputs = vec![Tensor::new(&[1], vec![max_norm]), Tensor::new(&[4], vec![loss_scale, 7.0, 0.0, 0.0])];
    inputs.extend(gradients.iter().cloned());
    inputs
}

fn norm(gradients: &[Tensor]) -> f64 {
    gradients.iter().flat_map(|tensor| &tensor.data).map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn one_norm_over_all_shards() {
    for shards in [vec![4], vec![1028, 4, 7000], vec![300_000, 12]] {
        let gradients: Vec<Tensor> = shards.iter().map(|&n| Tensor::random(&[n], n as u64).scaled(1e-3)).collect();
        let expected = norm(&gradients);
        let bound = (0.5 * expected) as f32;
        for device in devices() {
            let what = format!("{shards:?} on {}", device.name);
            let off = evaluate(&device.gpu, &inputs(0.0, &gradients), record);
            assert_close(&what, &off[0], &[expected, 1.0, 1.0, 1.0], 1e-6);
            let clipped = evaluate(&device.gpu, &inputs(bound, &gradients), record);
            let factor = f64::from(bound) / (expected + 1e-6);
            assert_close(&what, &clipped[0], &[expected, factor, 1.0, 1.0], 1e-6);
            let roomy = evaluate(&device.gpu, &inputs(3.0 * bound, &gradients), record);
            assert_eq!(roomy[0][1], 1.0, "{what}");
        }
    }
}

#[test]
fn a_power_of_two_as_loss_scale_is_undone_to_the_bit() {
    let gradients = [Tensor::random(&[5000], 2).scaled(1e-3)];
    let scaled = [gradients[0].clone().scaled(65_536.0)];
    for (device, max_norm) in devices().iter().flat_map(|device| [(device, 0.0), (device, 0.01)]) {
        let plain = evaluate(&device.gpu, &inputs(max_norm, &gradients), record);
        let undone = evaluate(&device.gpu, &scaled_inputs(max_norm, 65_536.0, &scaled), record);
        let expected = [plain[0][0], plain[0][1] / 65_536.0, 1.0, 65_536.0];
        assert_eq!(undone[0], expected, "{}", device.name);
    }
}

/// Equal gradients round the same way in every addition: the worst case of a long sum.
#[test]
fn many_equal_gradients_do_not_drift() {
    let gradients = [Tensor::new(&[20_000_000], vec![0.123_456_7; 20_000_000])];
    let device = &devices()[1];
    let result = evaluate(&device.gpu, &inputs(0.0, &gradients), record);
    assert_close(device.name, &result[0][..1], &[norm(&gradients)], 1e-6);
}

#[test]
fn what_is_not_finite_is_found_in_any_shard() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in [0, 4999] {
            let mut gradients = [Tensor::random(&[256], 1), Tensor::random(&[5000], 2)];
            gradients[1].data[at] = bad;
            for device in devices() {
                let result = evaluate(&device.gpu, &inputs(1.0, &gradients), record);
                assert_eq!(result[0][1..], [0.0, 0.0, 1.0], "{bad} on {}", device.name);
            }
        }
    }
}
