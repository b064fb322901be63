//! Train Stable Diffusion v1.5 LoRAs on any GPU wgpu finds: hand-written WGSL kernels and a small autograd tape.

pub mod config;
pub mod diffusion;
pub mod train;
