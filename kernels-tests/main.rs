//! Every op against recorded PyTorch outputs and gradients and against plain loops, in each kernel variant.

mod accumulate;
mod activation;
mod adamw;
mod add;
mod add_channels;
mod attention;
mod cached_attention;
mod catalogue;
mod combine;
mod compile;
mod concat;
mod conv;
mod convert;
mod crop;
mod gpu_compiler;
mod grad_norm;
mod group_norm;
mod half_activations;
mod layer_norm;
mod linear;
mod lora_linear;
mod loss_scale;
mod multiply_add;
mod scale;
mod shaders;
mod softmax;
mod sums;
mod support;
mod timestep_embedding;
#[path = "../tests/shared/tools.rs"]
mod tools;
mod upsample;
mod weighted_mse;
