//! What the tests share.

pub mod case;
pub mod devices;
pub mod label_models;
pub mod small_training;
pub mod synthetic;
mod topology;
pub mod workspace;
