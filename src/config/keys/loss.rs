//! What is compared with what: weights of the loss, and the noise that is added.

use super::super::{
    key::{Key, setting},
    kind::{Kind, field},
    range::from,
    readers, show,
    words::Words,
};

pub(super) const KEYS: &[Key] = &[
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
    setting("noise_offset", Kind::Number(from(0.0).to(1.0), field!(noise_offset)))
        .also(&["offset_noise_weight"])
        .remark("such as 0.05", "如 0.05")
        .help(
            "Helps the LoRA to learn pictures that are dark or light all over. 0.05 to 0.1 for such pictures, 0 for \
             others.",
            "帮助学会整体很暗或很亮的图片。这样的图用 0.05 到 0.1，其余用 0。",
        ),
];
