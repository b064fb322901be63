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
mod concat;
mod conv;
mod crop;
mod grad_norm;
mod group_norm;
mod layer_norm;
mod linear;
mod lora_linear;
mod multiply_add;
mod scale;
mod shaders;
mod softmax;
mod support;
mod timestep_embedding;
mod upsample;
mod weighted_mse;
