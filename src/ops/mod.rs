//! The ops: each file holds an op's parameters, its kernel choice, its shape rule and its backward rule.
//!
//! Shapes that do not fit together are bugs of the caller: they panic while recording, with op and shapes.

mod add;
mod attention;
mod bands;
mod concat;
mod conv;
mod gemm;
mod linear;
mod lora_linear;
mod upsample;

pub use add::add;
pub use attention::{Mask, attention};
pub use concat::concat;
pub use conv::{ConvGeometry, conv3x3};
pub use linear::linear;
pub use lora_linear::lora_linear;
pub use upsample::upsample_nearest;
