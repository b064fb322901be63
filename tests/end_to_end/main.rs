//! The program as a user runs it, on a checkpoint and pictures that the tests make up: recorded cases against PyTorch,
//! training runs, and everything that can be wrong with what a user hands over.

mod adapters;
mod bad_input;
mod bench;
mod check;
mod half_precision;
mod label;
mod masks;
mod optimizers;
mod previews;
mod sample;
#[cfg(unix)]
mod stop;
mod support;
#[path = "../shared/tools.rs"]
mod tools;
mod train;
