//! Down, mid and up blocks. Each resnet, with its attention, is one unit of gradient checkpointing.

use crate::{
    models::resnet::ResnetBlock,
    nn::{Builder, Conv3x3, Recording},
    ops::{self, ConvGeometry},
    tape::Value,
};

use super::{EPS, UNetConfig, transformer::Transformer};

/// What every layer of the U-Net looks at besides its input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    /// SiLU of the timestep embedding, (B, T).
    pub time: Value,
    /// Text embeddings, (B, M, D).
    pub context: Value,
}

/// A resnet and the transformer behind it, where the level has attention.
#[derive(Clone, Debug)]
struct Layer {
    resnet: ResnetBlock,
    attention: Option<Transformer>,
}

impl Layer {
    fn new(builder: &Builder<'_>, index: usize, in_channels: usize, level: usize, config: &UNetConfig) -> Self {
        let width = config.block_out_channels[level];
        let resnet = builder.child(format!("resnets.{index}"));
        let attention = builder.child(format!("attentions.{index}"));
        Self {
            resnet: ResnetBlock::new(&resnet, in_channels, width, Some(config.time_width()), EPS),
            attention: config.has_attention(level).then(|| Transformer::new(&attention, width, config)),
        }
    }

    fn forward(&self, recording: &mut Recording<'_>, x: Value, conditions: Conditions) -> Value {
        let Conditions { time, context } = conditions;
        let hidden = self.resnet.forward(recording, x, Some(time));
        match &self.attention {
            Some(attention) => attention.forward(recording, hidden, context),
            None => hidden,
        }
    }
}

/// `CrossAttnDownBlock2D`, or `DownBlock2D` at the coarsest level.
#[derive(Clone, Debug)]
pub(super) struct DownBlock {
    path: String,
    layers: Vec<Layer>,
    downsampler: Option<Conv3x3>,
}

impl DownBlock {
    pub fn all(builder: &Builder<'_>, config: &UNetConfig) -> Vec<Self> {
        (0..config.levels())
            .map(|level| Self::new(&builder.child(format!("down_blocks.{level}")), level, config))
            .collect()
    }

    fn new(builder: &Builder<'_>, level: usize, config: &UNetConfig) -> Self {
        let width = config.block_out_channels[level];
        let incoming = config.block_out_channels[level.saturating_sub(1)];
        let in_channels = |index| if index == 0 { incoming } else { width };
        let layers =
            (0..config.layers_per_block).map(|index| Layer::new(builder, index, in_channels(index), level, config));
        let downsampler = || Conv3x3::new(&builder.child("downsamplers.0.conv"), width, width, ConvGeometry::Down);
        Self {
            path: builder.path().to_owned(),
            layers: layers.collect(),
            downsampler: (level + 1 < config.levels()).then(downsampler),
        }
    }

    /// Pushes what the way up needs onto `skips`.
    pub fn forward(
        &self,
        recording: &mut Recording<'_>,
        mut hidden: Value,
        conditions: Conditions,
        skips: &mut Vec<Value>,
    ) -> Value {
        for layer in &self.layers {
            hidden = recording.block(|recording| layer.forward(recording, hidden, conditions));
            skips.push(hidden);
        }
        if let Some(downsampler) = &self.downsampler {
            hidden = downsampler.forward(recording, hidden);
            recording.tape.observe(&format!("{}.downsamplers.0", self.path), hidden);
            skips.push(hidden);
        }
        recording.tape.observe(&self.path, hidden);
        hidden
    }
}

/// `UNetMidBlock2DCrossAttn`: resnet, attention, resnet.
#[derive(Clone, Debug)]
pub(super) struct MidBlock {
    path: String,
    first: ResnetBlock,
    attention: Transformer,
    last: ResnetBlock,
}

impl MidBlock {
    pub fn new(builder: &Builder<'_>, config: &UNetConfig) -> Self {
        let width = config.block_out_channels[config.levels() - 1];
        let resnet = |index| {
            ResnetBlock::new(&builder.child(format!("resnets.{index}")), width, width, Some(config.time_width()), EPS)
        };
        Self {
            path: builder.path().to_owned(),
            first: resnet(0),
            attention: Transformer::new(&builder.child("attentions.0"), width, config),
            last: resnet(1),
        }
    }

    pub fn forward(&self, recording: &mut Recording<'_>, x: Value, conditions: Conditions) -> Value {
        let Conditions { time, context } = conditions;
        let out = recording.block(|recording| {
            let hidden = self.first.forward(recording, x, Some(time));
            let hidden = self.attention.forward(recording, hidden, context);
            self.last.forward(recording, hidden, Some(time))
        });
        recording.tape.observe(&self.path, out);
        out
    }
}

/// `CrossAttnUpBlock2D`, or `UpBlock2D` at the coarsest level.
#[derive(Clone, Debug)]
pub(super) struct UpBlock {
    path: String,
    layers: Vec<Layer>,
    upsampler: Option<Conv3x3>,
}

impl UpBlock {
    pub fn all(builder: &Builder<'_>, config: &UNetConfig) -> Vec<Self> {
        (0..config.levels())
            .map(|index| Self::new(&builder.child(format!("up_blocks.{index}")), index, config))
            .collect()
    }

    /// Up block `index` works at level `levels − 1 − index`; its resnets take a skip each.
    fn new(builder: &Builder<'_>, index: usize, config: &UNetConfig) -> Self {
        let widths = &config.block_out_channels;
        let level = config.levels() - 1 - index;
        let below = widths[(level + 1).min(config.levels() - 1)];
        let finer = widths[level.saturating_sub(1)];
        let count = config.layers_per_block + 1;
        let in_channels = |layer| {
            let hidden = if layer == 0 { below } else { widths[level] };
            let skip = if layer + 1 == count { finer } else { widths[level] };
            hidden + skip
        };
        let layers = (0..count).map(|layer| Layer::new(builder, layer, in_channels(layer), level, config));
        let upsampler =
            || Conv3x3::new(&builder.child("upsamplers.0.conv"), widths[level], widths[level], ConvGeometry::Same);
        Self { path: builder.path().to_owned(), layers: layers.collect(), upsampler: (level > 0).then(upsampler) }
    }

    /// Pops a skip for each resnet.
    pub fn forward(
        &self,
        recording: &mut Recording<'_>,
        mut hidden: Value,
        conditions: Conditions,
        skips: &mut Vec<Value>,
    ) -> Value {
        for layer in &self.layers {
            let skip = skips.pop().expect("the way down pushed a skip for each resnet on the way up");
            hidden = recording.block(|recording| {
                let joined = recording.tape.scope(&self.path, |tape| ops::concat(tape, hidden, skip));
                layer.forward(recording, joined, conditions)
            });
        }
        if let Some(upsampler) = &self.upsampler {
            // A level with an odd side was rounded up on the way down: the way up takes the skip's size.
            let skip = *skips.last().expect("the finer levels' skips are still there");
            let &[_, height, width, _] = recording.tape.shape(skip) else {
                panic!("{}: a skip is a picture", self.path)
            };
            let larger = recording.tape.scope(&self.path, |tape| {
                let doubled = ops::upsample_nearest(tape, hidden);
                ops::crop(tape, doubled, height, width)
            });
            hidden = upsampler.forward(recording, larger);
            recording.tape.observe(&format!("{}.upsamplers.0", self.path), hidden);
        }
        recording.tape.observe(&self.path, hidden);
        hidden
    }
}
