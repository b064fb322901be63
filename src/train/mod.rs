//! Training: the LoRA's state, the programs of a step, encoders, schedules, metrics and the trainer around them.

pub mod case;
pub mod encode;
pub mod lora;
pub mod step;
