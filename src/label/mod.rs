//! First captions for a folder of pictures, for a person to correct.
//!
//! [`run`] does a [`job`]: `captioning` has BLIP write and `tagging` has CLIP choose, on [`captioner`] and [`tagger`],
//! which are the models on the device; [`generate`] searches captions token by token. [`wording`] makes a caption of a
//! model's words, [`store`] keeps captions in a [`table`] or in [`sidecars`] while a run goes on, and [`tag_table`] the
//! tags that were ranked. [`tags`] holds lists of tags and chooses among them, [`page`] writes the page on which captions
//! are corrected. [`case`] computes what transformers was recorded to compute.

mod ahead;
pub mod captioner;
mod captioning;
pub mod case;
pub mod generate;
pub mod job;
mod kept_file;
pub mod page;
pub mod picture_names;
pub mod replacements;
pub mod run;
pub mod sidecars;
pub mod store;
pub mod table;
pub mod tag_table;
pub mod tagger;
mod tagging;
pub mod tags;
pub mod wording;
mod words;
