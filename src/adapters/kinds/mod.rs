//! A file for each kind.

pub(super) mod dora;
mod factors;
pub(super) mod loha;
pub(super) mod lokr;
pub(super) mod lora;
