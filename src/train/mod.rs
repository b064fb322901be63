//! Training: learning-rate schedule, metrics, progress.

pub mod lr_schedule;
pub mod metrics;
pub mod progress;
pub mod tensorboard;
