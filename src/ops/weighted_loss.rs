//! The training loss: what a sample's prediction differs from its target by, weighed and summed, with its gradient.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Arg, DType, Lowering, Op, Tape, Value},
};

const FILE: &str = "weighted_loss.wgsl";
/// Bindings of `measure` that every kind has.
const COMMON_BINDINGS: u32 = 6;

/// How the difference d of an element counts, in the words of sd-scripts' `loss_type`. c is the sample's threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LossKind {
    /// d².
    #[default]
    L2,
    /// |d|.
    L1,
    /// 2c·(√(d² + c²) − c): d² where |d| is far below c, 2c·|d| far above.
    Huber,
    /// 2·(√(d² + c²) − c): d²/c where |d| is far below c, 2·|d| far above.
    SmoothL1,
}

impl LossKind {
    /// Whether the loss depends on a threshold.
    pub fn has_threshold(self) -> bool {
        matches!(self, Self::Huber | Self::SmoothL1)
    }
}

/// What a prediction (B, …, C) is held against, and how.
#[derive(Clone, Copy, Debug)]
pub struct LossInputs {
    pub kind: LossKind,
    /// In the prediction's shape.
    pub target: Value,
    /// (B): a sample's share of the loss. A mean over the batch, min-SNR weights, padding and gradient accumulation all
    /// go into it.
    pub weight: Value,
    /// (1 or more): the first multiplies the gradient.
    pub loss_scale: Value,
    /// (B), above 0: for the kinds that have a threshold.
    pub threshold: Option<Value>,
    /// (B, …), the prediction's shape without C: what an element's loss is multiplied by. The mean stays over all
    /// elements, so that a small mask makes a small loss.
    pub mask: Option<Value>,
}

/// What [`weighted_loss`] records.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// (1): the weighted sum.
    pub loss: Value,
    /// Gradient of `loss` by the prediction times the loss scale, in its shape: the seed of [`Tape::backward`].
    pub d_prediction: Value,
    /// (B): each sample's mean loss, masked and not weighed.
    pub samples: Value,
}

#[derive(Clone, Copy, Debug)]
struct WeightedLoss {
    kind: LossKind,
    masked: bool,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    samples: u32,
    per_sample: u32,
    per_pixel: u32,
}

/// `Σ_b weight_b · mean(mask_b · kind(prediction_b − target_b))` for a `prediction` (B, …, C).
///
/// # Panics
/// Where the shapes do not fit together, the prediction is not in f32, a sample or a masked pixel has no multiple of 4
/// elements, or there is a threshold too many or too few.
pub fn weighted_loss(tape: &mut Tape, prediction: Value, inputs: &LossInputs) -> Loss {
    check(tape, prediction, inputs);
    let &LossInputs { kind, target, weight, loss_scale, threshold, mask } = inputs;
    let shape = tape.shape(prediction).to_vec();
    let f32 = DType::F32;
    let outputs: [(&str, &[usize], DType); 3] =
        [("loss", &[1], f32), ("d_prediction", &shape, f32), ("samples", &shape[..1], f32)];
    let mut read = vec![prediction, target, weight, loss_scale];
    read.extend(threshold.into_iter().chain(mask));
    let values = tape.push(WeightedLoss { kind, masked: mask.is_some() }, &read, &outputs);
    Loss { loss: values[0], d_prediction: values[1], samples: values[2] }
}

fn check(tape: &Tape, prediction: Value, inputs: &LossInputs) {
    let &LossInputs { kind, target, weight, threshold, mask, .. } = inputs;
    let shape = tape.shape(prediction);
    let batch = [shape[0]];
    assert_eq!(shape, tape.shape(target), "weighted_loss: target of a prediction {shape:?}");
    assert_eq!(tape.dtype(prediction), DType::F32, "weighted_loss: the prediction is F32");
    assert_eq!(tape.shape(weight), batch, "weighted_loss: weight of a prediction {shape:?}");
    assert_eq!(tape.elements(prediction) / shape[0] % 4, 0, "weighted_loss: samples of {shape:?} are no multiple of 4");
    assert_eq!(threshold.is_some(), kind.has_threshold(), "weighted_loss: whether {kind:?} has a threshold");
    if let Some(threshold) = threshold {
        assert_eq!(tape.shape(threshold), batch, "weighted_loss: threshold of a prediction {shape:?}");
    }
    if let Some(mask) = mask {
        let (channels, pixels) = shape.split_last().expect("a batch is an axis");
        assert_eq!(tape.shape(mask), pixels, "weighted_loss: mask of a prediction {shape:?}");
        assert_eq!(channels % 4, 0, "weighted_loss: a mask over {shape:?}, whose pixels are no multiple of 4");
    }
}

impl WeightedLoss {
    /// The kernel that reads threshold and mask, where there are any, after what every kind has.
    fn measure(self) -> KernelSpec {
        let mut bindings = vec![Read, Read, Read, Write, Write, Read];
        bindings.extend([self.kind.has_threshold(), self.masked].into_iter().filter(|&on| on).map(|_| Read));
        let kernel = KernelSpec::new(FILE, "measure", &bindings);
        let kernel = match self.kind {
            LossKind::L2 => kernel.import("shared/loss_l2.wgsl"),
            LossKind::L1 => kernel.import("shared/loss_l1.wgsl"),
            LossKind::Huber => kernel.import("shared/loss_pseudo_huber.wgsl").constant("TIMES_THRESHOLD", 1),
            LossKind::SmoothL1 => kernel.import("shared/loss_pseudo_huber.wgsl").constant("TIMES_THRESHOLD", 0),
        };
        if self.masked {
            let binding = COMMON_BINDINGS + 1 + u32::from(self.kind.has_threshold());
            kernel.import("shared/loss_mask.wgsl").constant("MASK_BINDING", binding)
        } else {
            kernel.import("shared/loss_whole.wgsl")
        }
    }

    /// Operations on an element: the difference, its loss and its slope.
    fn flops(self) -> u64 {
        let kind = if self.kind.has_threshold() { 12 } else { 4 };
        kind + 2 * u64::from(self.masked)
    }
}

impl Op for WeightedLoss {
    fn name(&self) -> &'static str {
        "weighted_loss"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [prediction, target, weight, loss_scale] = [0, 1, 2, 3].map(|index| lowering.input(index));
        let [loss, d_prediction, samples] = [0, 1, 2].map(|index| lowering.output(index));
        let (batch, elements) = (lowering.elements(weight), lowering.elements(prediction) as u64);
        let channels = lowering.shape(prediction).last().map_or(1, |&channels| channels);
        let params = Params {
            samples: batch as u32,
            per_sample: elements as u32 / batch as u32 / 4,
            per_pixel: channels as u32 / 4,
        };
        let mut bound = vec![prediction, target, weight, samples, d_prediction, loss_scale];
        bound.extend((4..lowering.input_count()).map(|index| lowering.input(index)));
        let args = bound.into_iter().map(Arg::from).collect();
        let bytes = 12 * elements + if self.masked { 4 * elements / channels as u64 } else { 0 };
        let cost = Cost { flops: self.flops() * elements, bytes };
        lowering.launch(self.measure(), args, &params, [batch as u32, 1, 1], cost);
        let kernel = KernelSpec::new(FILE, "total", &[Read, Read, Write]);
        let kernel = kernel.import("shared/loss_l2.wgsl").import("shared/loss_whole.wgsl");
        let cost = Cost { flops: 2 * batch as u64, bytes: 8 * batch as u64 };
        lowering.launch(kernel, vec![samples.into(), weight.into(), loss.into()], &params, [1, 1, 1], cost);
    }
}
