//! Activations, element by element.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Backward, Lowering, Op, Tape, Value},
};

use super::bands::launch_elementwise;

const FILE: &str = "activation.wgsl";

#[derive(Clone, Copy, Debug)]
enum Activation {
    Silu,
    Gelu,
    QuickGelu,
}

#[derive(Debug)]
struct ActivationBackward(Activation);

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
}

/// `x·σ(x)` (Elfwing, Uchibe and Doya 2017).
pub fn silu(tape: &mut Tape, x: Value) -> Value {
    activate(tape, Activation::Silu, x)
}

/// `x·Φ(x)`, the exact GELU (Hendrycks and Gimpel 2016), to a relative accuracy of 1e-6.
pub fn gelu(tape: &mut Tape, x: Value) -> Value {
    activate(tape, Activation::Gelu, x)
}

/// `x·σ(1.702·x)`, CLIP's activation.
pub fn quick_gelu(tape: &mut Tape, x: Value) -> Value {
    activate(tape, Activation::QuickGelu, x)
}

fn activate(tape: &mut Tape, activation: Activation, x: Value) -> Value {
    let shape = tape.shape(x).to_vec();
    tape.push_one(activation, &[x], &shape)
}

impl Op for Activation {
    fn name(&self) -> &'static str {
        match self {
            Self::Silu => "silu",
            Self::Gelu => "gelu",
            Self::QuickGelu => "quick_gelu",
        }
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let entry = match self {
            Self::Silu => "silu_forward",
            Self::Gelu => "gelu_forward",
            Self::QuickGelu => "quick_gelu_forward",
        };
        let values = [lowering.input(0), lowering.output(0)];
        let kernel = KernelSpec::new(FILE, entry, &[Read, Write]);
        launch_elementwise(lowering, &kernel, &values, Cost { flops: 10, bytes: 8 }, |count| Params { count });
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        // y = f(x): d_x = d_y·f'(x)
        let (x, d_out) = (backward.input(0), backward.d_output(0));
        let shape = backward.tape.shape(x).to_vec();
        let d_x = backward.tape.push_one(ActivationBackward(*self), &[x, d_out], &shape);
        backward.give(0, d_x);
    }
}

impl Op for ActivationBackward {
    fn name(&self) -> &'static str {
        match self.0 {
            Activation::Silu => "silu_backward",
            Activation::Gelu => "gelu_backward",
            Activation::QuickGelu => "quick_gelu_backward",
        }
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        // Ops and entry points of the gradients bear the same names.
        let values = [lowering.input(0), lowering.input(1), lowering.output(0)];
        let kernel = KernelSpec::new(FILE, self.name(), &[Read, Read, Write]);
        launch_elementwise(lowering, &kernel, &values, Cost { flops: 14, bytes: 12 }, |count| Params { count });
    }
}
