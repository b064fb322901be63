//! Training: the LoRA's state, the programs of a step, encoders, schedules, metrics and the trainer around them.

pub mod batches;
pub mod card;
pub mod case;
pub mod counter;
mod fit_memory;
pub mod lora;
pub mod lr_schedule;
pub mod memory_plan;
pub mod metrics;
pub mod objective;
pub mod output;
pub mod prepare;
mod previews;
pub mod progress;
mod report;
mod run_loop;
mod setup;
pub mod step;
pub mod stop;
pub mod tensorboard;
pub mod trainer;

pub use run_loop::planned_steps;
pub use setup::{activations, checkpointing, dataset_options};
