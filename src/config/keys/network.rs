//! What is trained: the LoRA's size, strength and place.

use super::super::{
    choices::LORA_TARGETS,
    key::{Key, setting},
    kind::{Kind, choice, field, optional_field},
    range::above,
};

pub(super) const KEYS: &[Key] = &[
    setting("lora_rank", Kind::Whole(1..=1024, field!(lora_rank))).also(&["network_dim", "rank", "linear"]).help(
        "How much the LoRA can learn. 8 is enough for one thing or a simple style, 16 to 32 for a rich one; a higher \
         rank gives a larger file and learns by heart sooner.",
        "LoRA 能学多少。学一件东西或简单的风格，8 就够；丰富的风格用 16 到 32。rank 越大，文件越大，也越容易死记硬背。",
    ),
    setting("lora_alpha", Kind::Number(above(0.0), field!(lora_alpha)))
        .also(&["network_alpha", "linear_alpha"])
        .otherwise("2 × lora_rank", "lora_rank 的 2 倍")
        .help(
            "The strength of what is learned: it is multiplied by alpha / rank. Set it to the rank for calmer training; \
             a recipe's learning rate fits only its own ratio.",
            "学到的内容的强度：乘以 alpha / rank。想练得平稳些，就设成与 rank 相同；教程里的学习率只适合它自己的比值。",
        ),
    setting("lora_target", choice!(LORA_TARGETS, lora_target))
        .also(&["layer_filter_preset"])
        .refuse(|value| {
            let why = "a list of module names is not implemented yet; use `attention` or `transformer`";
            value.is_sequence().then_some(why)
        })
        .help(
            "Which layers are trained. `attention` joins words and shapes and suits one thing; `transformer` adds the \
             feed-forward layers and suits styles.",
            "训练哪些层。`attention` 连接文字和形状，适合学一件东西；`transformer` 加上前馈层，适合学风格。",
        ),
    setting("network_weights", Kind::Path(optional_field!(network_weights)))
        .also(&["lora_model_name", "init_lora", "pretrained_lora_path"])
        .otherwise("a new LoRA", "新的 LoRA")
        .help(
            "A LoRA file to start from. Use it to go on with one that you have, with more pictures or more epochs.",
            "从哪个已有的 LoRA 文件开始。想在它的基础上加图片、加轮数接着练时用。",
        ),
];
