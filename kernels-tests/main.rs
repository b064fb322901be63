//! Every op against recorded PyTorch outputs and gradients and against plain loops, in each kernel variant.

mod support;

mod add;
mod concat;
mod conv;
mod upsample;
