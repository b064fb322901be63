//! Training: an engine that replays steps, the tasks that it runs, and the records of a run.

pub mod engine;
pub mod events;
pub mod lr_schedule;
pub mod records;
pub mod tasks;
