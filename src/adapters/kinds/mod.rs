//! A file for each kind.

pub(super) mod lora;
