//! How long, in what batches and with which steps is trained.

use super::super::{
    choices::LR_SCHEDULERS,
    key::{Key, Translated, setting},
    kind::{Field, Kind, choice, field, optional_field},
    optimizers,
    range::{above, from},
    readers, show,
    words::Words,
};

const OPTIMIZER: Field<usize> = Field {
    put: |config, word| optimizers::put(&mut config.optimizer, word),
    get: |config| Some(optimizers::word(&config.optimizer)),
};

const STEPS_OR_SHARE: Words =
    Words::new("a number of steps, or a share of them below 1 such as 0.05", "步数，或小于 1 的比例，如 0.05");

pub(super) const KEYS: &[Key] = &[
    setting("epochs", Kind::Whole(1..=u32::MAX, field!(epochs))).also(&["max_train_epochs", "num_train_epochs"]).help(
        "How often all pictures are gone through. 800 to 2000 steps in all suit most sets: fewer pictures want more epochs.",
        "所有图片过几遍。总步数一般 800 到 2000：图片越少，轮数越多。",
    ),
    setting("max_train_steps", Kind::Whole(1..=u32::MAX, optional_field!(max_train_steps)))
        .also(&["steps"])
        .otherwise("`epochs` decides", "由 `epochs` 决定")
        .help(
            "The number of steps after which the run ends, whatever `epochs` says. Set it for a fixed length or a short \
             trial.",
            "训练多少步后结束，不管 `epochs` 是多少。想要固定长度，或先短短试一下时用。",
        ),
    setting("batch_size", Kind::Whole(1..=1024, field!(batch_size))).also(&["train_batch_size"]).help(
        "How many pictures are shown at once. Larger ones make steps steadier and take more memory; 1 to 4 are usual.",
        "一次送入几张图。大些每一步更稳，但占显存更多；通常 1 到 4。",
    ),
    setting("gradient_accumulation_steps", Kind::Whole(1..=65_536, field!(gradient_accumulation_steps)))
        .also(&["gradient_accumulation"])
        .help(
            "How many batches are averaged for one step. It acts like a batch so many times larger and takes no more \
             memory, only time.",
            "几批图片合成一步。效果如同批量大了几倍，不多占显存，只多花时间。",
        ),
    setting("learning_rate", Kind::Number(above(0.0).to(1.0), field!(learning_rate)))
        .also(&["lr"])
        .remark("such as 1e-4", "如 1e-4")
        .help(
            "How far each step goes. Halve it where colours burn or shapes freeze, double it where nothing is learned; \
             larger batches bear a larger rate.",
            "每一步走多远。颜色过曝、形状僵硬就减半，学不到东西就加倍；批量越大，可以越大。",
        ),
    setting("unet_lr", Kind::Number(above(0.0).to(1.0), field!(unet_lr)))
        .remark("such as 1e-4", "如 1e-4")
        .otherwise("= learning_rate", "与 learning_rate 相同")
        .help(
            "The learning rate of the U-Net, the part that draws. It wins over `learning_rate` where both are set.",
            "U-Net（负责画图的部分）的学习率。两个都写时，以它为准而不是 `learning_rate`。",
        ),
    setting("optimizer_type", Kind::Choice(optimizers::words, OPTIMIZER)).also(&["optimizer"]).note(optimizers::note).help(
        "The rule by which the LoRA's numbers are moved. AdamW suits everything; Prodigy finds the learning rate itself, \
         Adafactor can set its own and takes as much memory as AdamW here, Lion wants a third of AdamW's rate, the \
         schedule-free ones need no end of the run. 8-bit and paged kinds are taken for theirs with 32 bits.",
        "按什么规则更新 LoRA。AdamW 各种情况都适用；Prodigy 自己找学习率，Adafactor 可自定学习率，在这里占显存与 AdamW 一样多，\
         Lion 的学习率取 AdamW 的三分之一，ScheduleFree 不必预先定下何时结束。8 位和 paged 的名称按对应的 32 位优化器运行。",
    ),
    setting(
        "optimizer_args",
        Kind::Special {
            wanted: Words::new("a map, or a list of \"name=value\"", "映射，或 \"名称=值\" 的列表"),
            set: |config, value, _| optimizers::set_arguments(&mut config.optimizer, value),
            show: |config| config.optimizer.arguments_yaml(),
        },
    )
    .after_others()
    .note(optimizers::note_arguments)
    .remark(
        "the arguments of the optimizer, such as `weight_decay=0.1`; an unknown one is answered with those there are",
        "优化器的参数，如 `weight_decay=0.1`；写错名称会列出可用的参数",
    )
    .help(
        "Fine settings of the optimizer. Leave them unless a recipe names others.",
        "优化器的细节设置。教程没有特别写明，就不要动。",
    ),
    setting("lr_scheduler", choice!(LR_SCHEDULERS, lr_scheduler)).help(
        "How the learning rate runs over the training. `cosine` fades out and is a safe choice; \
         `constant_with_warmup` keeps its strength, which suits a run that you stop by eye; `rex` falls late.",
        "学习率在训练中怎样变化。`cosine` 逐渐减小，稳妥；`constant_with_warmup` 保持不变，适合边看样图边决定何时停；`rex` 到后面才降。",
    ),
    setting(
        "lr_warmup_steps",
        Kind::Special {
            wanted: STEPS_OR_SHARE,
            set: |config, value, wanted| readers::warmup(value, wanted).map(|length| config.lr_warmup_steps = length),
            show: |config| show::warmup(config.lr_warmup_steps),
        },
    )
    .help(
        "How long the learning rate rises from 0 at the start. A twentieth of the run is enough; `constant` has no \
         warm-up.",
        "开头学习率从 0 升上来要多久。占全程的二十分之一就够；`constant` 没有预热。",
    ),
    setting("lr_scheduler_num_cycles", Kind::Whole(1..=u32::MAX, field!(lr_scheduler_num_cycles)))
        .also(&["lr_num_cycles"])
        .help(
            "Into how many waves `cosine_with_restarts` divides the run. It counts for that schedule only.",
            "`cosine_with_restarts` 把全程分成几段。只对这种曲线有效。",
        ),
    setting("lr_scheduler_power", Kind::Number(above(0.0), field!(lr_scheduler_power))).also(&["lr_power"]).help(
        "How steeply `polynomial` falls: 1 in a straight line, 2 sooner. It counts for that schedule only.",
        "`polynomial` 下降得多陡：1 为直线，2 先快后慢。只对这种曲线有效。",
    ),
    setting("lr_scheduler_min_lr_ratio", Kind::Number(from(0.0).to(1.0), field!(lr_scheduler_min_lr_ratio)))
        .remark("such as 0.1", "如 0.1")
        .help(
            "The share of the learning rate that is left at the end. It counts for `cosine_with_min_lr` and \
             `warmup_stable_decay`.",
            "结束时还剩多少学习率，以比例计。对 `cosine_with_min_lr` 和 `warmup_stable_decay` 有效。",
        ),
    setting("lr_scheduler_timescale", Kind::Whole(1..=u32::MAX, optional_field!(lr_scheduler_timescale)))
        .otherwise("the steps of the warm-up, 10000 without one", "预热的步数，没有预热则为 10000")
        .help(
            "Over how many steps `inverse_sqrt` falls. After three times as many, half is left; it counts for that schedule \
             only.",
            "`inverse_sqrt` 下降得多慢：过三倍这么多步，还剩一半。只对这种曲线有效。",
        ),
    setting(
        "lr_decay_steps",
        Kind::Special {
            wanted: STEPS_OR_SHARE,
            set: |config, value, wanted| readers::warmup(value, wanted).map(|length| config.lr_decay_steps = length),
            show: |config| show::warmup(config.lr_decay_steps),
        },
    )
    .help(
        "How long `warmup_stable_decay` takes to fall at the end. A fifth of the run is usual; it counts for that \
         schedule only.",
        "`warmup_stable_decay` 结尾下降要多久。通常占全程的五分之一；只对这种曲线有效。",
    ),
    setting("max_grad_norm", Kind::Number(from(0.0), field!(max_grad_norm)))
        .also(&["clip_grad_norm"])
        .remark("0 = no clipping", "0 为不裁剪")
        .help(
            "The largest step that the gradient may ask for; longer ones are shortened. It keeps one odd picture from \
             spoiling what was learned.",
            "梯度最大允许多长，超过就缩短。免得一张特殊的图毁掉已经学到的东西。",
        ),
    setting("use_ema", Kind::Flag(field!(network.use_ema)))
        .translated(&[Translated {
            alias: "ema",
            translate: readers::one_trainers_ema,
            said: Words::new("OFF means false, CPU and GPU true", "OFF 即 false，CPU、GPU 即 true"),
        }])
        .help(
            "Whether the file holds a running average of what was trained. It smooths out the last steps, and takes as \
             much memory again as the LoRA.",
            "文件里是否存训练过程的滑动平均。可抹平最后几步的起伏，多占与 LoRA 一样大的显存。",
        ),
    setting("ema_decay", Kind::Number(from(0.0).below(1.0), field!(network.ema_decay)))
        .remark("such as 0.999", "如 0.999")
        .help(
            "How slowly the running average of `use_ema` follows. 0.999 looks back over about a thousand steps; 0.99 suits \
             short runs.",
            "`use_ema` 的滑动平均跟得多慢。0.999 约为最近一千步的平均；训练短时用 0.99。",
        ),
    setting("seed", Kind::Seed(field!(seed))).help(
        "The number from which everything random is drawn. The same seed, device and settings give the same file; \
         another one gives another try.",
        "一切随机数由它而来。种子、设备、设置都相同，得到的文件就相同；换一个，就是另一次尝试。",
    ),
];
