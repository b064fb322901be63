//! Pictures that are drawn while training.

use super::super::{
    choices::PREVIEW_SAMPLERS,
    key::{Key, setting},
    kind::{Kind, choice, field},
    readers, show,
    words::Words,
};

pub(super) const KEYS: &[Key] = &[
    setting(
        "sample_prompts",
        Kind::Special {
            wanted: Words::new(
                "a list of prompts, one prompt, or a `.txt` file with a prompt in each line",
                "提示词的列表，一条提示词，或每行一条提示词的 `.txt` 文件",
            ),
            set: |config, value, _| readers::preview_prompts(value).map(|prompts| config.previews.prompts = prompts),
            show: |config| show::preview_prompts(&config.previews.prompts),
        },
    )
    .also(&["validation_prompt"])
    .help(
        "What is drawn now and then to see what the LoRA has learned. Without prompts nothing is drawn. Each may carry \
         options: `--n` negative prompt, `--w` `--h` size, `--d` seed, `--s` steps, `--l` guidance.",
        "训练中画什么样图，看学到了什么。不写就不画。每条可带选项：`--n` 反向提示词，`--w` `--h` 尺寸，`--d` 种子，`--s` 步数，`--l` 引导强度。",
    ),
    setting("sample_every_n_epochs", Kind::Whole(0..=u32::MAX, field!(previews.every_n_epochs)))
        .also(&["validation_epochs"])
        .remark("0 = never", "0 为不画")
        .help(
            "After how many epochs previews are drawn. Drawing takes time: raise it for small sets with many epochs.",
            "每几轮画一次样图。画图要花时间：图片少、轮数多时，可设大些。",
        ),
    setting("sample_every_n_steps", Kind::Whole(0..=u32::MAX, field!(previews.every_n_steps)))
        .remark("0 = never", "0 为不画")
        .help(
            "After how many steps previews are drawn, besides those of the epochs. Useful where one epoch takes long.",
            "每多少步画一次样图，与按轮数画的互不影响。一轮要很久时有用。",
        ),
    setting("sample_at_first", Kind::Flag(field!(previews.at_first))).help(
        "Whether previews are also drawn before the first step. They show what the base model makes of your prompts.",
        "第一步之前是否也画样图。可以看到底模自己会画成什么样。",
    ),
    setting("sample_sampler", choice!(PREVIEW_SAMPLERS, previews.sampler)).help(
        "The method by which previews are drawn. `dpmpp_2m_karras` makes good pictures in few steps.",
        "用什么方法画样图。`dpmpp_2m_karras` 步数少也画得好。",
    ),
];
