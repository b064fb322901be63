//! The diffusion process of Stable Diffusion v1.x: noise schedule, training targets and loss weights, and the
//! counter-based random numbers of a training run. A leaf: imports no other module of the crate.

pub mod philox;
pub mod random;
pub mod schedule;

pub use random::{Purpose, Stream};
pub use schedule::{NoiseSchedule, Prediction};
