//! The factor that keeps f16 gradients in range (Micikevicius et al., <https://arxiv.org/abs/1710.03740>).

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Lowering, Op, Tape, Value},
};

#[derive(Debug)]
struct LossScale {
    interval: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    interval: f32,
}

/// Moves `state` (4) — the scale, and the updates since it changed — on by one update, by what [`super::grad_norm`] found
/// (`clip`): the scale is halved where a gradient was not finite, and doubled after `interval` updates in a row where all
/// were, as `torch.amp.GradScaler` does. `state` lies in a buffer that outlives the program.
///
/// # Panics
/// Where `state` or `clip` is not (4).
pub fn advance_loss_scale(tape: &mut Tape, state: Value, clip: Value, interval: u32) {
    assert_eq!((tape.elements(state), tape.elements(clip)), (4, 4), "loss_scale: sizes of state and clip");
    tape.push_effect(LossScale { interval }, &[state, clip]);
}

impl Op for LossScale {
    fn name(&self) -> &'static str {
        "loss_scale"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let kernel = KernelSpec::new("loss_scale.wgsl", "advance", &[Write, Read]);
        let args = vec![lowering.input(0).into(), lowering.input(1).into()];
        let params = Params { interval: self.interval as f32 };
        lowering.launch(kernel, args, &params, [1, 1, 1], Cost { flops: 2, bytes: 48 });
    }
}
