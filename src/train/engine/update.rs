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

/// What an update's recording hands to whatever applies the gradients.
#[derive(Clone, Copy)]
pub struct UpdateValues<'a> {
    /// [`ops::grad_norm`]'s (4).
    pub clip: Value,
    /// One for each parameter group.
    pub settings: &'a [Value],
}

/// The inputs of a recorded update.
pub struct RecordedUpdate {
    settings: Vec<Input>,
    max_grad_norm: Input,
}

/// Numbers of one update.
#[derive(Clone, Debug)]
pub struct UpdateNumbers {
    /// Of each parameter group.
    pub settings: Vec<Vec<f32>>,
    /// 0: gradients are not clipped.
    pub max_grad_norm: f64,
}

/// Records the update of `store`: `apply` is handed the clipping factor and, for each of `groups` groups, an input of
/// `settings` numbers.
pub fn record_update(
    store: &Store,
    scale: &LossScale,
    [groups, settings]: [usize; 2],
    apply: impl FnOnce(&mut Tape, UpdateValues<'_>),
) -> (Tape, RecordedUpdate) {
    let mut tape = Tape::new();
    let inputs: Vec<Input> = (0..groups).map(|group| tape.input(&format!("settings {group}"), &[settings])).collect();
    let max_grad_norm = tape.input("max_grad_norm", &[1]);
    let gradients = |(_, shard): (_, &crate::adapters::Shard)| {
        let buffer = &shard.accumulated;
        tape.external(buffer.label(), &[shard.elements], DType::F32, &buffer.whole())
    };
    let gradients: Vec<Value> = store.trained().map(gradients).collect();
    let loss_scale = scale.on(&mut tape);
    let clip = ops::grad_norm(&mut tape, &gradients, max_grad_norm.value, loss_scale);
    let values: Vec<Value> = inputs.iter().map(|input| input.value).collect();
    apply(&mut tape, UpdateValues { clip, settings: &values });
    if scale.moves {
        ops::advance_loss_scale(&mut tape, loss_scale, clip, LOSS_SCALE_INTERVAL);
    }
    tape.keep(CLIP, clip);
    (tape, RecordedUpdate { settings: inputs, max_grad_norm })
}

impl RecordedUpdate {
    /// Writes the numbers of an update and submits it.
    pub fn start(&self, gpu: &Gpu, program: &Program, numbers: &UpdateNumbers) -> PendingUpdate {
        for (&input, settings) in self.settings.iter().zip(&numbers.settings) {
            program.write(gpu, input, settings);
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
