//! What kind of adapter is trained, where it is larger or learns faster, and what keeps it from learning by heart.

use super::super::{
    choices::{DORA_AXES, NETWORK_TYPES},
    key::{Key, Shorthand, Translate, Translated, setting, shorthand},
    kind::{Kind, choice, field},
    network_args,
    network_readers::{self as readers, LR_FACTORS},
    range::{above, from},
    show, value,
    words::Words,
};

const DORA: Translate = |given| Ok(if value::expect_flag(given)? { "dora" } else { "lora" }.into());
const TRUE_MEANS_DORA: Words = Words::new("true means `dora`", "true 即 `dora`");

const RANKS: Words = Words::new(
    "25 whole numbers from 0 to 1024, a list or text with commas",
    "25 个 0 到 1024 的整数，列表，或用逗号隔开的文字",
);
const ALPHAS: Words =
    Words::new("25 numbers from 0, a list or text with commas", "25 个不小于 0 的数，列表，或用逗号隔开的文字");
const FACTORS: Words = Words::new(
    "up to 12 numbers from 0 to 1000, or `sine`, `cosine`, `linear`, `reverse_linear`, `zeros` with or without `+x`",
    "至多 12 个不小于 0、不大于 1000 的数，或 `sine`、`cosine`、`linear`、`reverse_linear`、`zeros`，后面可加 `+x`",
);

/// [`Kind::Special`] of a list of numbers: `list!(RANKS, readers::block_ranks, network.block_dims)`.
macro_rules! list {
    ($wanted:ident, $read:path, $($path:ident).+) => {
        Kind::Special {
            wanted: $wanted,
            set: |config, value, wanted| $read(value, wanted).map(|numbers| config.$($path).+ = numbers),
            show: |config| show::numbers(&config.$($path).+),
        }
    };
}

