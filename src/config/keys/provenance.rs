//! What the LoRA's files say of themselves: whose they are and how to use them.

use super::super::{
    key::{Key, setting},
    kind::{Field, Kind, field},
};

/// A field of the provenance that holds trimmed text, or nothing where that is blank.
macro_rules! statement {
    ($field:ident) => {
        Kind::Note(Field {
            put: |config, text| {
                config.provenance.$field = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
            },
            get: |config| config.provenance.$field.clone(),
        })
    };
}

pub(super) const KEYS: &[Key] = &[
    setting("metadata_author", statement!(author)).otherwise("nothing", "无").help(
        "Who made the LoRA; it is written into the file. A museum's or workshop's name belongs here.",
        "LoRA 的作者，写进文件。可填博物馆或工坊的名称。",
    ),
    setting("metadata_license", statement!(license)).otherwise("nothing", "无").help(
        "Under which terms the LoRA may be used; it is written into the file. Say it before you pass the file on.",
        "LoRA 可按什么条款使用，写进文件。把文件交给别人之前请写明。",
    ),
    setting("metadata_description", statement!(description)).otherwise("nothing", "无").help(
        "What the LoRA is, in a sentence or two, written into the file. WebUIs show it.",
        "用一两句话介绍这个 LoRA，写进文件。WebUI 会显示。",
    ),
    setting("metadata_tags", Kind::List(field!(provenance.tags))).help(
        "Words under which the LoRA can be found, written into the file. Craft, region, period.",
        "便于查找的标签，写进文件。如工艺、地区、年代。",
    ),
    setting("trigger_phrase", statement!(trigger_phrase)).otherwise("nothing", "无").help(
        "The words in your captions that call the style. WebUIs add them to a prompt together with the LoRA.",
        "说明文字里用来唤起风格的词。在 WebUI 里点选 LoRA 时会一并加进提示词。",
    ),
];
