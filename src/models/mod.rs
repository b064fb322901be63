//! Model topologies: names and shapes of Stable Diffusion v1's three networks. Widths come from the checkpoint.

mod clip_text;
pub mod encode;
mod resnet;
mod shapes;
pub mod unet;
mod vae;

pub use clip_text::{ClipText, ClipTextConfig, TextOutputs};
pub use shapes::ShapeError;
pub use unet::{UNet, UNetConfig};
pub use vae::{Moments, SCALING_FACTOR, VaeConfig, VaeDecoder, VaeEncoder};
