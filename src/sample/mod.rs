//! Pictures from a checkpoint, LoRAs and prompts.
//!
//! [`prompt`] reads A1111's prompt language, [`text`] turns it into text embeddings, [`loras`] finds the LoRAs it names
//! and [`lora_stack`] makes one of them; [`denoiser`] is the U-Net as samplers call it, [`draw`] goes from prompts to
//! pictures. [`axes`] and [`grid`] set many beside each other, [`animation`] one after the other, [`infotext`] and [`png`] write what other programs read
//! the settings from, [`prompt_file`] reads lists of prompts, [`mod@case`] recorded runs.

pub mod animation;
pub mod axes;
pub mod case;
pub mod denoiser;
pub mod draw;
mod drawing;
mod fonts;
pub mod grid;
pub mod infotext;
mod labels;
pub mod latents;
pub mod lora_stack;
pub mod loras;
pub mod png;
pub mod prompt;
pub mod prompt_file;
pub mod text;
