use lora_wgpu::{
    ops,
    tape::{Tape, Value},
};

use crate::support::{
    Fixture, Tensor, assert_close, devices, devices_and_bands, evaluate, evaluate_with_gradients, normalize,
};

const EPS: f32 = 1e-5;
const TOLERANCE: f64 = 2e-5;

fn record(groups: usize, silu: bool) -> impl Fn(&mut Tape, &[Value]) -> Vec<Value> {
    move |tape, values| vec![ops::group_norm(tape, values[0], values[1], values[2], groups, EPS, silu)]
}

#[test]
fn matches_pytorch() {
    let fixture = Fixture::open("group_norm");
    for (case, groups, silu) in [("groups_of_two", 4, false), ("groups_of_ten", 4, true), ("groups_of_one", 32, true)] {
        let name = |tensor: &str| format!("{case}/{tensor}");
        let inputs = ["x", "gamma", "beta"].map(|tensor| fixture.tensor(&name(tensor)));
        let upstream = fixture.tensor(&name("upstream"));
        for device in devices() {
            let result = evaluate_with_gradients(&device.gpu, &inputs, record(groups, silu), &upstream, &[0]);
            let what = format!("{case} on {}", device.name);
            assert_close(&what, &result.outputs[0], &fixture.expected(&name("out")), TOLERANCE);
            let d_x = result.gradients[0].as_ref().unwrap();
            assert_close(&what, d_x, &fixture.expected(&name("d_x")), TOLERANCE);
        }
    }
}

/// y and d_x of shape (samples, positions, channels), in f64.
fn plain(inputs: &[Tensor], groups: usize, silu: bool, d_y: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let [x, gamma, beta] = inputs else { panic!("x, gamma, beta") };
    let [samples, positions, channels] = x.shape[..] else { panic!("three dimensions") };
    let width = channels / groups;
    let set = |sample: usize, group: usize| {
        let at = move |position| ((sample * positions + position) * channels) + group * width;
        (0..positions).flat_map(|position| at(position)..at(position) + width).collect()
    };
    let sets: Vec<Vec<usize>> = (0..samples).flat_map(|b| (0..groups).map(move |g| set(b, g))).collect();
    let weight = |i: usize| (f64::from(gamma.data[i % channels]), f64::from(beta.data[i % channels]));
    let normalized = normalize(&x.data, &sets, f64::from(EPS), |i, x_hat| {
        let (gamma, beta) = weight(i);
        let sigmoid = 1.0 / (1.0 + (-(x_hat * gamma + beta)).exp());
        let derivative = sigmoid * (1.0 + (x_hat * gamma + beta) * (1.0 - sigmoid));
        f64::from(d_y[i]) * gamma * if silu { derivative } else { 1.0 }
    });
    let y = normalized.x_hat.iter().enumerate().map(|(i, x_hat)| {
        let z = x_hat * weight(i).0 + weight(i).1;
        if silu { z / (1.0 + (-z).exp()) } else { z }
    });
    (y.collect(), normalized.d_x)
}

fn inputs(shape: [usize; 3], seed: u64) -> [Tensor; 3] {
    [Tensor::random(&shape, seed), Tensor::random(&[shape[2]], seed + 1), Tensor::random(&[shape[2]], seed + 2)]
}

#[test]
fn matches_plain_loops_mid_graph() {
    let cases = [
        ([1, 1, 4], 1, false),
        ([2, 1, 12], 3, true),
        ([2, 127, 20], 2, true),
        ([3, 15, 8], 8, false),
        ([1, 17, 8], 2, true),
        ([2, 65, 60], 6, true),
    ];
    for (shape, groups, silu) in cases {
        let inputs = inputs(shape, 7);
        let upstream = Tensor::random(&shape, 3);
        // The norm is followed by y + y, so that its upstream gradient is itself a computed value.
        let doubled: Vec<f32> = upstream.data.iter().map(|d| 2.0 * d).collect();
        let (y, d_x) = plain(&inputs, groups, silu, &doubled);
        let expected: Vec<f64> = y.iter().map(|y| 2.0 * y).collect();
        for device in devices() {
            let twice = |tape: &mut Tape, values: &[Value]| {
                let y = record(groups, silu)(tape, values)[0];
                vec![ops::add(tape, y, y)]
            };
            let result = evaluate_with_gradients(&device.gpu, &inputs, twice, &upstream, &[0]);
            let what = format!("{shape:?} in {groups} groups on {}", device.name);
            assert_close(&what, &result.outputs[0], &expected, TOLERANCE);
            assert_close(&what, result.gradients[0].as_ref().unwrap(), &d_x, TOLERANCE);
        }
    }
}

#[test]
fn bands_give_the_same_bits_as_one_launch() {
    let (shape, groups) = ([2, 53, 20], 4);
    let inputs = inputs(shape, 11);
    let upstream = Tensor::random(&shape, 3);
    let run = |device: &crate::support::Device| {
        let result = evaluate_with_gradients(&device.gpu, &inputs, record(groups, true), &upstream, &[0]);
        (result.outputs, result.gradients)
    };
    let whole = run(&devices()[1]);
    let banded = run(devices_and_bands().last().unwrap());
    assert!(whole == banded);
}

/// E[x²] − E[x]² would leave nothing here: the mean is 4,000 standard deviations off zero.
#[test]
fn a_large_mean_does_not_cancel() {
    let mut inputs = inputs([1, 300, 8], 5);
    inputs[0].data.iter_mut().for_each(|value| *value = *value * 0.25 + 1000.0);
    let (y, _) = plain(&inputs, 2, false, &vec![0.0; 2400]);
    for device in devices() {
        let outputs = evaluate(&device.gpu, &inputs, record(2, false));
        // x − mean is exact; the rounding of the mean itself, 3e-5, is 1e-4 standard deviations.
        assert_close(device.name, &outputs[0], &y, 2e-4);
    }
}
