//! The ops: each file holds an op's parameters, its kernel choice, its shape rule and its backward rule.
//!
//! Shapes that do not fit together are bugs of the caller: they panic while recording, with op and shapes.

mod accumulate;
mod activation;
mod adamw;
mod add;
mod add_channels;
mod attention;
mod bands;
mod broadcast;
mod chunks;
mod combine;
mod concat;
mod conv;
mod crop;
mod geglu;
mod gemm;
mod grad_norm;
mod group_norm;
mod layer_norm;
mod linear;
mod lora_linear;
mod multiply_add;
mod rows;
mod scale;
mod self_test;
mod softmax;
mod timestep_embedding;
mod upsample;
mod weighted_mse;

pub use accumulate::accumulate;
pub use activation::{gelu, quick_gelu, silu};
pub use adamw::{AdamWSettings, AdamWState, adamw};
pub use add::add;
pub use add_channels::add_channels;
pub use attention::{Mask, attention};
pub use combine::combine;
pub use concat::concat;
pub use conv::{ConvGeometry, conv3x3};
pub use crop::crop;
pub use geglu::geglu;
pub use grad_norm::grad_norm;
pub use group_norm::group_norm;
pub use layer_norm::layer_norm;
pub use linear::linear;
pub use lora_linear::lora_linear;
pub use multiply_add::multiply_add;
pub use scale::scale;
pub use self_test::{SelfTestError, self_test};
pub use softmax::softmax;
pub use timestep_embedding::timestep_embedding;
pub use upsample::upsample_nearest;
pub use weighted_mse::{Loss, weighted_mse};
