//! The U-Net: diffusers' `UNet2DConditionModel` as Stable Diffusion v1 configures it.

mod blocks;
mod config;
mod transformer;

pub use config::UNetConfig;

use crate::{
    nn::{Adapters, Builder, Conv3x3, GroupNorm, Linear},
    ops::{self, ConvGeometry},
    tape::{Tape, Value},
};

use blocks::{DownBlock, MidBlock, UpBlock};

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

impl UNet {
    pub fn new(builder: &Builder<'_>, config: UNetConfig) -> Self {
        let first = config.block_out_channels[0];
        let time = config.time_width();
        let embedding = builder.pp("time_embedding");
        Self {
            time_linear_1: Linear::new(&embedding.pp("linear_1"), first, time),
            time_linear_2: Linear::new(&embedding.pp("linear_2"), time, time),
            conv_in: Conv3x3::new(&builder.pp("conv_in"), config.in_channels, first, ConvGeometry::Same),
            down_blocks: DownBlock::all(builder, &config),
            mid_block: MidBlock::new(&builder.pp("mid_block"), &config),
            up_blocks: UpBlock::all(builder, &config),
            conv_norm_out: GroupNorm::new(&builder.pp("conv_norm_out"), first, EPS),
            conv_out: Conv3x3::new(&builder.pp("conv_out"), first, config.out_channels, ConvGeometry::Same),
            config,
        }
    }

    /// Records the forward pass.
    ///
    /// * `sample`: noisy latents (B, H, W, 4)
    /// * `timestep`: sinusoidal embedding (B, C₀), see [`ops::timestep_embedding`]
    /// * `context`: text embeddings (B, M, D)
    ///
    /// Gives (B, H, W, 4), for any H and W.
    pub fn forward(
        &self,
        tape: &mut Tape,
        sample: Value,
        timestep: Value,
        context: Value,
        adapters: &Adapters,
    ) -> Value {
        let time = self.time_embedding(tape, timestep, adapters);
        let mut hidden = self.conv_in.forward(tape, sample);
        tape.observe("conv_in", hidden);
        let mut skips = vec![hidden];
        for block in &self.down_blocks {
            hidden = block.forward(tape, hidden, time, context, adapters, &mut skips);
        }
        hidden = self.mid_block.forward(tape, hidden, time, context, adapters);
        for block in &self.up_blocks {
            hidden = block.forward(tape, hidden, time, context, adapters, &mut skips);
        }
        // The norm without its SiLU is only for who observes it: the compiler drops it where nobody does.
        let normed = self.conv_norm_out.forward(tape, hidden);
        tape.observe("conv_norm_out", normed);
        hidden = self.conv_norm_out.forward_silu(tape, hidden);
        self.conv_out.forward(tape, hidden)
    }

    /// SiLU of the timestep embedding, which is all that the blocks read of it.
    fn time_embedding(&self, tape: &mut Tape, timestep: Value, adapters: &Adapters) -> Value {
        let hidden = self.time_linear_1.forward(tape, timestep, adapters);
        let hidden = ops::silu(tape, hidden);
        let embedding = self.time_linear_2.forward(tape, hidden, adapters);
        tape.observe("time_embedding", embedding);
        ops::silu(tape, embedding)
    }
}
