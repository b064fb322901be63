//! Train Stable Diffusion v1.5 LoRAs on any GPU wgpu finds: hand-written WGSL kernels and a small autograd tape.

pub mod adapters;
pub mod bench;
pub mod check;
pub mod cli;
pub mod config;
pub mod data;
pub mod diffusion;
pub mod families;
pub mod gpu;
pub mod label;
pub mod models;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod sample;
pub mod size;
pub mod tape;
pub mod train;
pub mod weights;
