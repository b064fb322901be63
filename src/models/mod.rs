//! Model topologies: names and shapes of Stable Diffusion v1's three networks, and of those that caption and tag
//! pictures, BLIP and CLIP. Widths come from the checkpoint.

pub mod adaptable;
mod blip_text;
mod clip;
mod clip_text;
pub mod encode;
mod encoder_layer;
mod resnet;
mod shapes;
pub mod unet;
mod vae;
mod vision;

pub use blip_text::{BlipText, BlipTextConfig, KeysValues};
pub use clip::{ClipImage, ClipPrompt};
pub use clip_text::{ClipText, ClipTextConfig, TextOutputs};
pub use shapes::ShapeError;
pub use unet::{UNet, UNetConfig, UNetInputs};
pub use vae::{Moments, VaeConfig, VaeDecoder, VaeEncoder};
pub use vision::{VisionConfig, VisionTransformer};
