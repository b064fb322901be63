//! Every op against recorded PyTorch outputs and gradients and against plain loops, in each kernel variant.

mod support;

mod activation;
mod add;
mod add_channels;
mod group_norm;
mod layer_norm;
mod scale;
mod softmax;
