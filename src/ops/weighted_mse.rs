//! The training loss: mean squared error per sample, weighed and summed, with its gradient.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Arg, DType, Lowering, Op, Tape, Value},
};

const FILE: &str = "weighted_mse.wgsl";

#[derive(Debug)]
struct WeightedMse;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    samples: u32,
    per_sample: u32,
}

/// What [`weighted_mse`] records.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// (1): the weighted sum.
    pub loss: Value,
    /// Gradient of `loss` by the prediction times the loss scale, in its shape: the seed of [`Tape::backward`].
    pub d_prediction: Value,
    /// (B): each sample's mean squared error, not weighed.
    pub samples: Value,
}

/// `Σ_b weight_b · mean((prediction_b − target_b)²)` for `prediction` and `target` (B, …) and `weight` (B). A mean over
/// the batch, min-SNR weights, padding and gradient accumulation all go into `weight`. The gradient is multiplied by the
/// first element of `loss_scale`.
///
/// # Panics
/// Where the shapes do not fit together, the prediction is not in f32, or a sample has no multiple of 4 elements.
pub fn weighted_mse(tape: &mut Tape, prediction: Value, target: Value, weight: Value, loss_scale: Value) -> Loss {
    let shape = tape.shape(prediction).to_vec();
    let batch = [shape[0]];
    assert_eq!(shape, tape.shape(target), "weighted_mse: target of a prediction {shape:?}");
    assert_eq!(tape.dtype(prediction), DType::F32, "weighted_mse: the prediction is F32");
    assert_eq!(tape.shape(weight), batch, "weighted_mse: weight of a prediction {shape:?}");
    assert_eq!(tape.elements(prediction) / shape[0] % 4, 0, "weighted_mse: samples of {shape:?} are no multiple of 4");
    let f32 = DType::F32;
    let outputs: [(&str, &[usize], DType); 3] =
        [("loss", &[1], f32), ("d_prediction", &shape, f32), ("samples", &batch, f32)];
    let values = tape.push(WeightedMse, &[prediction, target, weight, loss_scale], &outputs);
    Loss { loss: values[0], d_prediction: values[1], samples: values[2] }
}

impl Op for WeightedMse {
    fn name(&self) -> &'static str {
        "weighted_mse"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [prediction, target, weight, loss_scale] = [0, 1, 2, 3].map(|index| lowering.input(index));
        let [loss, d_prediction, samples] = [0, 1, 2].map(|index| lowering.output(index));
        let (batch, elements) = (lowering.elements(weight), lowering.elements(prediction) as u64);
        let params = Params { samples: batch as u32, per_sample: elements as u32 / batch as u32 / 4 };
        let kernel = KernelSpec::new(FILE, "measure", &[Read, Read, Read, Write, Write, Read]);
        let bound = [prediction, target, weight, samples, d_prediction, loss_scale];
        let args = bound.map(Arg::from).to_vec();
        let cost = Cost { flops: 4 * elements, bytes: 12 * elements };
        lowering.launch(kernel, args, &params, [batch as u32, 1, 1], cost);
        let kernel = KernelSpec::new(FILE, "total", &[Read, Read, Write]);
        let cost = Cost { flops: 2 * batch as u64, bytes: 8 * batch as u64 };
        lowering.launch(kernel, vec![samples.into(), weight.into(), loss.into()], &params, [1, 1, 1], cost);
    }
}
