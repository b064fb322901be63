//! 3×3 convolutions.

use crate::{
    ops::{self, ConvGeometry},
    tape::{Tape, Value},
};

use super::{Builder, Weight};

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
        Self {
            path: builder.path().to_owned(),
            weight: builder.conv3x3("weight", in_channels, out_channels),
            bias: builder.vector("bias", out_channels),
            geometry,
        }
    }

    /// `x`: (B, H, W, in) to (B, H', W', out).
    pub fn forward(&self, tape: &mut Tape, x: Value) -> Value {
        let (weight, bias) = (self.weight.on(tape), self.bias.on(tape));
        tape.scope(&self.path, |tape| ops::conv3x3(tape, x, weight, Some(bias), self.geometry))
    }
}
