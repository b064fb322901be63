//! The update: the norm of all gradients, its clipping, whatever applies them, and the loss scale.

use crate::{
    adapters::Store,
    gpu::{Buffer, Gpu, GpuError, Pending},
    ops,
    tape::{DType, Input, Program, Tape, Value},
};

/// As `torch.amp.GradScaler` begins, and after how many updates it tries a larger factor.
const FIRST_LOSS_SCALE: f32 = 65_536.0;
const LOSS_SCALE_INTERVAL: u32 = 2000;

/// The name under which an update keeps what it found.
const CLIP: &str = "clip";

/// What gradients are multiplied by while they are computed, so that those of f16 activations are not too small for their
/// type; see [`ops::advance_loss_scale`].
pub struct LossScale {
    buffer: Buffer,
    first: f32,
    moves: bool,
}

impl LossScale {
    /// For activations of a type: 1 for all but f16.
    pub fn for_activations(activations: DType) -> Self {
        let half = activations == DType::F16;
        Self { moves: half, ..Self::starting_at(if half { FIRST_LOSS_SCALE } else { 1.0 }) }
    }

    /// One that begins at `first`, and moves where it is not 1.
    pub fn starting_at(first: f32) -> Self {
        Self { buffer: Buffer::declare("loss scale", 16), first, moves: first != 1.0 }
    }

    /// Puts the scale onto a tape, (4), of which the first counts.
    pub fn on(&self, tape: &mut Tape) -> Value {
        tape.external("loss scale", &[4], DType::F32, &self.buffer.whole())
    }

    /// Begins anew.
    pub fn reset(&self, gpu: &Gpu) {
        gpu.upload(&self.buffer.whole(), bytemuck::cast_slice(&[self.first, 0.0, 0.0, 0.0]));
    }
}

/// The inputs of a recorded update.
pub struct RecordedUpdate {
    numbers: Vec<Input>,
    max_grad_norm: Input,
}

/// Numbers of one update.
#[derive(Clone, Debug)]
pub struct UpdateNumbers {
    /// What whatever applies the gradients wants to know, input by input.
    pub numbers: Vec<Vec<f32>>,
    /// 0: gradients are not clipped.
    pub max_grad_norm: f64,
}

/// Records the update of `store`: `apply` is handed [`ops::grad_norm`]'s clipping factor (4) and inputs of as many numbers
/// as `sizes` says.
pub fn record_update(
    store: &Store,
    scale: &LossScale,
    sizes: &[usize],
    apply: impl FnOnce(&mut Tape, Value, &[Value]),
) -> (Tape, RecordedUpdate) {
    let mut tape = Tape::new();
    let input = |(index, &size): (usize, &usize)| tape.input(&format!("numbers {index}"), &[size]);
    let inputs: Vec<Input> = sizes.iter().enumerate().map(input).collect();
    let max_grad_norm = tape.input("max_grad_norm", &[1]);
    let gradients: Vec<Value> = store.trained().map(|(_, shard)| shard.on(&mut tape, &shard.accumulated)).collect();
    let loss_scale = scale.on(&mut tape);
    let clip = ops::grad_norm(&mut tape, &gradients, max_grad_norm.value, loss_scale);
    let values: Vec<Value> = inputs.iter().map(|input| input.value).collect();
    apply(&mut tape, clip, &values);
    if scale.moves {
        ops::advance_loss_scale(&mut tape, loss_scale, clip, LOSS_SCALE_INTERVAL);
    }
    tape.keep(CLIP, clip);
    (tape, RecordedUpdate { numbers: inputs, max_grad_norm })
}

impl RecordedUpdate {
    /// Writes the numbers of an update and submits it.
    pub fn start(&self, gpu: &Gpu, program: &Program, numbers: &UpdateNumbers) -> PendingUpdate {
        assert_eq!(self.numbers.len(), numbers.numbers.len(), "numbers of an update");
        for (&input, numbers) in self.numbers.iter().zip(&numbers.numbers) {
            program.write(gpu, input, numbers);
        }
        program.write(gpu, self.max_grad_norm, &[numbers.max_grad_norm as f32]);
        program.replay(gpu);
        PendingUpdate { clip: program.read_later(gpu, CLIP) }
    }
}

/// Results of an update, on their way.
pub struct PendingUpdate {
    clip: Pending,
}

/// What an update found.
#[derive(Clone, Copy, Debug)]
pub struct UpdateResult {
    /// Norm over all gradients, before clipping.
    pub grad_norm: f64,
    /// Where false, nothing was updated.
    pub finite: bool,
    /// What the gradients were multiplied by while they were computed.
    pub loss_scale: f64,
}

impl PendingUpdate {
    /// Waits for the result.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn wait(self, gpu: &Gpu) -> Result<UpdateResult, GpuError> {
        let clip: Vec<f32> = bytemuck::pod_collect_to_vec(&self.clip.wait(gpu)?);
        let [grad_norm, loss_scale] = [clip[0], clip[3]].map(f64::from);
        Ok(UpdateResult { grad_norm, finite: clip[2] != 0.0, loss_scale })
    }
}
