//! `lora-wgpu keys`: what may stand in a configuration.

use std::{env, io::Write};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use unicode_width::UnicodeWidthStr;

use crate::config::{DefaultText, GROUPS, Key, Language, Words, all_keys, key_names, nearest, reference_page, wrap};

use super::Outcome;

/// List the keys of a configuration, or explain some
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// Everything about the keys whose name, other name or help contains this
    word: Option<String>,
    /// Language of the list; without it, that of LC_ALL or LANG
    #[arg(long)]
    lang: Option<Lang>,
    /// Print the reference page in Markdown, in English unless --lang says zh
    #[arg(long, conflicts_with = "word")]
    markdown: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Lang {
    En,
    Zh,
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::En => Language::English,
            Lang::Zh => Language::Chinese,
        }
    }
}

/// Columns of a terminal.
const WIDTH: usize = 80;
const NAME_WIDTH: usize = 36;
const LABEL_WIDTH: usize = 11;

const VALUE: Words = Words::new("value", "值");
const DEFAULT: Words = Words::new("default", "默认");
const ALSO: Words = Words::new("also", "又名");
const NOT_BUILT: Words = Words::new("not built", "还没有");
const ACCEPTED: Words = Words::new("accepted", "可写");
const HOW_TO_GO_ON: Words = Words::new(
    "`lora-wgpu keys WORD` tells everything about a key or a subject, such as `lora-wgpu keys rank`.",
    "`lora-wgpu keys 词` 查看某个键或某方面的全部说明，如 `lora-wgpu keys rank`。",
);

/// Prints the list, the keys that `word` means, or the page.
///
/// # Errors
/// A word that means no key, and output that cannot be written.
pub fn keys(args: &KeysArgs, out: &mut dyn Write) -> Result<Outcome> {
    let language = args.lang.map(Language::from);
    if args.markdown {
        write!(out, "{}", reference_page(language.unwrap_or(Language::English)))?;
        return Ok(Outcome::Success);
    }
    let language = language.unwrap_or_else(language_of_the_terminal);
    match &args.word {
        None => list(language, out)?,
        Some(word) => {
            for key in matching(word)? {
                explain(key, language, out)?;
            }
        }
    }
    Ok(Outcome::Success)
}

/// LC_ALL wins over LC_MESSAGES and LANG.
fn language_of_the_terminal() -> Language {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    match ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set) {
        Some(locale) if locale.starts_with("zh") => Language::Chinese,
        _ => Language::English,
    }
}

/// Name, default and first sentence of every key that does something.
fn list(language: Language, out: &mut dyn Write) -> Result<()> {
    for group in GROUPS {
        writeln!(out, "{}", group.title.of(language))?;
        for key in group.keys {
            let default = shortened(&default_text(key, language), WIDTH - 2 - NAME_WIDTH);
            writeln!(out, "  {:<NAME_WIDTH$}{default}", key.name)?;
            writeln!(out, "    {}", key.help.first_sentence(language))?;
        }
        writeln!(out)?;
    }
    wrap(HOW_TO_GO_ON.of(language), WIDTH).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    Ok(())
}

fn default_text(key: &Key, language: Language) -> String {
    match key.default(language) {
        DefaultText::Value(yaml) => yaml,
        DefaultText::Words(words) => words.to_owned(),
    }
}

/// The text, or as much of it as leaves room for an ellipsis.
fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short: String = text.to_owned();
    while short.width() + 1 > width {
        short.pop();
    }
    short + "…"
}

/// Keys that the word means: those it names, then those whose name holds it, then those whose help does.
fn matching(word: &str) -> Result<Vec<&'static Key>> {
    let wanted = word.to_lowercase();
    let mut keys: Vec<(u8, &Key)> = all_keys().filter_map(|key| Some((nearness(key, &wanted)?, key))).collect();
    if keys.is_empty() {
        match nearest(word, key_names()) {
            Some(name) => bail!("no key is about `{word}`; did you mean `{name}`?"),
            None => bail!("no key is about `{word}`; `lora-wgpu keys` lists all there are"),
        }
    }
    keys.sort_by_key(|(nearness, _)| *nearness);
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

fn nearness(key: &Key, wanted: &str) -> Option<u8> {
    if key.names().any(|name| name.eq_ignore_ascii_case(wanted)) {
        return Some(0);
    }
    if key.names().any(|name| name.to_lowercase().contains(wanted)) {
        return Some(1);
    }
    let in_help = [key.help.en, key.help.zh].iter().any(|help| help.to_lowercase().contains(wanted));
    in_help.then_some(2)
}

/// Everything about a key: what it takes in `language`, what it does in both.
fn explain(key: &Key, language: Language, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "{}", key.name)?;
    if key.is_built() {
        labelled(VALUE.of(language), &key.takes(language), out)?;
        labelled(DEFAULT.of(language), &default_text(key, language), out)?;
    } else {
        labelled(ACCEPTED.of(language), &key.takes(language), out)?;
    }
    let also = key.other_names(language);
    if !also.is_empty() {
        labelled(ALSO.of(language), &also, out)?;
    }
    for language in in_order(language) {
        let label = if key.is_built() { "" } else { NOT_BUILT.of(language) };
        labelled(label, key.help.of(language), out)?;
    }
    writeln!(out)?;
    Ok(())
}

fn in_order(first: Language) -> [Language; 2] {
    match first {
        Language::English => [Language::English, Language::Chinese],
        Language::Chinese => [Language::Chinese, Language::English],
    }
}

/// A label and wrapped text behind it; without a label, text in the whole width.
fn labelled(label: &str, text: &str, out: &mut dyn Write) -> Result<()> {
    let indentation = if label.is_empty() { 0 } else { LABEL_WIDTH };
    for (index, line) in wrap(text, WIDTH - 2 - indentation).iter().enumerate() {
        let label = if index == 0 { label } else { "" };
        let padding = " ".repeat(indentation - label.width());
        writeln!(out, "  {label}{padding}{line}")?;
    }
    Ok(())
}
