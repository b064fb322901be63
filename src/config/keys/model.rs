//! The checkpoint that a LoRA is trained for, and how it is read.

use super::super::{
    choices::PREDICTION_TYPES,
    key::{Key, Translated, setting},
    kind::{Kind, choice, field, optional_field},
    value,
    words::Words,
};

pub(super) const KEYS: &[Key] = &[
    setting("base_model", Kind::PathOr("demo", field!(base_model)))
        .also(&["pretrained_model_name_or_path", "base_model_name", "ckpt"])
        .required("./models/v1-5-pruned.safetensors")
        .help(
            "The checkpoint that the LoRA is for: a file, or a diffusers folder. Any of the Stable Diffusion v1 family; \
             `demo` is a small one inside of the program, to try things.",
            "为哪个底模训练 LoRA：一个文件，或 diffusers 格式的文件夹。须属于 Stable Diffusion v1 系列；`demo` \
             是程序自带的小底模，供试用。",
        ),
    setting("vae", Kind::Path(optional_field!(vae))).otherwise("the base model's own", "底模自带的").help(
        "A VAE that replaces the one in the base model. Set it where you will draw with another VAE, or where the \
         checkpoint has none.",
        "用另一个 VAE 代替底模自带的。以后出图要用别的 VAE，或底模里没有 VAE 时才需要。",
    ),
    setting("prediction_type", choice!(PREDICTION_TYPES, prediction_type))
        .translated(&[Translated {
            alias: "v_parameterization",
            translate: |given| {
                let v = value::expect_flag(given)?;
                Ok(if v { "v_prediction" } else { "epsilon" }.into())
            },
            said: Words::new("true means `v_prediction`", "true 即 `v_prediction`"),
        }])
        .help(
            "What the base model was taught to predict. Nearly all v1 checkpoints predict the noise, `epsilon`; change \
             it only where the model's page says v-prediction.",
            "底模预测的是什么。v1 系列几乎都预测噪声，即 `epsilon`；模型页面写明是 v-prediction 时才改。",
        ),
    setting("clip_skip", Kind::Whole(1..=2, field!(clip_skip)))
        .translated(&[Translated {
            alias: "text_encoder_layer_skip",
            translate: |given| {
                let left_out = value::whole(given, &(0..=1));
                let left_out = left_out.ok_or_else(|| value::expected("a whole number from 0 to 1", given))?;
                Ok((left_out + 1).into())
            },
            said: Words::new("counts the layers left out: 0 means 1", "数的是略去的层数：0 即 1"),
        }])
        .help(
            "Which layer of the text encoder is read: 1 the last, 2 the one before it. Take 2 for checkpoints drawn in \
             anime style, whose pages ask for it.",
            "取文本编码器的哪一层：1 为最后一层，2 为倒数第二层。动漫风格的底模常在页面上要求用 2。",
        ),
];
