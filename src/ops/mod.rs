//! The ops: each file holds an op's parameters, its kernel choice, its shape rule and its backward rule.
//!
//! Shapes that do not fit together are bugs of the caller: they panic while recording, with op and shapes.

mod activation;
mod add;
mod add_channels;
mod bands;
mod chunks;
mod geglu;
mod group_norm;
mod layer_norm;
mod rows;
mod scale;
mod softmax;

pub use activation::{gelu, quick_gelu, silu};
pub use add::add;
pub use add_channels::add_channels;
pub use geglu::geglu;
pub use group_norm::group_norm;
pub use layer_norm::layer_norm;
pub use scale::scale;
pub use softmax::softmax;
