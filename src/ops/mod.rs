//! The ops: each file holds an op's parameters, its kernel choice, its shape rule and its backward rule.
//!
//! Shapes that do not fit together are bugs of the caller: they panic while recording, with op and shapes.

mod add;
mod attention;
mod bands;

pub use add::add;
pub use attention::{Mask, attention};
