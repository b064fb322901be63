//! The autoencoder: diffusers' `AutoencoderKL`.

use crate::{
    nn::{Builder, Conv3x3, GroupNorm, Linear, Recording},
    ops::{self, ConvGeometry, Mask},
    tape::{Tape, Value},
    weights::PartTensors,
};

use super::{
    resnet::ResnetBlock,
    shapes::{ShapeError, Shapes},
};

/// Eps of every GroupNorm in the VAE.
const EPS: f32 = 1e-6;

/// What differs between VAEs of Stable Diffusion v1's topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaeConfig {
    pub image_channels: usize,
    pub latent_channels: usize,
    /// Width of each level, finest first.
    pub block_out_channels: Vec<usize>,
    /// Resnets per level of the encoder; one more in the decoder.
    pub layers_per_block: usize,
}

impl VaeConfig {
    /// Reads widths from tensor shapes.
    ///
    /// # Errors
    /// A tensor that tells a width is missing.
    pub fn of(tensors: &PartTensors) -> Result<Self, ShapeError> {
        let shapes = Shapes { part: "VAE", tensors };
        let levels = shapes.count(|level| format!("encoder.down_blocks.{level}.resnets.0.conv1.weight"));
        let width = |level| shapes.size(&format!("encoder.down_blocks.{level}.resnets.0.conv1.weight"), 0);
        Ok(Self {
            image_channels: shapes.size("encoder.conv_in.weight", 1)?,
            latent_channels: shapes.size("decoder.conv_in.weight", 1)?,
            block_out_channels: (0..levels.max(1)).map(width).collect::<Result<_, _>>()?,
            layers_per_block: shapes.count(|layer| format!("encoder.down_blocks.0.resnets.{layer}.conv1.weight")),
        })
    }

    fn deepest(&self) -> usize {
        self.block_out_channels[self.block_out_channels.len() - 1]
    }

    /// Channels that the encoder gives: mean and log-variance.
    fn moments(&self) -> usize {
        2 * self.latent_channels
    }
}

/// Mean and log-variance in one value: (B, h, w, 2·latent channels), means first.
#[derive(Clone, Copy, Debug)]
pub struct Moments(pub Value);

/// Single-head attention over pixels, with biases.
#[derive(Clone, Debug)]
struct PixelAttention {
    path: String,
    group_norm: GroupNorm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
}

impl PixelAttention {
    fn new(builder: &Builder<'_>, width: usize) -> Self {
        let projection = |name| Linear::new(&builder.child(name), width, width);
        Self {
            path: builder.path().to_owned(),
            group_norm: GroupNorm::new(&builder.child("group_norm"), width, EPS),
            to_q: projection("to_q"),
            to_k: projection("to_k"),
            to_v: projection("to_v"),
            to_out: projection("to_out.0"),
        }
    }

    fn forward(&self, tape: &mut Tape, x: Value) -> Value {
        let shape = tape.shape(x).to_vec();
        let tokens = [shape[0], shape[1] * shape[2], shape[3]];
        let normed = self.group_norm.forward(tape, x);
        let normed = tape.reshape(normed, &tokens);
        let q = self.to_q.frozen(tape, normed);
        let k = self.to_k.frozen(tape, normed);
        let v = self.to_v.frozen(tape, normed);
        let mixed = tape.scope(&self.path, |tape| ops::attention(tape, q, k, v, 1, Mask::None));
        let attended = self.to_out.frozen(tape, mixed);
        let attended = tape.reshape(attended, &shape);
        tape.scope(&self.path, |tape| ops::add(tape, attended, x))
    }
}

#[derive(Clone, Debug)]
struct MidBlock {
    first: ResnetBlock,
    attention: PixelAttention,
    last: ResnetBlock,
}

impl MidBlock {
    fn new(builder: &Builder<'_>, width: usize) -> Self {
        let resnet = |index| ResnetBlock::new(&builder.child(format!("resnets.{index}")), width, width, None, EPS);
        let attention = PixelAttention::new(&builder.child("attentions.0"), width);
        Self { first: resnet(0), attention, last: resnet(1) }
    }

    fn forward(&self, tape: &mut Tape, x: Value) -> Value {
        let hidden = self.first.forward(&mut Recording::frozen(tape), x, None);
        let hidden = self.attention.forward(tape, hidden);
        self.last.forward(&mut Recording::frozen(tape), hidden, None)
    }
}

/// One resolution: resnets, then a change of resolution where there is one.
#[derive(Clone, Debug)]
struct Level {
    resnets: Vec<ResnetBlock>,
    resample: Option<Conv3x3>,
}

impl Level {
    fn new(builder: &Builder<'_>, in_channels: usize, out_channels: usize, count: usize) -> Self {
        let resnet = |index| {
            let incoming = if index == 0 { in_channels } else { out_channels };
            ResnetBlock::new(&builder.child(format!("resnets.{index}")), incoming, out_channels, None, EPS)
        };
        Self { resnets: (0..count).map(resnet).collect(), resample: None }
    }

