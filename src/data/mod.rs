//! Training data: pictures, captions, tokens, and the cache of what the frozen models make of them.
//!
//! A leaf: it knows no layer of the engine. [`dataset`] pairs pictures and captions and checks them, [`sheet`] sums
//! them up, [`split`] keeps some apart, [`image`] brings one picture to the training size, [`tokenizer`] turns a
//! caption into ids, [`masks`] says what of a picture counts, [`latent_cache`] keeps latents. Pictures are decoded one at a time.
//!
//! For the models that look at pictures, [`vision_input`] brings one to the size they read, and [`wordpiece`] turns
//! what they write into text.

mod captions;
pub mod dataset;
mod fit;
pub mod folder;
mod foreign;
pub mod image;
pub mod latent_cache;
pub mod masks;
pub mod metadata_table;
pub mod names;
pub mod resize;
pub mod sheet;
pub mod split;
pub mod text_encoding;
pub mod tokenizer;
pub mod vision_input;
pub mod wordpiece;
