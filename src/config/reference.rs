//! The reference page of all keys as Markdown, made from their rows.

use super::{
    choices::Word,
    key::{DefaultText, Key},
    keys::{GROUPS, UNSUPPORTED},
    words::{Language, Words},
};

const INTRODUCTION: Words = Words::new(
    "# All configuration keys\n\n\
     [中文](configuration.zh-CN.md) · [README](../README.md)\n\n\
     A configuration is a YAML file with a `key: value` in each line; `base_model` and `train_data_dir` are enough, \
     every other key has a default. Paths count from the folder in which the program runs. The names that other trainers \
     have for a key are understood, `--set key=value` on the command line wins over the file, and a key that is mistyped \
     or out of its range is an error that names the line. `lora-wgpu keys WORD` shows the same in a terminal.\n",
    "# 全部配置键\n\n\
     [English](configuration.md) · [README](../README.zh-CN.md)\n\n\
     配置是一个 YAML 文件，每行一个 `键: 值`；只写 `base_model` 和 `train_data_dir` 就够，其余都有默认值。路径从运行程序\
     时所在的文件夹算起。别的训练器对同一个键的叫法也认得；命令行的 `--set 键=值` 优先于文件；键写错或值超出范围会报错，并\
     指出是哪一行。在终端里用 `lora-wgpu keys 词` 可查到同样的内容。\n",
);
const COLUMNS: Words = Words::new("| key | value | default | what it does |", "| 键 | 值 | 默认 | 作用 |");
const NOT_BUILT: Words = Words::new(
    "## Known and not built yet\n\n\
     These keys of other trainers are read, so that nothing is ignored: a value that would change the result is an \
     error.\n\n\
     | key | accepted | what happens instead |\n|---|---|---|\n",
    "## 认得、但还没有的功能\n\n\
     别的训练器的这些键会照读，不会悄悄忽略：凡会改变结果的值都报错。\n\n\
     | 键 | 可以写的值 | 现在的做法 |\n|---|---|---|\n",
);
const MADE_BY: Words = Words::new(
    "\nMade from the program's table of keys by `lora-wgpu keys --markdown`; changes belong into `src/config/keys/`.\n",
    "\n本页由 `lora-wgpu keys --markdown --lang zh` 从程序的键表生成；修改请改 `src/config/keys/`。\n",
);
const ALSO: Words = Words::new("also", "又名");

/// The page with every key, in Markdown.
pub fn reference_page(language: Language) -> String {
    let mut page = INTRODUCTION.of(language).to_owned();
    for group in GROUPS {
        page += &format!("\n## {}\n\n{}\n|---|---|---|---|\n", group.title.of(language), COLUMNS.of(language));
        group.keys.iter().for_each(|key| page += &setting_row(key, language));
    }
    page += &format!("\n{}", NOT_BUILT.of(language));
    UNSUPPORTED.iter().for_each(|key| page += &unsupported_row(key, language));
    page + MADE_BY.of(language)
}

fn setting_row(key: &Key, language: Language) -> String {
    let value = key.takes(language) + &other_words(key, language);
    let default = match key.default(language) {
        DefaultText::Value(yaml) => format!("`{yaml}`"),
        DefaultText::Words(words) => words.to_owned(),
    };
    format!("| {} | {value} | {default} | {} |\n", names(key, language), key.help.of(language))
}

fn unsupported_row(key: &Key, language: Language) -> String {
    format!("| {} | {} | {} |\n", names(key, language), key.takes(language), key.help.of(language))
}

fn names(key: &Key, language: Language) -> String {
    let also = key.other_names(language);
    let line = if also.is_empty() { String::new() } else { format!("<br>{} {also}", ALSO.of(language)) };
    format!("`{}`{line}", key.name)
}

/// The words of a choice that are other names for those shown.
fn other_words(key: &Key, language: Language) -> String {
    let means = if language == Language::English { "for" } else { "即" };
    let others = key.words().into_iter().filter(|word| word.word != word.shown);
    let list: Vec<String> = others.map(|Word { word, shown }| format!("`{word}` {means} `{shown}`")).collect();
    match (list.is_empty(), language) {
        (true, _) => String::new(),
        (false, Language::English) => format!("; also {}", list.join(", ")),
        (false, Language::Chinese) => format!("；也认 {}", list.join("、")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    /// Compares a page of the repository with what the rows say now.
    #[track_caller]
    fn assert_current(language: Language, file: &str, command: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
        let stored = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
        assert!(stored == reference_page(language), "docs/{file} is stale; renew it: {command} > docs/{file}");
    }

    #[test]
    fn the_english_page_is_current() {
        assert_current(Language::English, "configuration.md", "cargo run -- keys --markdown");
    }

    #[test]
    fn the_chinese_page_is_current() {
        assert_current(Language::Chinese, "configuration.zh-CN.md", "cargo run -- keys --markdown --lang zh");
    }
}
