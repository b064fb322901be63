//! Linear layers and 1×1 convolutions, which are the same thing with channels last.

use crate::{
    ops,
    tape::{Tape, Value},
};

use super::{Adapter, Builder, LowRank, Recording, Weight};

/// y = x·Wᵀ + b, plus its LoRA where one is given.
#[derive(Clone, Debug)]
pub struct Linear {
    path: String,
    weight: Weight,       // (out, in), perhaps in panels
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
        builder.linear_site(in_features, out_features);
        let weight = builder.matrix("weight", in_features, out_features);
        Self { path: builder.path().to_owned(), weight, bias: None }
    }

    /// A convolution over patches that do not overlap, without its bias: `x` holds the patches, each in the order
    /// (in_channels, size, size).
    pub fn of_patches(builder: &Builder<'_>, in_channels: usize, size: usize, out_channels: usize) -> Self {
        let weight = builder.patch_matrix("weight", in_channels, size, out_channels);
        Self { path: builder.path().to_owned(), weight, bias: None }
    }

    /// With a weight that another layer has too, and a bias of its own.
    pub fn tied(builder: &Builder<'_>, weight: Weight, out_features: usize) -> Self {
        let bias = builder.vector("bias", out_features);
        Self { path: builder.path().to_owned(), weight, bias: Some(bias) }
    }

    /// `x`: (…, in) to (…, out).
    pub fn forward(&self, recording: &mut Recording<'_>, x: Value) -> Value {
        let adapter = recording.adapter(&self.path);
        let weight = self.weight.on(recording.tape);
        let bias = self.bias.as_ref().map(|bias| bias.on(recording.tape));
        recording.tape.scope(&self.path, |tape| match adapter {
            None => ops::linear(tape, x, weight, bias),
            Some(&Adapter::LowRank(LowRank { down, up, scale, dropped: None, .. })) => {
                ops::lora_linear(tape, x, weight, bias, down, up, scale)
            }
            Some(Adapter::LowRank(lora)) => {
                let base = ops::linear(tape, x, weight, bias);
                let hidden = ops::linear(tape, x, lora.down, None);
                let update = lora.update(tape, hidden);
                ops::add(tape, base, update)
            }
            Some(Adapter::Weight(adapted)) => {
                let weight = adapted(tape, weight);
                ops::linear(tape, x, weight, bias)
            }
        })
    }

    /// As [`Self::forward`], without an adapter.
    pub fn frozen(&self, tape: &mut Tape, x: Value) -> Value {
        self.forward(&mut Recording::frozen(tape), x)
    }
}
