//! Layers: weights with a name, recorded onto a tape.
//!
//! A layer is built by a [`Builder`] whose path is the diffusers name of its tensors, and recorded by `forward`.

mod adapters;
mod attention;
mod builder;
mod channels;
mod conv;
mod feed_forward;
mod linear;
mod norm;
mod upload;
mod weight;

pub use adapters::{Adapter, Adapters, Dropped, ElementDropout, LowRank, Recording};
pub use attention::Attention;
pub use builder::{BuildError, Builder, Built};
pub use channels::{nchw_to_nhwc, nhwc_to_nchw};
pub use conv::Conv3x3;
pub use feed_forward::GegluFeedForward;
pub use linear::Linear;
pub use norm::{GroupNorm, LayerNorm};
pub use weight::Weight;

/// Channel widths on the device are multiples of this; narrower pictures and latents are padded with zeros.
pub const CHANNEL_MULTIPLE: usize = 4;

/// `channels` rounded up to the width it has on the device.
pub fn padded(channels: usize) -> usize {
    channels.next_multiple_of(CHANNEL_MULTIPLE)
}