pub(super) const KEYS: &[Key] = &[
    setting("network_type", choice!(NETWORK_TYPES, network.network_type))
        .also(&["algo", "lycoris_algo"])
        .translated(&[
            Translated { alias: "dora_wd", translate: DORA, said: TRUE_MEANS_DORA },
            Translated { alias: "use_dora", translate: DORA, said: TRUE_MEANS_DORA },
            Translated { alias: "lora_decompose", translate: DORA, said: TRUE_MEANS_DORA },
        ])
        .help(
            "The kind of adapter. `lora` suits everything and every WebUI; `dora` learns a little more at the same rank \
             and takes longer; `loha` and `lokr` make other shapes of change from small files.",
            "适配器的种类。`lora` 什么都适用，WebUI 都能读；`dora` 同样的 rank 学得稍多，用时更长；`loha` 和 `lokr` \
             用小文件表示别样的变化。",
        ),
    setting("dora_axis", choice!(DORA_AXES, network.dora_axis))
        .translated(&[Translated {
            alias: "wd_on_output",
            translate: |given| Ok(if value::expect_flag(given)? { "output" } else { "input" }.into()),
            said: Words::new("true means `output`", "true 即 `output`"),
        }])
        .help(
            "What the magnitudes of `network_type: dora` count. WebUIs read `input` right; `output` is what diffusers \
             reads, and what LyCORIS trains.",
            "`network_type: dora` 的幅值按什么计。WebUI 都能正确读 `input`；diffusers 读的是 `output`，LyCORIS 训练的也是它。",
        ),
    setting(
        "lokr_factor",
        Kind::Special {
            wanted: Words::new("-1 or a whole number from 1", "-1，或不小于 1 的整数"),
            set: |config, value, wanted| {
                readers::lokr_factor(value, wanted).map(|factor| config.network.lokr_factor = factor)
            },
            show: |config| config.network.lokr_factor.to_string(),
        },
    )
    .also(&["factor"])
    .remark("-1 = as even as can be", "-1 为尽量均分")
    .help(
        "Into what parts `network_type: lokr` divides a matrix. Small factors such as 4 learn more and give larger files.",
        "`network_type: lokr` 怎样拆分矩阵。4 这样小的数学得更多，文件也更大。",
    ),
    setting("conv_dim", Kind::Whole(0..=1024, field!(network.conv_dim)))
        .also(&["conv", "conv_rank"])
        .remark("0 = none", "0 为不训练")
        .help(
            "The rank of 3×3 convolutions. With it the rest of resnets and samplers is trained too, at the ordinary \
             rank; that helps with textures, brushwork and stitches, and makes files larger.",
            "3×3 卷积的 rank。写了它，resnet 和上下采样里其余的层也一起训练，用普通的 rank；有助于学质感、笔触、针脚，文件更大。",
        ),
    setting("conv_alpha", Kind::Number(from(0.0), field!(network.conv_alpha))).help(
        "The strength of 3×3 convolutions: alpha / `conv_dim`. 1 is usual, half of `conv_dim` for a stronger effect.",
        "3×3 卷积的强度：alpha / `conv_dim`。通常用 1，想更强就取 `conv_dim` 的一半。",
    ),
    setting("block_dims", list!(RANKS, readers::block_ranks, network.block_dims))
        .remark("0 leaves a block out", "0 为不训练该块")
        .help(
            "A rank for each of the 25 blocks of the U-Net. They are the way down, the middle and the way up, and go before \
             `lora_rank`; leave them unless you know which blocks carry your style.",
            "U-Net 25 个块各用多大的 rank，依次为下行、中间、上行。优先于 `lora_rank`；不清楚哪些块决定您的风格，就不要写。",
        ),
    setting("block_alphas", list!(ALPHAS, readers::block_alphas, network.block_alphas)).help(
        "An alpha for each of the 25 blocks of the U-Net. It goes before `lora_alpha`.",
        "U-Net 25 个块各用多大的 alpha。优先于 `lora_alpha`。",
    ),
    setting("conv_block_dims", list!(RANKS, readers::block_ranks, network.conv_block_dims))
        .remark("0 leaves a block out", "0 为不训练该块")
        .help(
            "A rank for the 3×3 convolutions of each of the 25 blocks. It goes before `conv_dim`, which must be set.",
            "25 个块的 3×3 卷积各用多大的 rank。优先于 `conv_dim`，但 `conv_dim` 也须写。",
        ),
    setting("conv_block_alphas", list!(ALPHAS, readers::block_alphas, network.conv_block_alphas)).help(
        "An alpha for the 3×3 convolutions of each of the 25 blocks. It goes before `conv_alpha`.",
        "25 个块的 3×3 卷积各用多大的 alpha。优先于 `conv_alpha`。",
    ),
    setting("down_lr_weight", list!(FACTORS, readers::lr_factors, network.down_lr_weight))
        .note(readers::filled_with_ones)
        .help(
            "Factors of the learning rate for the 12 blocks on the way down. 0 leaves a block out; these decide the layout.",
            "下行 12 个块的学习率各乘以多少。0 为不训练该块；这些块决定构图。",
        ),
    setting(
        "mid_lr_weight",
        Kind::Special {
            wanted: Words::new("a number from 0 to 1000", "不小于 0、不大于 1000 的数"),
            set: |config, value, wanted| {
                readers::single(value, &LR_FACTORS, wanted).map(|factor| config.network.mid_lr_weight = factor)
            },
            show: |config| show::number(config.network.mid_lr_weight),
        },
    )
    .help(
        "What the learning rate is multiplied by in the middle block. 0 leaves it out.",
        "中间块的学习率乘以多少。0 为不训练该块。",
    ),
    setting("up_lr_weight", list!(FACTORS, readers::lr_factors, network.up_lr_weight))
        .note(readers::filled_with_ones)
        .help(
            "Factors of the learning rate for the 12 blocks on the way up. 0 leaves a block out; the last ones decide colours \
             and textures.",
            "上行 12 个块的学习率各乘以多少。0 为不训练该块；靠后的块决定色彩和质感。",
        ),
    setting("block_lr_zero_threshold", Kind::Number(LR_FACTORS, field!(network.block_lr_zero_threshold))).help(
        "Factors of the learning rate up to this one count as 0. It serves presets such as `sine`, which come near 0.",
        "学习率的倍数不大于它，就当作 0。用于 `sine` 这类会接近 0 的预设。",
    ),
    shorthand(
        "loraplus_lr_ratio",
        Shorthand {
            wanted: Words::new("a number above 0 and at most 1000", "大于 0、不大于 1000 的数"),
            expand: network_args::expand_ratio,
            notes: |_| Vec::new(),
        },
    )
    .remark("such as 16", "如 16")
    .otherwise("1 for both", "两者都为 1")
    .help(
        "How much faster the second matrix of each LoRA learns. It sets `loraplus_unet_lr_ratio` and \
         `loraplus_text_encoder_lr_ratio` at once; the paper on LoRA+ proposes 16.",
        "每个 LoRA 的第二个矩阵，学习率是第一个的几倍。同时设定 `loraplus_unet_lr_ratio` 和 `loraplus_text_encoder_lr_ratio`；\
         LoRA+ 的论文建议 16。",
    ),
    setting(
        "loraplus_unet_lr_ratio",
        Kind::Number(above(0.0).to(1000.0), field!(network.loraplus_unet_lr_ratio)),
    )
    .help(
        "How much faster the second matrix of each LoRA learns in the U-Net. 4 to 16 shorten a training; lower \
         the learning rate with it.",
        "U-Net 里每个 LoRA 的第二个矩阵，学习率是第一个的几倍。4 到 16 可缩短训练；学习率要相应调低。",
    ),
    setting(
        "loraplus_text_encoder_lr_ratio",
        Kind::Number(above(0.0).to(1000.0), field!(network.loraplus_text_encoder_lr_ratio)),
    )
    .help(
        "How much faster the second matrix learns in the text encoder. As in the U-Net.",
        "文本编码器里第二个矩阵的学习率是第一个的几倍。作用与 U-Net 里的相同。",
    ),
    setting("rs_lora", Kind::Flag(field!(network.rs_lora))).also(&["use_rslora", "rank_stabilized"]).help(
        "Divides alpha by the root of the rank, not by the rank. High ranks learn better so; lower the learning rate \
         with it.",
        "alpha 除以 rank 的平方根，而不是 rank。rank 大时学得更好；学习率要相应调低。",
    ),
    setting("network_dropout", Kind::Number(from(0.0).below(1.0), field!(network.network_dropout)))
        .also(&["lora_dropout", "dropout_probability"])
        .remark("such as 0.1", "如 0.1")
        .help(
            "The share of values inside of a LoRA that each step leaves out. It slows learning by heart on small sets.",
            "每一步随机舍去 LoRA 内部多大比例的值。图片少时，可减缓死记硬背。",
        ),
    setting("rank_dropout", Kind::Number(from(0.0).below(1.0), field!(network.rank_dropout)))
        .remark("such as 0.1", "如 0.1")
        .help(
            "The share of ranks that is left out for each picture. It spreads what is learned over all of them.",
            "每张图随机舍去多大比例的 rank。让学到的东西分散到各个 rank。",
        ),
    setting("module_dropout", Kind::Number(from(0.0).below(1.0), field!(network.module_dropout)))
        .remark("such as 0.1", "如 0.1")
        .help(
            "The share of layers whose LoRA is left out at each step. It keeps layers from relying on each other.",
            "每一步随机舍去多大比例的层的 LoRA。避免各层彼此依赖。",
        ),
    setting("scale_weight_norms", Kind::Number(from(0.0), field!(network.scale_weight_norms)))
        .remark("0 = off, 1 is usual", "0 为不用，通常用 1")
        .help(
            "The largest size that the change of a layer may have. Larger ones are scaled down after each step, so that \
             the LoRA goes together with others.",
            "每一层的变化最大允许多大。超过的在每一步之后缩小，便于与别的 LoRA 同用。",
        ),
    shorthand(
        "network_args",
        Shorthand {
            wanted: Words::new("a list of \"name=value\", or a map", "\"名称=值\" 的列表，或映射"),
            expand: network_args::expand,
            notes: network_args::notes,
        },
    )
    .remark("such as `conv_dim=8`", "如 `conv_dim=8`")
    .otherwise("nothing", "无")
    .help(
        "Settings of the network as sd-scripts and LyCORIS take them. Each stands for the key of its name; write the \
         keys themselves in a file of your own.",
        "按 sd-scripts 和 LyCORIS 的写法给出网络的设置。每一项相当于同名的键；自己写配置时，直接写那些键。",
    ),
];
