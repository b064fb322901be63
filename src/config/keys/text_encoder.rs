//! Whether the text encoder is trained, and how much of a caption it reads.

use super::super::{
    key::{Key, Translated, setting},
    kind::{Kind, field},
    network_readers as readers,
    range::from,
    show, value,
    words::Words,
};

pub(super) const KEYS: &[Key] = &[
    setting("train_text_encoder", Kind::Flag(field!(network.train_text_encoder)))
        .translated(&[Translated {
            alias: "network_train_unet_only",
            translate: |given| Ok((!value::expect_flag(given)?).into()),
            said: Words::new("the opposite: true means false", "意思相反：true 即 false"),
        }])
        .otherwise("`network_train_text_encoder_only`", "与 `network_train_text_encoder_only` 相同")
        .help(
            "Whether the text encoder is trained too. It helps with names and words that the model does not know; it \
             takes more memory and learns by heart sooner.",
            "是否也训练文本编码器。有助于学会模型不认识的名称和词语；占显存更多，也更容易死记硬背。",
        ),
    setting("network_train_text_encoder_only", Kind::Flag(field!(network.network_train_text_encoder_only))).help(
        "Whether the U-Net is left alone. For a new word for what the model can already draw.",
        "是否不训练 U-Net。只想让模型已会画的东西有个新名称时用。",
    ),
    setting(
        "text_encoder_lr",
        Kind::Special {
            wanted: Words::new("a number from 0 to 1", "不小于 0、不大于 1 的数"),
            set: |config, value, wanted| {
                readers::single(value, &from(0.0).to(1.0), wanted).map(|rate| config.network.text_encoder_lr = rate)
            },
            show: |config| show::number(config.network.text_encoder_lr),
        },
    )
    .remark("0 = not trained", "0 为不训练")
    .otherwise("1e-5, = unet_lr where the optimizer finds its step size", "1e-5；优化器自己找步长时，与 unet_lr 相同")
    .help(
        "The learning rate of the text encoder. It bears less than the U-Net: a tenth to a half.",
        "文本编码器的学习率。应比 U-Net 小：取十分之一到一半。",
    ),
    setting(
        "max_token_length",
        Kind::Special {
            wanted: Words::new("75, 150 or 225", "75、150 或 225"),
            set: |config, value, wanted| {
                readers::token_length(value, wanted).map(|length| config.network.max_token_length = length)
            },
            show: |config| config.network.max_token_length.to_string(),
        },
    )
    .note(|value| {
        let why = "255 tokens are taken as 225: only whole chunks of 75 count, in sd-scripts too";
        (value::any_number(value) == Some(f64::from(readers::LORA_SCRIPTS_LENGTH))).then_some(why)
    })
    .help(
        "How many tokens of a caption are read; the rest is cut off. A token is a short word or a part of one; longer \
         captions take a little more time.",
        "说明最多读多少个词元，其余截去。一个词元是一个短词或词的一部分；越长越费时间，但不多。",
    ),
];
