//! Captions and tags from pictures, and the table that a person corrects.

pub mod captioner;
pub mod case;
pub mod generate;
pub mod tagger;
