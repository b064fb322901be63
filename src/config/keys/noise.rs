//! The noise that is added to pictures.

use super::super::{
    key::{Key, setting},
    kind::{Kind, field},
    range::from,
};

pub(super) const KEYS: &[Key] = &[
    setting("noise_offset", Kind::Number(from(0.0).to(1.0), field!(noise_offset)))
        .also(&["offset_noise_weight"])
        .remark("such as 0.05", "如 0.05")
        .help(
            "Helps the LoRA to learn pictures that are dark or light all over. 0.05 to 0.1 for such pictures, 0 for \
             others.",
            "帮助学会整体很暗或很亮的图片。这样的图用 0.05 到 0.1，其余用 0。",
        ),
    setting("noise_offset_random_strength", Kind::Flag(field!(noise.noise_offset_random_strength))).help(
        "Draws the offset's strength anew for each step, from 0 to `noise_offset`. It makes a large offset milder.",
        "每一步从 0 到 `noise_offset` 随机取偏移的强度。偏移较大时可以缓和一些。",
    ),
    setting("adaptive_noise_scale", Kind::Number(from(-1.0).to(1.0), field!(noise.adaptive_noise_scale)))
        .remark("0 = off", "0 为不用")
        .help(
            "Adds to `noise_offset` by how far a picture's mean is from grey. About the size of `noise_offset`; below 0 \
             takes away.",
            "按图片整体偏离灰色的程度加大 `noise_offset`。大小与 `noise_offset` 相近；小于 0 则减小。",
        ),
    setting("multires_noise_iterations", Kind::Whole(0..=64, field!(noise.multires_noise_iterations)))
        .remark("0 = off, 6 to 10 are usual", "0 为不用，通常 6 到 10")
        .help(
            "How many coarser layers of noise are added. They serve the same end as `noise_offset`, for large areas of \
             light and dark as well.",
            "再加多少层更粗的噪声。目的与 `noise_offset` 相同，对大块的明暗也有效。",
        ),
    setting("multires_noise_discount", Kind::Number(from(0.0).to(1.0), field!(noise.multires_noise_discount)))
        .remark("such as 0.3", "如 0.3")
        .help(
            "How much weaker each coarser layer of noise is. 0.3 for small sets, 0.8 where contrast is to grow most.",
            "每一层更粗的噪声减弱到多少。图片少用 0.3，想要最强的明暗对比用 0.8。",
        ),
    setting("ip_noise_gamma", Kind::Number(from(0.0).to(1.0), field!(noise.ip_noise_gamma)))
        .remark("0 = off, such as 0.1", "0 为不用，如 0.1")
        .help(
            "Adds noise that the model is not to predict. It learns to put its own small errors right while it draws.",
            "加入一些不要求预测的噪声。模型因此学会在画图时纠正自己的小误差。",
        ),
    setting("ip_noise_gamma_random_strength", Kind::Flag(field!(noise.ip_noise_gamma_random_strength))).help(
        "Draws that noise's strength anew for each step, from 0 to `ip_noise_gamma`.",
        "每一步从 0 到 `ip_noise_gamma` 随机取这种噪声的强度。",
    ),
];
