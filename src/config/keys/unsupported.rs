//! Keys of other trainers that are known but not built yet. They are never ignored: a value that would change the
//! training is an error, a value that means "off" or equals what happens anyway passes. The help is a phrase that says
//! what happens instead, or what to use; it stands in the error and on the reference page.

use super::super::{
    key::{Accepted, Key, unsupported},
    words::Words,
};

const OFF: &[Accepted] = &[Accepted::Flag(false)];
const ZERO: &[Accepted] = &[Accepted::Number(0.0)];
const EMPTY: &[Accepted] = &[Accepted::Text("")];

const NO_REGULARIZATION: Words = Words::new("there are no regularization pictures", "没有正则图片");
const NO_BUCKETS: Words =
    Words::new("every picture is resized and cropped to `resolution`", "所有图片都缩放并裁剪到 `resolution`");
const CAPTIONS_STAY: Words = Words::new("captions are used as they are written", "说明文字按原样使用");
const NO_FLIPS: Words = Words::new("pictures are never varied", "图片从不变化");
const BY_EPOCHS: Words = Words::new("use `save_every_n_epochs`", "请用 `save_every_n_epochs`");
const ALL_KEPT: Words = Words::new("every saved epoch is kept", "存下的各轮都保留");
const NO_STATE: Words = Words::new("a run cannot be resumed", "中断的训练不能接着做");
const NO_RESUME: Words =
    Words::new("to go on from a LoRA file, use `network_weights`", "要从 LoRA 文件接着练，请用 `network_weights`");
const SAFETENSORS: Words = Words::new("files are safetensors", "文件格式为 safetensors");

const fn row(name: &'static str, accepted: &'static [Accepted], instead: Words) -> Key {
    unsupported(name, accepted).help(instead.en, instead.zh)
}

pub(super) const KEYS: &[Key] = &[
    row("reg_data_dir", EMPTY, NO_REGULARIZATION).also(&["class_data_dir"]),
    row("prior_loss_weight", &[Accepted::Number(1.0)], NO_REGULARIZATION),
    row("enable_bucket", OFF, NO_BUCKETS).also(&["buckets", "aspect_ratio_bucketing"]),
    row("min_bucket_reso", &[Accepted::Number(256.0)], NO_BUCKETS),
    row("max_bucket_reso", &[Accepted::Number(1024.0)], NO_BUCKETS),
    row("bucket_reso_steps", &[Accepted::Number(64.0)], NO_BUCKETS),
    row("bucket_no_upscale", &[Accepted::Flag(true), Accepted::Flag(false)], NO_BUCKETS),
    row("shuffle_caption", OFF, CAPTIONS_STAY).also(&["enable_tag_shuffling"]),
    row("keep_tokens", ZERO, CAPTIONS_STAY),
    row("caption_dropout_rate", ZERO, CAPTIONS_STAY),
    row("caption_tag_dropout_rate", ZERO, CAPTIONS_STAY),
    row("caption_prefix", EMPTY, CAPTIONS_STAY),
    row("caption_suffix", EMPTY, CAPTIONS_STAY),
    row("flip_aug", OFF, NO_FLIPS).also(&["random_flip", "flip_x"]),
    row("save_every_n_steps", ZERO, BY_EPOCHS).also(&["checkpointing_steps"]),
    row("save_last_n_epochs", ZERO, ALL_KEPT).also(&["checkpoints_total_limit"]),
    row("save_state", OFF, NO_STATE),
    row("resume", OFF, NO_RESUME).also(&["resume_from_checkpoint"]),
    row("save_model_as", &[Accepted::Text("safetensors")], SAFETENSORS).also(&["output_model_format", "lora_format"]),
];

#[cfg(test)]
mod tests {
    use super::super::super::{key::Draft, train_config::TrainConfig};
    use super::*;

    fn check_yaml(name: &str, value: &str) -> anyhow::Result<()> {
        let key = KEYS.iter().find(|key| key.name == name).expect("a row");
        let mut draft = Draft { config: TrainConfig::unresolved(), notes: Vec::new() };
        key.apply(&mut draft, &serde_yaml::from_str(value).unwrap())
    }

    #[test]
    fn values_that_change_nothing_pass() {
        for (name, value) in [
            ("enable_bucket", "false"),
            ("keep_tokens", "0"),
            ("keep_tokens", "0.0"),
            ("save_model_as", "SafeTensors"),
            ("prior_loss_weight", "1"),
            ("caption_prefix", "\"\""),
        ] {
            check_yaml(name, value).unwrap_or_else(|error| panic!("{name}: {value}: {error}"));
        }
    }

    #[test]
    fn other_values_are_refused_with_what_to_do() {
        let error = check_yaml("save_model_as", "ckpt").unwrap_err().to_string();
        assert!(error.contains("set `save_model_as: safetensors`"), "{error}");
        for (name, value) in
            [("enable_bucket", "true"), ("caption_dropout_rate", "0.05"), ("flip_aug", "1"), ("resume", "a")]
        {
            let error = check_yaml(name, value).unwrap_err().to_string();
            assert!(error.contains("not implemented yet") && error.contains("leave it out"), "{error}");
        }
    }
}
