//! Weights on disk: memory-mapped safetensors, Stable Diffusion v1.x checkpoints in every common layout, LoRA files.
//!
//! Whatever the file's layout, tensors are asked for by their diffusers names and come back in diffusers shapes.

mod atomic_file;
mod checkpoint;
mod component;
mod date;
mod family;
mod folder;
mod half_convert;
mod hashing;
mod json_file;
mod layouts;
pub mod lora;
mod model_folder;
mod part_tensors;
mod recorded;
mod safetensors_file;
mod safetensors_write;
mod site;

pub use atomic_file::{check_writable, write_atomically};
pub use checkpoint::Checkpoint;
pub use date::iso_date;
pub use half_convert::first_non_finite;
pub use hashing::{ModelHashes, sha256_hex};
pub use model_folder::{ModelFolder, ModelKind};
pub use part_tensors::PartTensors;
pub use safetensors_file::{SafetensorsFile, StorageType, Tensor};
pub use safetensors_write::{OwnedTensor, write_safetensors};

#[cfg(test)]
mod test_files;
