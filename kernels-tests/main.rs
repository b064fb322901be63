//! Every op against recorded PyTorch outputs and gradients and against plain loops, in each kernel variant.

mod add;
mod attention;
mod concat;
mod conv;
mod linear;
mod lora_linear;
mod support;
mod upsample;
