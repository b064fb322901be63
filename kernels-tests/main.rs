//! Every op against recorded PyTorch outputs and gradients and against plain loops, in each kernel variant.

mod support;

mod add;
mod attention;
mod linear;
mod lora_linear;
