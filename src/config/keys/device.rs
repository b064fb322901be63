//! Where is computed, in which numbers, and within what memory.

use super::super::{
    choices::{CHECKPOINTING_MODES, MIXED_PRECISIONS},
    key::{Key, setting},
    kind::{Kind, choice, optional_field},
};

pub(super) const KEYS: &[Key] = &[
    setting("device", Kind::Text(optional_field!(device))).otherwise("the best one", "最好的一个").help(
        "Which graphics card is used: its number or a part of its name. `lora-wgpu devices` lists them; set it where \
         another one is taken than you want.",
        "用哪块显卡：编号，或名称的一部分。`lora-wgpu devices` 会列出；程序选的不是您要的那块时才写。",
    ),
    setting("vram_limit", Kind::Memory(optional_field!(vram_limit)))
        .otherwise("what the device has free, where its driver tells", "设备空闲的显存（驱动能报告时）")
        .help(
            "How much memory of the card the run may take. It makes itself smaller until it fits, and says how; set it \
             to leave room for other programs.",
            "最多可占多少显存。程序会设法缩到放得下，并说明做了什么；想给别的程序留出空间时写。",
        ),
    setting("mixed_precision", choice!(MIXED_PRECISIONS, mixed_precision))
        .also(&["train_dtype"])
        .refuse(|value| {
            let why = "bf16 is not implemented yet; fp16 takes as little memory: set `mixed_precision: fp16`, or `no`";
            value.as_str().is_some_and(|word| word.to_lowercase().starts_with("bf")).then_some(why)
        })
        .help(
            "Whether a step computes in 16-bit numbers. `fp16` takes less memory; `no` is the most exact; `auto` takes \
             fp16 only where memory is short.",
            "是否用 16 位数运算。`fp16` 省显存；`no` 最精确；`auto` 只在显存不够时才用 fp16。",
        ),
    setting("gradient_checkpointing", choice!(CHECKPOINTING_MODES, gradient_checkpointing)).help(
        "Whether values are computed twice instead of kept. `cheap` saves some memory and hardly any time, `true` saves \
         the most and takes two fifths more work; `auto` only where memory is short.",
        "是否重算中间结果而不保存。`cheap` 省一些显存，几乎不变慢；`true` 最省，计算量多五分之二；`auto` 只在显存不够时才用。",
    ),
];
