use lora_wgpu::{
    ops::{self, LossInputs, LossKind},
    tape::{Tape, Value},
};

use crate::support::{Device, Fixture, Tensor, assert_close, devices, evaluate};

const KINDS: [(LossKind, &str); 4] =
    [(LossKind::L2, "l2"), (LossKind::L1, "l1"), (LossKind::Huber, "huber"), (LossKind::SmoothL1, "smooth_l1")];

/// A loss scale that changes nothing.
fn one() -> Tensor {
    Tensor::new(&[4], vec![1.0, 7.0, 7.0, 7.0])
}

/// What a loss is computed from on the host.
#[derive(Clone)]
struct Case {
    kind: LossKind,
    prediction: Tensor,
    target: Tensor,
    weight: Tensor,
    threshold: Tensor,
    mask: Option<Tensor>,
}

impl Case {
    /// Random pictures (B, …, C); differences are spread over four decades, so that thresholds lie among them.
    fn random(kind: LossKind, shape: &[usize], masked: bool) -> Self {
        let mut prediction = Tensor::random(shape, 1);
        let target = Tensor::random(shape, 2);
        for (index, (p, t)) in prediction.data.iter_mut().zip(&target.data).enumerate() {
            *p = t + *p * 10f32.powi(index as i32 % 5 - 3);
        }
        let batch = shape[0];
        let spread = |first: f32| (0..batch).map(|sample| first + 0.3 * sample as f32).collect();
        let (_, pixels) = shape.split_last().unwrap();
        let clamp = |mut mask: Tensor| {
            mask.data.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
            mask
        };
        Self {
            kind,
            prediction,
            target,
            weight: Tensor::new(&[batch], spread(0.3)),
            threshold: Tensor::new(&[batch], spread(0.1)),
            mask: masked.then(|| clamp(Tensor::random(pixels, 3))),
        }
    }

    /// Loss, gradient and samples on a device.
    fn run(&self, device: &Device, loss_scale: Tensor) -> Vec<Vec<f32>> {
        let Self { kind, prediction, target, weight, threshold, mask } = self.clone();
        let mut inputs = vec![prediction, target, weight, loss_scale];
        inputs.extend(kind.has_threshold().then_some(threshold));
        let masked = mask.is_some();
        inputs.extend(mask);
        evaluate(&device.gpu, &inputs, |tape, values| record(tape, values, kind, masked))
    }

    /// The same by loops in f64.
    fn expected(&self) -> [Vec<f64>; 3] {
        let per_sample = self.prediction.data.len() / self.prediction.shape[0];
        let channels = *self.prediction.shape.last().unwrap();
        let (mut loss, mut d_prediction, mut samples) = (0.0, Vec::new(), Vec::new());
        for (sample, weight) in self.weight.data.iter().map(|&weight| f64::from(weight)).enumerate() {
            let c = f64::from(self.threshold.data[sample]);
            let mut sum = 0.0;
            for at in sample * per_sample..(sample + 1) * per_sample {
                let d = f64::from(self.prediction.data[at]) - f64::from(self.target.data[at]);
                let mask = self.mask.as_ref().map_or(1.0, |mask| f64::from(mask.data[at / channels]));
                let root = (d * d + c * c).sqrt();
                let (value, slope) = match self.kind {
                    LossKind::L2 => (d * d, 2.0 * d),
                    LossKind::L1 => (d.abs(), if d == 0.0 { 0.0 } else { d.signum() }),
                    LossKind::Huber => (2.0 * c * (root - c), 2.0 * c * d / root),
                    LossKind::SmoothL1 => (2.0 * (root - c), 2.0 * d / root),
                };
                sum += mask * value;
                d_prediction.push(mask * slope * weight / per_sample as f64);
            }
            samples.push(sum / per_sample as f64);
            loss += weight * samples[sample];
        }
        [vec![loss], d_prediction, samples]
    }
}

fn record(tape: &mut Tape, values: &[Value], kind: LossKind, masked: bool) -> Vec<Value> {
    let inputs = LossInputs {
        kind,
        target: values[1],
        weight: values[2],
        loss_scale: values[3],
        threshold: kind.has_threshold().then(|| values[4]),
        mask: masked.then(|| values[values.len() - 1]),
    };
    let loss = ops::weighted_loss(tape, values[0], &inputs);
    vec![loss.loss, loss.d_prediction, loss.samples]
}