    fn forward(&self, tape: &mut Tape, x: Value) -> Value {
        self.resnets.iter().fold(x, |hidden, resnet| resnet.forward(&mut Recording::frozen(tape), hidden, None))
    }
}

/// Pictures to latents.
#[derive(Clone, Debug)]
pub struct VaeEncoder {
    pub config: VaeConfig,
    conv_in: Conv3x3,
    levels: Vec<Level>,
    mid: MidBlock,
    norm_out: GroupNorm,
    conv_out: Conv3x3,
    quant_conv: Linear,
}

impl VaeEncoder {
    pub fn new(builder: &Builder<'_>, config: VaeConfig) -> Self {
        let root = builder.child("encoder");
        let widths = &config.block_out_channels;
        let level = |index: usize| {
            let here = root.child(format!("down_blocks.{index}"));
            let incoming = widths[index.saturating_sub(1)];
            let mut level = Level::new(&here, incoming, widths[index], config.layers_per_block);
            let down = || {
                let conv = here.child("downsamplers.0.conv");
                Conv3x3::new(&conv, widths[index], widths[index], ConvGeometry::DownAsymmetric)
            };
            level.resample = (index + 1 < widths.len()).then(down);
            level
        };
        let deepest = config.deepest();
        Self {
            conv_in: Conv3x3::new(&root.child("conv_in"), config.image_channels, widths[0], ConvGeometry::Same),
            levels: (0..widths.len()).map(level).collect(),
            mid: MidBlock::new(&root.child("mid_block"), deepest),
            norm_out: GroupNorm::new(&root.child("conv_norm_out"), deepest, EPS),
            conv_out: Conv3x3::new(&root.child("conv_out"), deepest, config.moments(), ConvGeometry::Same),
            quant_conv: Linear::new(&builder.child("quant_conv"), config.moments(), config.moments()),
            config,
        }
    }

    /// `image`: (B, H, W, 4) in [−1, 1], the fourth channel zero.
    pub fn forward(&self, tape: &mut Tape, image: Value) -> Moments {
        let mut hidden = self.conv_in.frozen(tape, image);
        for level in &self.levels {
            hidden = level.forward(tape, hidden);
            if let Some(downsample) = &level.resample {
                hidden = downsample.frozen(tape, hidden);
            }
        }
        hidden = self.mid.forward(tape, hidden);
        hidden = self.norm_out.forward_silu(tape, hidden);
        hidden = self.conv_out.frozen(tape, hidden);
        Moments(self.quant_conv.frozen(tape, hidden))
    }
}

/// Latents to pictures.
#[derive(Clone, Debug)]
pub struct VaeDecoder {
    pub config: VaeConfig,
    post_quant_conv: Linear,
    conv_in: Conv3x3,
    mid: MidBlock,
    levels: Vec<Level>,
    norm_out: GroupNorm,
    conv_out: Conv3x3,
}

impl VaeDecoder {
    pub fn new(builder: &Builder<'_>, config: VaeConfig) -> Self {
        let root = builder.child("decoder");
        let widths: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let level = |index: usize| {
            let here = root.child(format!("up_blocks.{index}"));
            let incoming = widths[index.saturating_sub(1)];
            let mut level = Level::new(&here, incoming, widths[index], config.layers_per_block + 1);
            let up =
                || Conv3x3::new(&here.child("upsamplers.0.conv"), widths[index], widths[index], ConvGeometry::Same);
            level.resample = (index + 1 < widths.len()).then(up);
            level
        };
        let (deepest, finest) = (widths[0], widths[widths.len() - 1]);
        let latents = config.latent_channels;
        Self {
            post_quant_conv: Linear::new(&builder.child("post_quant_conv"), latents, latents),
            conv_in: Conv3x3::new(&root.child("conv_in"), latents, deepest, ConvGeometry::Same),
            mid: MidBlock::new(&root.child("mid_block"), deepest),
            levels: (0..widths.len()).map(level).collect(),
            norm_out: GroupNorm::new(&root.child("conv_norm_out"), finest, EPS),
            conv_out: Conv3x3::new(&root.child("conv_out"), finest, config.image_channels, ConvGeometry::Same),
            config,
        }
    }

    /// `latents`: (B, h, w, 4), already divided by the scaling factor. Gives (B, 8h, 8w, 4), the fourth channel zero.
    pub fn forward(&self, tape: &mut Tape, latents: Value) -> Value {
        let mut hidden = self.post_quant_conv.frozen(tape, latents);
        hidden = self.conv_in.frozen(tape, hidden);
        hidden = self.mid.forward(tape, hidden);
        for level in &self.levels {
            hidden = level.forward(tape, hidden);
            if let Some(upsample) = &level.resample {
                let larger = ops::upsample_nearest(tape, hidden);
                hidden = upsample.frozen(tape, larger);
            }
        }
        hidden = self.norm_out.forward_silu(tape, hidden);
        self.conv_out.frozen(tape, hidden)
    }
}
