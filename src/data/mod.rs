pub mod fit;
pub mod image;
mod jpeg_end;
pub mod resize;
pub mod tokenizer;
