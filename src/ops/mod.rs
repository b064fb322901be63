//! The ops: each file holds an op's parameters, its kernel choice, its shape rule and its backward rule.
//!
//! Shapes that do not fit together are bugs of the caller: they panic while recording, with op and shapes.

mod add;
mod bands;
mod concat;
mod conv;
mod upsample;

pub use add::add;
pub use concat::concat;
pub use conv::{ConvGeometry, conv3x3};
pub use upsample::upsample_nearest;
