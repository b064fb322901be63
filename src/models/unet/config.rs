//! Widths of a U-Net, read off a checkpoint.

use crate::{
    families::SD_V1,
    models::shapes::{ShapeError, Shapes},
    weights::PartTensors,
};

/// Heads at every level: what Stable Diffusion's `attention_head_dim: 8` means.
const HEADS: usize = 8;

/// What differs between U-Nets of Stable Diffusion v1's topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UNetConfig {
    pub in_channels: usize,
    pub out_channels: usize,
    /// Width of each level, finest first. All levels but the last have attention.
    pub block_out_channels: Vec<usize>,
    /// Resnets per block on the way down; one more on the way up.
    pub layers_per_block: usize,
    pub cross_attention_dim: usize,
    pub heads: usize,
}

impl UNetConfig {
    /// The widths of Stable Diffusion v1.
    pub fn stable_diffusion_v1() -> Self {
        Self {
            in_channels: SD_V1.latent.channels,
            out_channels: SD_V1.latent.channels,
            block_out_channels: vec![320, 640, 1280, 1280],
            layers_per_block: 2,
            cross_attention_dim: 768,
            heads: HEADS,
        }
    }

    /// Reads widths from tensor shapes, and the number of heads from `config.json` where there is one.
    ///
    /// # Errors
    /// A tensor that tells a width is missing.
    pub fn of(tensors: &PartTensors) -> Result<Self, ShapeError> {
        let shapes = Shapes { part: "U-Net", tensors };
        let levels = shapes.count(|level| format!("down_blocks.{level}.resnets.0.conv1.weight"));
        let width = |level| shapes.size(&format!("down_blocks.{level}.resnets.0.conv1.weight"), 0);
        let cross_attention = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight";
        Ok(Self {
            in_channels: shapes.size("conv_in.weight", 1)?,
            out_channels: shapes.size("conv_out.weight", 0)?,
            block_out_channels: (0..levels.max(1)).map(width).collect::<Result<_, _>>()?,
            layers_per_block: shapes.count(|layer| format!("down_blocks.0.resnets.{layer}.conv1.weight")),
            cross_attention_dim: shapes.size(cross_attention, 1)?,
            heads: shapes.configured("attention_head_dim").unwrap_or(HEADS),
        })
    }

    /// Width of the timestep embedding.
    pub fn time_width(&self) -> usize {
        4 * self.block_out_channels[0]
    }

    pub(super) fn levels(&self) -> usize {
        self.block_out_channels.len()
    }

    /// Whether the blocks of `level` have attention.
    pub(super) fn has_attention(&self, level: usize) -> bool {
        level + 1 < self.levels()
    }
}
