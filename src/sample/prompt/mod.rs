//! The prompt language of AUTOMATIC1111's WebUI (1.10): a prompt, taken apart as that program takes it, gives the
//! same tokens and weights.
//!
//! [`lora_tags`] takes `<lora:name:0.8>` out, [`attention`] reads brackets, weights and `BREAK`, [`chunks`] cuts
//! what is left into stretches of 75 tokens, [`emphasis`] weighs the text encoder's answer.

pub mod attention;
pub mod chunks;
pub mod editing;
pub mod emphasis;
pub mod lora_tags;
