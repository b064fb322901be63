//! Where an adapter can stand.

/// The network that a tensor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    Unet,
    TextEncoder,
}

/// What kind of layer a checkpoint stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SiteKind {
    /// `[out, in]`
    Linear,
    /// A linear layer that is stored as a convolution, `[out, in, 1, 1]`.
    Conv1x1,
    /// `[out, in, 3, 3]`
    Conv3x3,
}

impl SiteKind {
    /// Height and width of the kernel, which files append to the shape of `down`; nothing for a linear layer.
    pub fn kernel(self) -> &'static [usize] {
        match self {
            Self::Linear => &[],
            Self::Conv1x1 => &[1, 1],
            Self::Conv3x3 => &[3, 3],
        }
    }

    /// Values of the kernel.
    pub fn taps(self) -> usize {
        self.kernel().iter().product()
    }

    /// As many axes of length 1 as the kernel has axes, which files append to the shape of `up`.
    pub fn ones(self) -> &'static [usize] {
        if self == Self::Linear { &[] } else { &[1, 1] }
    }
}

/// A layer that an adapter can stand on: the one identity it has from the checkpoint to the written file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    pub part: Part,
    /// diffusers' module path, such as `down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q`.
    pub path: String,
    pub kind: SiteKind,
    pub in_features: usize,
    pub out_features: usize,
}
