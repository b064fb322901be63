//! The U-Net: diffusers' `UNet2DConditionModel` as Stable Diffusion v1 configures it.

mod blocks;
mod config;
mod transformer;

pub use config::UNetConfig;

use crate::{
    nn::{Builder, Conv3x3, GroupNorm, Linear, Recording},
    ops::{self, ConvGeometry},
    tape::{DType, Value},
};

use blocks::{Conditions, DownBlock, MidBlock, UpBlock};

/// Eps of every GroupNorm in resnets and of `conv_norm_out`.
const EPS: f32 = 1e-5;

/// Predicts the noise (or v) in noisy latents.
#[derive(Clone, Debug)]
pub struct UNet {
    pub config: UNetConfig,
    time_linear_1: Linear,
    time_linear_2: Linear,
    conv_in: Conv3x3,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv3x3,
}

/// What the U-Net is given.
#[derive(Clone, Copy, Debug)]
pub struct UNetInputs {
    /// Noisy latents, (B, H, W, 4).
    pub sample: Value,
    /// Sinusoidal embedding, (B, C₀), see [`ops::timestep_embedding`].
    pub timestep: Value,
    /// Text embeddings, (B, M, D).
    pub context: Value,
}

impl UNet {
    pub fn new(builder: &Builder<'_>, config: UNetConfig) -> Self {
        let first = config.block_out_channels[0];
        let time = config.time_width();
        let embedding = builder.child("time_embedding");
        Self {
            time_linear_1: Linear::new(&embedding.child("linear_1"), first, time),
            time_linear_2: Linear::new(&embedding.child("linear_2"), time, time),
            conv_in: Conv3x3::new(&builder.child("conv_in"), config.in_channels, first, ConvGeometry::Same),
            down_blocks: DownBlock::all(builder, &config),
            mid_block: MidBlock::new(&builder.child("mid_block"), &config),
            up_blocks: UpBlock::all(builder, &config),
            conv_norm_out: GroupNorm::new(&builder.child("conv_norm_out"), first, EPS),
            conv_out: Conv3x3::new(&builder.child("conv_out"), first, config.out_channels, ConvGeometry::Same),
            config,
        }
    }

    /// Records the forward pass with activations stored as F32 or F16; gives (B, H, W, 4) in F32, for any H and W.
    pub fn predict(&self, recording: &mut Recording<'_>, inputs: UNetInputs, activations: DType) -> Value {
        let [sample, context] =
            [inputs.sample, inputs.context].map(|value| ops::convert(recording.tape, value, activations));
        let prediction = self.forward(recording, UNetInputs { sample, context, ..inputs });
        ops::convert(recording.tape, prediction, DType::F32)
    }

    fn forward(&self, recording: &mut Recording<'_>, UNetInputs { sample, timestep, context }: UNetInputs) -> Value {
        let conditions = Conditions { time: self.time_embedding(recording, timestep), context };
        let mut hidden = self.conv_in.forward(recording, sample);
        recording.tape.observe("conv_in", hidden);
        let mut skips = vec![hidden];
        for block in &self.down_blocks {
            hidden = block.forward(recording, hidden, conditions, &mut skips);
        }
        hidden = self.mid_block.forward(recording, hidden, conditions);
        for block in &self.up_blocks {
            hidden = block.forward(recording, hidden, conditions, &mut skips);
        }
        // The norm without its SiLU is only for who observes it: the compiler drops it where nobody does.
        let normed = self.conv_norm_out.forward(recording.tape, hidden);
        recording.tape.observe("conv_norm_out", normed);
        hidden = self.conv_norm_out.forward_silu(recording.tape, hidden);
        self.conv_out.forward(recording, hidden)
    }

    /// SiLU of the timestep embedding, which is all that the blocks read of it.
    fn time_embedding(&self, recording: &mut Recording<'_>, timestep: Value) -> Value {
        let hidden = self.time_linear_1.forward(recording, timestep);
        let hidden = ops::silu(recording.tape, hidden);
        let embedding = self.time_linear_2.forward(recording, hidden);
        recording.tape.observe("time_embedding", embedding);
        ops::silu(recording.tape, embedding)
    }
}
