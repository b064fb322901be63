//! Every op against recorded PyTorch outputs and gradients and against plain loops, in each kernel variant.

mod support;

mod accumulate;
mod activation;
mod adamw;
mod add;
mod add_channels;
mod combine;
mod grad_norm;
mod group_norm;
mod layer_norm;
mod scale;
mod softmax;
mod timestep_embedding;
mod weighted_mse;
