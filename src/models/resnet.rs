//! diffusers' `ResnetBlock2D`, with and without a timestep embedding.

use crate::{
    nn::{Builder, Conv3x3, GroupNorm, Linear, Recording},
    ops::{self, ConvGeometry},
    tape::Value,
};

/// norm, SiLU, conv, + timestep, norm, SiLU, conv, + shortcut.
#[derive(Clone, Debug)]
pub(super) struct ResnetBlock {
    path: String,
    norm1: GroupNorm,
    conv1: Conv3x3,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv3x3,
    conv_shortcut: Option<Linear>,
}

impl ResnetBlock {
    /// `time_width` is the width of the timestep embedding where the block takes one.
    pub fn new(
        builder: &Builder<'_>,
        in_channels: usize,
        out_channels: usize,
        time_width: Option<usize>,
        eps: f32,
    ) -> Self {
        let shortcut = || Linear::new(&builder.child("conv_shortcut"), in_channels, out_channels);
        Self {
            path: builder.path().to_owned(),
            norm1: GroupNorm::new(&builder.child("norm1"), in_channels, eps),
            conv1: Conv3x3::new(&builder.child("conv1"), in_channels, out_channels, ConvGeometry::Same),
            time_emb_proj: time_width.map(|width| Linear::new(&builder.child("time_emb_proj"), width, out_channels)),
            norm2: GroupNorm::new(&builder.child("norm2"), out_channels, eps),
            conv2: Conv3x3::new(&builder.child("conv2"), out_channels, out_channels, ConvGeometry::Same),
            conv_shortcut: (in_channels != out_channels).then(shortcut),
        }
    }

    /// `x`: (B, H, W, C); `time`: SiLU of the timestep embedding, (B, T), for blocks that take one.
    pub fn forward(&self, recording: &mut Recording<'_>, x: Value, time: Option<Value>) -> Value {
        let mut hidden = self.norm1.forward_silu(recording.tape, x);
        hidden = self.conv1.forward(recording, hidden);
        if let (Some(projection), Some(time)) = (&self.time_emb_proj, time) {
            let shift = projection.forward(recording, time);
            hidden = recording.tape.scope(&self.path, |tape| ops::add_channels(tape, hidden, shift));
        }
        hidden = self.norm2.forward_silu(recording.tape, hidden);
        hidden = self.conv2.forward(recording, hidden);
        let shortcut = match &self.conv_shortcut {
            Some(projection) => projection.forward(recording, x),
            None => x,
        };
        let out = recording.tape.scope(&self.path, |tape| ops::add(tape, shortcut, hidden));
        recording.tape.observe(&self.path, out);
        out
    }
}
