//! First captions for a folder of pictures, for a person to correct.
//!
//! [`wording`] makes a caption of a model's words, [`store`] keeps captions in a [`table`] or in [`sidecars`] while a
//! run goes on, and [`tag_table`] the tags that were ranked. [`tags`] holds lists of tags and chooses among them,
//! [`page`] writes the page on which captions are corrected.

mod kept_file;
pub mod page;
pub mod picture_names;
pub mod replacements;
pub mod sidecars;
pub mod store;
pub mod table;
pub mod tag_table;
pub mod tags;
pub mod wording;
mod words;
