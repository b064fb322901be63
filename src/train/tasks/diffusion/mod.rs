//! Training adapters for Stable Diffusion: pictures and captions to latents and text embeddings, the U-Net's step over
//! them, previews, and the run from a configuration to files.

mod assembly;
mod batches;
mod data;
mod dropping;
mod epochs;
mod inputs;
mod kept;
mod latents;
mod masks;
mod material;
mod memory_plan;
mod objective;
mod plan;
mod previews;
mod recording;
mod run;
mod settings;
pub mod step;
mod task;

pub use assembly::Trained;
pub use data::{dataset_options, planned_steps};
pub use inputs::{Batch, BatchWriter};
pub use memory_plan::MemoryPlan;
pub use objective::Objective;
pub use run::{RunOptions, RunSummary, run};
pub use settings::{activations, checkpointing};
