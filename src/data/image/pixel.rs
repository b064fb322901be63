//! What a decoded pixel is made of.

use image::ColorType;

/// What the samples of a pixel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
    /// Cyan, magenta, yellow, black: 0 is no ink.
    Cmyk,
}

impl Channels {
    pub fn has_alpha(self) -> bool {
        matches!(self, Self::GreyAlpha | Self::Rgba)
    }

    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::GreyAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba | Self::Cmyk => 4,
        }
    }
}

/// The type of one sample, in the machine's byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    Eight,
    Sixteen,
    /// f32, of which 0 to 1 is kept.
    Float,
}

impl Depth {
    pub fn bytes(self) -> usize {
        match self {
            Self::Eight => 1,
            Self::Sixteen => 2,
            Self::Float => 4,
        }
    }
}

/// What a pixel is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelType {
    pub channels: Channels,
    pub depth: Depth,
}

impl PixelType {
    pub const fn new(channels: Channels, depth: Depth) -> Self {
        Self { channels, depth }
    }

    /// What the image crate decodes to; `None` for types it does not have yet.
    pub fn of(color: ColorType) -> Option<Self> {
        use {Channels::*, Depth::*};
        let (channels, depth) = match color {
            ColorType::L8 => (Grey, Eight),
            ColorType::La8 => (GreyAlpha, Eight),
            ColorType::Rgb8 => (Rgb, Eight),
            ColorType::Rgba8 => (Rgba, Eight),
            ColorType::L16 => (Grey, Sixteen),
            ColorType::La16 => (GreyAlpha, Sixteen),
            ColorType::Rgb16 => (Rgb, Sixteen),
            ColorType::Rgba16 => (Rgba, Sixteen),
            ColorType::Rgb32F => (Rgb, Float),
            ColorType::Rgba32F => (Rgba, Float),
            _ => return None,
        };
        Some(Self { channels, depth })
    }

    pub fn bytes(self) -> usize {
        self.channels.count() * self.depth.bytes()
    }
}
