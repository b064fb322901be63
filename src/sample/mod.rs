//! Pictures from prompts, as far as the host makes them: A1111's prompt language, what is written into and around the
//! pictures, and sd-scripts' prompt files.
//!
//! [`prompt`] turns a prompt into chunks of tokens with weights, [`infotext`] and [`png`] write a picture that other
//! programs read the settings from, [`grid`] sets pictures side by side with labels, [`prompt_file`] reads lists of
//! prompts.

mod fonts;
pub mod grid;
pub mod infotext;
mod labels;
pub mod png;
pub mod prompt;
pub mod prompt_file;
