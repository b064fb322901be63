//! What is compared with what: the kind of loss, its weights, and the noise levels that are trained on.

use super::super::{
    choices::{HUBER_SCHEDULES, LOSS_TYPES},
    key::{Key, setting},
    kind::{Kind, choice, field},
    loss_config::TIMESTEPS,
    range::{above, from},
    readers, show,
    words::Words,
};

pub(super) const KEYS: &[Key] = &[
    setting("loss_type", choice!(LOSS_TYPES, loss.loss_type)).help(
        "How a wrong prediction is counted. `l2` counts large errors most; `huber` and `smooth_l1` are less impressed by \
         pictures that do not fit in with the others.",
        "预测错了怎样计算损失。`l2` 最看重大的误差；`huber` 和 `smooth_l1` 不容易被与众不同的图片带偏。",
    ),
    setting("huber_c", Kind::Number(above(0.0), field!(loss.huber_c))).remark("such as 0.1", "如 0.1").help(
        "The error from which `huber` and `smooth_l1` count less, at the most noise. Smaller values forgive more.",
        "噪声最强时，误差超过多少，`huber` 和 `smooth_l1` 就少计。越小越宽容。",
    ),
    setting("huber_schedule", choice!(HUBER_SCHEDULES, loss.huber_schedule)).help(
        "How `huber_c` changes with the noise level. `snr` and `exponential` begin near 1 where there is little noise; \
         `constant` keeps it everywhere.",
        "`huber_c` 怎样随噪声级别变化。`snr` 和 `exponential` 在噪声少时接近 1；`constant` 始终不变。",
    ),
    setting("huber_scale", Kind::Number(above(0.0), field!(loss.huber_scale))).remark("such as 1", "如 1").help(
        "A factor for the threshold of `huber_schedule: constant` and `exponential`. `snr` has none.",
        "`huber_schedule` 为 `constant` 或 `exponential` 时，阈值再乘的倍数。`snr` 不用它。",
    ),
    setting(
        "min_snr_gamma",
        Kind::Special {
            wanted: Words::new("true, false, or a number from 0", "true、false，或不小于 0 的数"),
            set: |config, value, wanted| {
                readers::min_snr_gamma(value, wanted).map(|gamma| config.min_snr_gamma = gamma)
            },
            show: |config| config.min_snr_gamma.map_or_else(|| "false".into(), show::number),
        },
    )
    .also(&["snr_gamma"])
    .remark("such as 5, which is what true means", "如 5，true 即 5")
    .help(
        "Evens out easy and hard noise levels. It limits the weight of the easy ones; 5 makes training steadier, most \
         of all on small sets.",
        "限制容易的噪声级别的权重，让难易均衡。用 5，训练更稳，图片少时尤其明显。",
    ),
    setting("debiased_estimation_loss", Kind::Flag(field!(loss.debiased_estimation_loss))).help(
        "Gives more weight to strong noise, where the whole of a picture is made. Another way than `min_snr_gamma`; one \
         of the two is enough.",
        "加重强噪声的权重，那里决定画面的整体。与 `min_snr_gamma` 目的相近，用一个就够。",
    ),
    setting("scale_v_pred_loss_like_noise_pred", Kind::Flag(field!(loss.scale_v_pred_loss_like_noise_pred))).help(
        "Weighs noise levels as noise prediction does, where the model predicts v. It needs \
         `prediction_type: v_prediction`.",
        "底模预测 v 时，按预测噪声的方式给各噪声级别加权。须配合 `prediction_type: v_prediction`。",
    ),
    setting("v_pred_like_loss", Kind::Number(from(0.0), field!(loss.v_pred_like_loss)))
        .remark("0 = off", "0 为不用")
        .help(
            "Adds so much of a loss weighed as v-prediction does. For base models that predict the noise.",
            "再加上多少按 v 预测方式加权的损失。用于预测噪声的底模。",
        ),
    setting("zero_terminal_snr", Kind::Flag(field!(loss.zero_terminal_snr)))
        .also(&["rescale_noise_scheduler_to_zero_terminal_snr"])
        .help(
            "Trains down to pure noise, for base models made that way. They predict v, and draw very dark and very light \
             pictures; others are spoiled by it.",
            "一直练到纯噪声，供这样做成的底模使用。它们预测 v，能画很暗、很亮的图；别的底模用了会坏。",
        ),
    setting("masked_loss", Kind::Flag(field!(loss.masked_loss))).also(&["masked_training"]).help(
        "Learns only what masks show in white. For a thing whose surroundings do not matter; grey counts in part. The masks \
         are in `conditioning_data_dir`, or beside the pictures as `<name>-masklabel.png`.",
        "只学蒙版上白色的部分。适合背景无关紧要的东西；灰色按比例计。蒙版放在 `conditioning_data_dir`，或图片旁的 \
         `<图名>-masklabel.png`。",
    ),
    setting("alpha_mask", Kind::Flag(field!(loss.alpha_mask))).help(
        "Learns only the opaque part of transparent pictures. It needs PNG or WebP pictures whose background was cut away; a \
         mask file goes before it.",
        "只学透明图片中不透明的部分。须用抠掉背景的 PNG 或 WebP；有蒙版文件时以蒙版为准。",
    ),
    setting("min_timestep", Kind::Whole(0..=TIMESTEPS - 1, field!(loss.min_timestep))).help(
        "The lowest noise level that is trained on. Raise it to leave fine details as the base model draws them.",
        "从哪个噪声级别起训练。提高它，细节就保持底模的画法。",
    ),
    setting("max_timestep", Kind::Whole(1..=TIMESTEPS, field!(loss.max_timestep))).help(
        "The noise level below which training stays. Lower it to leave the layout of pictures as the base model draws it.",
        "训练的噪声级别低于多少。降低它，构图就保持底模的画法。",
    ),
];
