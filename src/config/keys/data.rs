//! The pictures, their captions, and how they are prepared.

use super::super::{
    key::{Key, setting},
    kind::{Field, Kind, field, optional_field},
    range::from,
    readers,
    words::Words,
};

/// With its dot: an extension without one would match no file.
const CAPTION_EXTENSION: Field<String> = Field {
    put: |config, text| {
        config.caption_extension = Some(if text.starts_with('.') { text } else { format!(".{text}") });
    },
    get: |config| config.caption_extension.clone(),
};

pub(super) const KEYS: &[Key] = &[
    setting("train_data_dir", Kind::Path(field!(train_data_dir)))
        .also(&["instance_data_dir", "image_dir", "folder_path"])
        .required("./data/my_pictures")
        .help(
            "The folder with the pictures to learn from. 20 to 100 good ones are enough for a style, 8 to 30 for one \
             thing.",
            "放训练图片的文件夹。学风格，20 到 100 张好图就够；学一件东西，8 到 30 张。",
        ),
    setting("metadata_path", Kind::Path(optional_field!(metadata_path)))
        .also(&["in_json", "metadata_file"])
        .otherwise("a table in the data folder, or files beside the pictures", "图片文件夹里的表，或图片旁的文本文件")
        .help(
            "The table of captions: csv or jsonl with file names and texts. Set it where the table lies outside of the \
             data folder or is not called metadata.csv.",
            "说明文字的表格：csv 或 jsonl，含文件名和文字。表不在图片文件夹里，或不叫 metadata.csv 时才需要写。",
        ),
    setting("caption_extension", Kind::Text(CAPTION_EXTENSION))
        .also(&["caption_ext"])
        .otherwise("`.txt`, then `.caption`", "先 `.txt`，后 `.caption`")
        .help(
            "The extension of caption files that lie beside the pictures. Set it where yours end in something else.",
            "图片旁说明文件的扩展名。您的文件以别的扩展名结尾时才需要写。",
        ),
    setting("allow_missing_captions", Kind::Flag(field!(allow_missing_captions))).help(
        "Whether a picture may have no caption. Without it such a picture stops the run, because it is mostly a slip; \
         with it, it is trained with an empty text.",
        "是否允许图片没有说明。不允许时会报错，因为那多半是疏漏；允许时，该图按空白说明训练。",
    ),
    setting("conditioning_data_dir", Kind::Path(optional_field!(conditioning_data_dir)))
        .otherwise("`<name>-masklabel.png` beside each picture", "图片旁的 `<图名>-masklabel.png`")
        .help(
            "The folder of the masks for `masked_loss`. Each has the name of its picture; white is learnt, black is not.",
            "`masked_loss` 所用蒙版的文件夹。蒙版与图片同名；白处学，黑处不学。",
        ),
    setting(
        "resolution",
        Kind::Special {
            wanted: Words::new(
                "a whole number of pixels, \"width,height\" or [width, height]",
                "像素数（整数），或 \"宽,高\"，或 [宽, 高]",
            ),
            set: |config, value, wanted| readers::resolution(value, wanted).map(|size| config.resolution = size),
            show: |config| format!("[{}, {}]", config.resolution.width, config.resolution.height),
        },
    )
    .remark("sides divisible by 8", "边长须能被 8 整除")
    .help(
        "The size to which pictures are scaled and cropped. v1 models were made at 512; less saves memory and time and \
         loses detail, 768 shows more and takes twice the time.",
        "图片缩放并裁剪到的尺寸。v1 模型是按 512 训练的；小些省显存、省时间，但丢细节，768 细节更多，用时约两倍。",
    ),
    setting("num_repeats", Kind::Whole(1..=u32::MAX, field!(num_repeats))).also(&["dataset_repeats", "repeats"]).help(
        "How often each picture is shown in one epoch. Leave it at 1 and set `epochs`, unless you follow a recipe that \
         counts repeats.",
        "每一轮里每张图用几次。一般留 1，用 `epochs` 调节；照搬按重复次数写的教程时才改。",
    ),
    setting("cache_latents", Kind::Flag(Field { put: |_, _| (), get: |_| Some(true) }))
        .also(&["latent_caching"])
        .note(|value| {
            let why = "latents are computed once all the same, since pictures are never varied";
            (value.as_bool() == Some(false)).then_some(why)
        })
        .help(
            "Whether each picture is encoded only once. It always is; the key is read so that other trainers' files \
             work.",
            "每张图是否只编码一次。总是如此；保留这个键，是为了能读别的训练器的配置。",
        ),
    setting("cache_latents_to_disk", Kind::Flag(field!(cache_latents_to_disk))).help(
        "Whether encoded pictures are kept on disk for the next run. Turn it on for hundreds of pictures, or where you \
         will train on them several times.",
        "编码好的图片是否存到硬盘，供下次使用。图片有几百张，或要反复训练时打开。",
    ),
    setting("validation_split", Kind::Number(from(0.0).below(1.0), optional_field!(validation_split)))
        .remark("0 = none", "0 为不留")
        .otherwise("one in ten, at most 8, from 40 pictures on", "满 40 张时留十分之一，最多 8 张")
        .help(
            "The share of the pictures that is held back to test on. Their loss rises when the LoRA starts to learn by \
             heart; 0 trains on every picture.",
            "留出多大比例的图片，只用来检验。它们的损失回升，说明开始死记硬背了；写 0 则全部用于训练。",
        ),
];
