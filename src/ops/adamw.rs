//! The AdamW optimizer over flat parameters (Loshchilov and Hutter 2019).

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Lowering, Op, Tape, Value},
};

use super::bands::flat_workgroups;

#[derive(Debug)]
struct AdamW;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
}

/// What a step depends on besides gradients and state; the names are those of `torch.optim.AdamW`.
#[derive(Clone, Copy, Debug)]
pub struct AdamWSettings {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub weight_decay: f64,
}

impl AdamWSettings {
    /// The `settings` input of [`adamw`] for step number `step`, from 1. Differences are taken in f64, as PyTorch takes
    /// them: 1 − beta2 is 1e-5 off where it is computed in f32.
    pub fn at_step(&self, step: u64) -> [f32; 8] {
        let Self { lr, beta1, beta2, eps, weight_decay } = *self;
        let step = step as f64;
        let step_size = lr / (1.0 - beta1.powf(step));
        let correction = (1.0 - beta2.powf(step)).sqrt();
        let settings = [1.0 - lr * weight_decay, 1.0 - beta1, beta2, 1.0 - beta2, step_size, correction, eps, 0.0];
        settings.map(|setting| setting as f32)
    }
}

/// The buffers that one [`adamw`] updates, all of the same size.
#[derive(Clone, Copy, Debug)]
pub struct AdamWState {
    pub parameters: Value,
    /// Running mean of the gradients.
    pub m: Value,
    /// Running mean of their squares.
    pub v: Value,
}

/// Updates `state` in place by one step with `gradients`, times the factor in `clip`, which [`super::grad_norm`]
/// computed. `settings` (8) come from [`AdamWSettings::at_step`]. Where `clip` says that gradients are not finite,
/// nothing is touched.
///
/// The parameters lie in buffers that outlive the program and within one binding; larger ones are split into shards.
///
/// # Panics
/// Where sizes differ or are no multiple of 4.
pub fn adamw(tape: &mut Tape, state: AdamWState, gradients: Value, clip: Value, settings: Value) {
    let AdamWState { parameters, m, v } = state;
    let count = tape.elements(parameters);
    assert_eq!(count % 4, 0, "adamw: {count} parameters are no multiple of 4");
    for value in [gradients, m, v] {
        assert_eq!(tape.elements(value), count, "adamw: size of {}", tape.name(value));
    }
    assert_eq!((tape.elements(clip), tape.elements(settings)), (4, 16), "adamw: sizes of clip and settings");
    tape.push_effect(AdamW, &[parameters, gradients, m, v, clip, settings]);
}

impl Op for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let count = lowering.elements(lowering.input(0)) / 4;
        let kernel = KernelSpec::new("adamw.wgsl", "step", &[Write, Read, Write, Write, Read, Read]);
        let args = (0..6).map(|index| lowering.input(index).into()).collect();
        let cost = Cost { flops: 60 * count as u64, bytes: 112 * count as u64 };
        lowering.launch(kernel, args, &Params { count: count as u32 }, flat_workgroups(count), cost);
    }
}
