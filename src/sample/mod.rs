//! Pictures from prompts: [`prompt`] takes a prompt apart as A1111's WebUI does.

pub mod prompt;
