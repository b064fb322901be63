//! Every op against recorded PyTorch outputs and gradients and against plain loops, in each kernel variant.

mod activation;
mod add;
mod add_channels;
mod attention;
mod concat;
mod conv;
mod group_norm;
mod layer_norm;
mod linear;
mod lora_linear;
mod scale;
mod softmax;
mod support;
mod upsample;
