//! Linear layers and 1×1 convolutions, which are the same thing with channels last.

use crate::{
    ops,
    tape::{Tape, Value},
};

use super::{Adapters, Builder, Weight};

/// y = x·Wᵀ + b, plus its LoRA where one is given.
#[derive(Clone, Debug)]
pub struct Linear {
    path: String,
    weight: Weight,       // (out, in)
    bias: Option<Weight>, // (out)
}

impl Linear {
    pub fn new(builder: &Builder<'_>, in_features: usize, out_features: usize) -> Self {
        Self {
            bias: Some(builder.vector("bias", out_features)),
            ..Self::without_bias(builder, in_features, out_features)
        }
    }

    pub fn without_bias(builder: &Builder<'_>, in_features: usize, out_features: usize) -> Self {
        builder.adaptable(in_features, out_features);
        let weight = builder.matrix("weight", in_features, out_features);
        Self { path: builder.path().to_owned(), weight, bias: None }
    }

    /// `x`: (…, in) to (…, out).
    pub fn forward(&self, tape: &mut Tape, x: Value, adapters: &Adapters) -> Value {
        let weight = self.weight.on(tape);
        let bias = self.bias.as_ref().map(|bias| bias.on(tape));
        tape.scope(&self.path, |tape| match adapters.get(&self.path) {
            Some(adapter) => ops::lora_linear(tape, x, weight, bias, adapter.down, adapter.up, adapter.scale),
            None => ops::linear(tape, x, weight, bias),
        })
    }
}
