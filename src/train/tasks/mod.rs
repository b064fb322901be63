//! What can be trained, a folder for each.

pub mod diffusion;
