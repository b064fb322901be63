//! 3×3 convolutions.

use crate::{
    ops::{self, ConvGeometry},
    tape::{Tape, Value},
};

use crate::weights::lora::SiteKind;

use super::{Adapter, Builder, Recording, Weight};

/// A 3×3 convolution with bias.
#[derive(Clone, Debug)]
pub struct Conv3x3 {
    path: String,
    weight: Weight, // nine (in, out), perhaps in panels
    bias: Weight,   // (out)
    geometry: ConvGeometry,
}

impl Conv3x3 {
    pub fn new(builder: &Builder<'_>, in_channels: usize, out_channels: usize, geometry: ConvGeometry) -> Self {
        builder.site(SiteKind::Conv3x3, in_channels, out_channels);
        Self {
            path: builder.path().to_owned(),
            weight: builder.conv3x3("weight", in_channels, out_channels),
            bias: builder.vector("bias", out_channels),
            geometry,
        }
    }

    /// `x`: (B, H, W, in) to (B, H', W', out).
    pub fn forward(&self, recording: &mut Recording<'_>, x: Value) -> Value {
        let adapter = recording.adapter(&self.path);
        let (weight, bias) = (self.weight.on(recording.tape), Some(self.bias.on(recording.tape)));
        recording.tape.scope(&self.path, |tape| match adapter {
            None => ops::conv3x3(tape, x, weight, bias, self.geometry),
            Some(Adapter::LowRank(lora)) => {
                let base = ops::conv3x3(tape, x, weight, bias, self.geometry);
                let down = ops::conv_taps(tape, lora.down);
                let hidden = ops::conv3x3(tape, x, down, None, self.geometry);
                let update = lora.update(tape, hidden);
                ops::add(tape, base, update)
            }
            Some(Adapter::Weight(adapted)) => {
                let weight = adapted(tape, weight);
                ops::conv3x3(tape, x, weight, bias, self.geometry)
            }
        })
    }

    /// As [`Self::forward`], without an adapter.
    pub fn frozen(&self, tape: &mut Tape, x: Value) -> Value {
        self.forward(&mut Recording::frozen(tape), x)
    }
}
