//! Keys of other trainers that are known but not built yet. They are never ignored: a value that would change the
//! training is an error, a value that means "off" or equals what happens anyway passes.

use super::{
    keys::{Key, Meaning},
    value,
};
use anyhow::{Result, bail};
use serde_yaml::Value;

/// A value of an unsupported key that changes nothing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Accepted {
    Flag(bool),
    Number(f64),
    /// Compared without regard to case.
    Text(&'static str),
}

impl Accepted {
    fn matches(self, value: &Value) -> bool {
        match self {
            Accepted::Flag(flag) => value.as_bool() == Some(flag),
            Accepted::Number(number) => value::number(value, "", |x| x == number).is_ok(),
            Accepted::Text(text) => value.as_str().is_some_and(|given| given.eq_ignore_ascii_case(text)),
        }
    }

    fn as_yaml(self) -> String {
        match self {
            Accepted::Flag(flag) => flag.to_string(),
            Accepted::Number(number) => number.to_string(),
            Accepted::Text("") => "\"\"".into(),
            Accepted::Text(text) => text.into(),
        }
    }
}

/// # Errors
/// Any value but the accepted ones.
pub(super) fn check(name: &str, accepted: &[Accepted], hint: &str, value: &Value) -> Result<()> {
    if accepted.iter().any(|accepted| accepted.matches(value)) {
        return Ok(());
    }
    let cure = match accepted.first() {
        Some(first) => format!("set `{name}: {}` or leave it out", first.as_yaml()),
        None => "leave it out".into(),
    };
    let hint = if hint.is_empty() { String::new() } else { format!(" ({hint})") };
    bail!("{} is not implemented yet{hint}; {cure}", value::describe(value));
}

const OFF: &[Accepted] = &[Accepted::Flag(false)];
const ZERO: &[Accepted] = &[Accepted::Number(0.0)];
const EMPTY: &[Accepted] = &[Accepted::Text("")];

const fn unsupported(
    name: &'static str,
    aliases: &'static [&'static str],
    accepted: &'static [Accepted],
    hint: &'static str,
) -> Key {
    Key { name, aliases, meaning: Meaning::Unsupported { accepted, hint } }
}

const NO_BUCKETS: &str = "every picture is resized and cropped to `resolution`";
const NO_TEXT_ENCODER: &str = "only the U-Net is trained";
const NO_CONVOLUTIONS: &str = "a LoRA covers the transformer blocks";
const NO_STATE: &str = "a run cannot be resumed";
const NO_RESUME: &str = "to go on from a LoRA file, use `network_weights`";

pub(super) const UNSUPPORTED: &[Key] = &[
    unsupported("reg_data_dir", &["class_data_dir"], EMPTY, ""),
    unsupported("prior_loss_weight", &[], &[Accepted::Number(1.0)], ""),
    unsupported("enable_bucket", &["buckets", "aspect_ratio_bucketing"], OFF, NO_BUCKETS),
    unsupported("min_bucket_reso", &[], &[Accepted::Number(256.0)], NO_BUCKETS),
    unsupported("max_bucket_reso", &[], &[Accepted::Number(1024.0)], NO_BUCKETS),
    unsupported("bucket_reso_steps", &[], &[Accepted::Number(64.0)], NO_BUCKETS),
    unsupported("bucket_no_upscale", &[], &[Accepted::Flag(true), Accepted::Flag(false)], NO_BUCKETS),
    unsupported("shuffle_caption", &["enable_tag_shuffling"], OFF, ""),
    unsupported("keep_tokens", &[], ZERO, ""),
    unsupported("caption_dropout_rate", &[], ZERO, ""),
    unsupported("caption_tag_dropout_rate", &[], ZERO, ""),
    unsupported("caption_prefix", &[], EMPTY, ""),
    unsupported("caption_suffix", &[], EMPTY, ""),
    unsupported("flip_aug", &["random_flip", "flip_x"], OFF, ""),
    unsupported("train_text_encoder", &[], OFF, NO_TEXT_ENCODER),
    unsupported("text_encoder_lr", &[], &[Accepted::Number(0.0), Accepted::Number(1e-5)], NO_TEXT_ENCODER),
    unsupported("network_dropout", &["lora_dropout"], ZERO, ""),
    unsupported("rank_dropout", &[], ZERO, ""),
    unsupported("module_dropout", &[], ZERO, ""),
    unsupported("conv_dim", &[], ZERO, NO_CONVOLUTIONS),
    unsupported("conv_alpha", &[], &[Accepted::Number(1.0), Accepted::Number(0.0)], NO_CONVOLUTIONS),
    unsupported("loss_type", &[], &[Accepted::Text("l2")], ""),
    unsupported("huber_c", &[], &[Accepted::Number(0.1)], ""),
    unsupported("huber_schedule", &[], &[Accepted::Text("snr")], ""),
    unsupported("max_token_length", &[], &[Accepted::Number(75.0)], ""),
    unsupported("save_every_n_steps", &["checkpointing_steps"], ZERO, "use `save_every_n_epochs`"),
    unsupported("save_last_n_epochs", &["checkpoints_total_limit"], ZERO, "every saved epoch is kept"),
    unsupported("save_state", &[], OFF, NO_STATE),
    unsupported("resume", &["resume_from_checkpoint"], OFF, NO_RESUME),
    unsupported("save_model_as", &["output_model_format", "lora_format"], &[Accepted::Text("safetensors")], ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check_yaml(name: &str, value: &str) -> Result<()> {
        let key = UNSUPPORTED.iter().find(|key| key.name == name).expect("a row");
        let Meaning::Unsupported { accepted, hint } = key.meaning else { panic!("{name} is supported") };
        check(name, accepted, hint, &serde_yaml::from_str(value).unwrap())
    }

    #[test]
    fn values_that_change_nothing_pass() {
        for (name, value) in [
            ("enable_bucket", "false"),
            ("network_dropout", "0"),
            ("network_dropout", "0.0"),
            ("loss_type", "L2"),
            ("text_encoder_lr", "1e-5"),
            ("caption_prefix", "\"\""),
        ] {
            check_yaml(name, value).unwrap_or_else(|error| panic!("{name}: {value}: {error}"));
        }
    }

    #[test]
    fn other_values_are_refused_with_what_to_do() {
        let error = check_yaml("loss_type", "huber").unwrap_err().to_string();
        assert!(error.contains("set `loss_type: l2`"), "{error}");
        for (name, value) in
            [("enable_bucket", "true"), ("network_dropout", "0.05"), ("flip_aug", "1"), ("resume", "a")]
        {
            let error = check_yaml(name, value).unwrap_err().to_string();
            assert!(error.contains("not implemented yet") && error.contains("leave it out"), "{error}");
        }
    }
}