#[test]
fn the_loss_scale_multiplies_the_gradient_alone() {
    let case = Case::random(LossKind::L2, &[2, 8, 4], false);
    for device in devices() {
        let (plain, scaled) = (case.run(device, one()), case.run(device, Tensor::new(&[1], vec![1024.0])));
        assert_eq!((&plain[0], &plain[2]), (&scaled[0], &scaled[2]), "{}", device.name);
        assert!(plain[1].iter().zip(&scaled[1]).all(|(plain, scaled)| 1024.0 * plain == *scaled), "{}", device.name);
    }
}

#[test]
fn matches_pytorch() {
    let fixture = Fixture::open("weighted_loss");
    let [prediction, target, weight, threshold, mask] =
        ["prediction", "target", "weight", "threshold", "mask"].map(|name| fixture.tensor(name));
    for (kind, name) in KINDS {
        for masked in [false, true] {
            let tensors = (prediction.clone(), target.clone(), weight.clone(), threshold.clone());
            let (prediction, target, weight, threshold) = tensors;
            let case = Case { kind, prediction, target, weight, threshold, mask: masked.then(|| mask.clone()) };
            let prefix = format!("{name}{}", if masked { "_masked" } else { "" });
            for device in devices() {
                let outputs = case.run(device, one());
                let what = format!("{prefix} on {}", device.name);
                for (output, name) in outputs.iter().zip(["loss", "d_prediction", "samples"]) {
                    assert_close(&what, output, &fixture.expected(&format!("{prefix}/{name}")), 2e-7);
                }
            }
        }
    }
}

#[test]
fn the_loss_is_accurate_to_a_tenth_of_a_millionth() {
    for shape in [vec![1, 1, 4], vec![2, 11, 13, 4], vec![1, 64, 64, 4], vec![1, 128, 128, 4]] {
        check_against_loops(&Case::random(LossKind::L2, &shape, false), 1e-7);
    }
}

/// The square root is accurate to 2.5 units in the last place by WGSL's rules, which the others share.
#[test]
fn every_kind_matches_loops_with_and_without_a_mask() {
    for (kind, _) in KINDS {
        for (shape, masked) in
            [(vec![1, 1, 4], false), (vec![2, 11, 13, 4], false), (vec![2, 11, 13, 4], true), (vec![3, 5, 8], true)]
        {
            check_against_loops(&Case::random(kind, &shape, masked), 3e-7);
        }
    }
}

fn check_against_loops(case: &Case, tolerance: f64) {
    let [loss, d_prediction, samples] = case.expected();
    for device in devices() {
        let outputs = case.run(device, one());
        let what = format!("{:?} {:?} on {}", case.kind, case.prediction.shape, device.name);
        assert_close(&what, &outputs[2], &samples, tolerance);
        assert_close(&what, &outputs[0], &loss, 2.0 * tolerance);
        assert_close(&what, &outputs[1], &d_prediction, 3e-7);
    }
}

/// √(d² + c²) − c as it stands has no digit left there.
#[test]
fn a_difference_far_below_the_threshold_keeps_its_digits() {
    for kind in [LossKind::Huber, LossKind::SmoothL1] {
        let mut case = Case::random(kind, &[2, 8, 4], false);
        case.prediction.data.iter_mut().zip(&case.target.data).for_each(|(p, t)| *p = t + 1e-4 * t.abs());
        check_against_loops(&case, 3e-7);
    }
}

#[test]
fn a_mask_of_ones_changes_no_bit() {
    for (kind, _) in KINDS {
        let plain = Case::random(kind, &[2, 11, 13, 4], false);
        let masked = Case { mask: Some(Tensor::new(&[2, 11, 13], vec![1.0; 286])), ..plain.clone() };
        for device in devices() {
            assert_eq!(plain.run(device, one()), masked.run(device, one()), "{kind:?} on {}", device.name);
        }
    }
}

#[test]
fn an_exact_prediction_has_no_gradient() {
    for (kind, _) in KINDS {
        let case = Case::random(kind, &[2, 8, 4], false);
        let exact = Case { prediction: case.target.clone(), ..case };
        for device in devices() {
            assert!(exact.run(device, one()).concat().iter().all(|&value| value == 0.0), "{kind:?}");
        }
    }
}

#[test]
fn a_sample_of_weight_zero_has_no_part() {
    let case = Case::random(LossKind::L2, &[2, 8, 4], false);
    let case = Case { weight: Tensor::new(&[2], vec![0.0, 1.0]), ..case };
    for device in devices() {
        let outputs = case.run(device, one());
        assert!(outputs[1][..32].iter().all(|&value| value == 0.0));
        assert!(outputs[0][0] == outputs[2][1] && outputs[2][0] > 0.0);
    }
}
