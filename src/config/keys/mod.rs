//! The table of keys: a row each, in a file for each group. A new key is one row in its group's file and a field in
//! [`TrainConfig`]; the parser, the resolved YAML, `lora-wgpu keys` and the reference page are made from the row.

mod adapters;
mod data;
mod device;
mod loss;
mod model;
mod network;
mod noise;
mod previews;
mod provenance;
mod saving;
mod text_encoder;
mod training;
mod unsupported;

use super::{
    key::{Key, Translate},
    train_config::{PreviewPrompts, TrainConfig},
    words::Words,
};
use std::path::Path;

/// Keys of one kind, under the title of their section.
pub struct Group {
    pub title: Words,
    pub keys: &'static [Key],
}

const fn group(en: &'static str, zh: &'static str, keys: &'static [Key]) -> Group {
    Group { title: Words::new(en, zh), keys }
}

/// All keys that do something, in the order in which they are printed.
pub const GROUPS: &[Group] = &[
    group("Base model", "底模", model::KEYS),
    group("Pictures and captions", "图片和说明", data::KEYS),
    group("Network", "网络", network::KEYS),
    group("Adapter", "适配器", adapters::KEYS),
    group("Text encoder", "文本编码器", text_encoder::KEYS),
    group("Training", "训练", training::KEYS),
    group("Loss", "损失", loss::KEYS),
    group("Noise", "噪声", noise::KEYS),
    group("Device and memory", "设备与显存", device::KEYS),
    group("Saving and logs", "保存与日志", saving::KEYS),
    group("Previews", "样图", previews::KEYS),
    group("Provenance", "来源信息", provenance::KEYS),
];

/// Keys of other trainers that are known and not built yet.
pub(super) const UNSUPPORTED: &[Key] = unsupported::KEYS;

/// All keys that do something.
pub(super) fn settings() -> impl Iterator<Item = &'static Key> {
    GROUPS.iter().flat_map(|group| group.keys)
}

/// All rows.
pub fn all() -> impl Iterator<Item = &'static Key> {
    settings().chain(UNSUPPORTED)
}

/// The row of a canonical name or alias, and how the alias's value translates into the row's where the two differ.
pub(super) fn find(name: &str) -> Option<(&'static Key, Option<Translate>)> {
    let key = all().find(|key| key.names().any(|other| other == name))?;
    let translated = key.translated.iter().find(|row| row.alias == name);
    Some((key, translated.map(|row| row.translate)))
}

/// Every name that a file may use.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().flat_map(Key::names)
}

/// Makes every relative path of `config` one below `base_folder`.
pub(super) fn anchor(config: &mut TrainConfig, base_folder: &Path) {
    settings().for_each(|key| key.anchor(config, base_folder));
    if let PreviewPrompts::File(file) = &mut config.previews.prompts {
        *file = base_folder.join(&file);
    }
}
