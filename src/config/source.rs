//! The YAML file: its top-level entries in order, and the line each stands on.

use anyhow::{Context, Result, anyhow};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_yaml::Value;
use std::{fmt, fs, path::Path};

/// One `key: value` of the file.
#[derive(Debug)]
pub(super) struct SourceEntry {
    pub key: String,
    pub value: Value,
    /// Where the key stands; `None` where the file is not written one key to a line.
    pub line: Option<SourceLine>,
}

/// A line of the file, for error messages.
#[derive(Clone, Debug)]
pub(super) struct SourceLine {
    /// From 1.
    pub number: usize,
    pub text: String,
}

impl SourceLine {
    fn new(source: &str, number: usize) -> Option<Self> {
        let text = source.lines().nth(number.checked_sub(1)?)?.trim_end().to_owned();
        Some(Self { number, text })
    }
}

impl fmt::Display for SourceLine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "  {} | {}", self.number, self.text)
    }
}

/// Reads the file as UTF-8, with or without a byte order mark.
///
/// # Errors
/// A file that cannot be read or is in another encoding.
pub fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read the configuration {}", path.display()))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| anyhow!("{}: not UTF-8 text; save the file with UTF-8 encoding", path.display()))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The top-level entries in the order of the file, duplicates included.
///
/// # Errors
/// A syntax error, with its line; a file that is no map of keys to values.
pub(super) fn entries(path: &Path, source: &str) -> Result<Vec<SourceEntry>> {
    let Entries(pairs) = serde_yaml::from_str(source).map_err(|error| syntax_error(path, source, &error))?;
    let mut key_lines = top_level_keys(source).into_iter();
    let mut entries = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        let mut ahead = key_lines.clone();
        let line = ahead.find(|(name, _)| *name == key).and_then(|(_, number)| SourceLine::new(source, number));
        if line.is_some() {
            key_lines = ahead;
        }
        entries.push(SourceEntry { key, value, line });
    }
    Ok(entries)
}

fn syntax_error(path: &Path, source: &str, error: &serde_yaml::Error) -> anyhow::Error {
    let line = error.location().and_then(|location| SourceLine::new(source, location.line()));
    let Some(line) = line else { return anyhow!("{}: {error}", path.display()) };
    let indentation = &line.text[..line.text.len() - line.text.trim_start().len()];
    let hint = if indentation.contains('\t') {
        "\nYAML does not allow tabs at the start of a line: use spaces"
    } else if line.text.contains('"') && line.text.contains('\\') {
        "\nin double quotes a backslash has a special meaning: use single quotes, or / in paths"
    } else {
        ""
    };
    anyhow!("{}:{}: {error}\n{line}{hint}", path.display(), line.number)
}

/// A map as its pairs, so that duplicate keys are seen rather than merged.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("lines of `key: value`")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Entries, M::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Entries(pairs))
    }

    /// A file of comments only.
    fn visit_unit<E>(self) -> Result<Entries, E> {
        Ok(Entries(Vec::new()))
    }

    /// An empty file.
    fn visit_none<E>(self) -> Result<Entries, E> {
        Ok(Entries(Vec::new()))
    }
}

/// (key, line) of every top-level `key:` of a block mapping, top to bottom. Lines from 1.
///
/// The YAML parser reports no position for what it accepts, so this reads the keys once more: at the indentation of the
/// first key, outside quoted values that run over several lines.
fn top_level_keys(source: &str) -> Vec<(String, usize)> {
    let mut keys = Vec::new();
    let mut top_indentation = None;
    let mut open_quote = None;
    for (index, line) in source.lines().enumerate() {
        if let Some(quote) = open_quote {
            open_quote = still_open(line, quote);
            continue;
        }
        let content = line.trim_start_matches(' ');
        let Some((key, value)) = split_key(content) else { continue };
        let indentation = line.len() - content.len();
        if *top_indentation.get_or_insert(indentation) == indentation {
            keys.push((key.to_owned(), index + 1));
            open_quote = opens_quote(value);
        }
    }
    keys
}

/// `key: value` split at its colon, the key without quotes.
fn split_key(line: &str) -> Option<(&str, &str)> {
    if line.starts_with(['#', '-', '%', '[', ']', '{', '}']) {
        return None;
    }
    if let Some(quote) = line.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let (key, rest) = line[1..].split_once(quote)?;
        return Some((key, rest.trim_start().strip_prefix(':')?));
    }
    let colon = line.match_indices(':').map(|(at, _)| at).find(|&at| {
        let rest = &line[at + 1..];
        rest.is_empty() || rest.starts_with([' ', '\t', '\r'])
    })?;
    Some((line[..colon].trim_end(), &line[colon + 1..]))
}

/// The quote that a value opens and does not close on its line.
fn opens_quote(value: &str) -> Option<char> {
    let value = value.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    still_open(&value[1..], quote)
}

/// `quote` if the quoted text does not end in `rest`. Doubled single quotes and `\"` do not end it.
fn still_open(rest: &str, quote: char) -> Option<char> {
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        let escapes = match quote {
            '"' => c == '\\',
            _ => c == quote && chars.peek() == Some(&quote),
        };
        if escapes {
            chars.next();
        } else if c == quote {
            return None;
        }
    }
    Some(quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(source: &str) -> Vec<(String, usize)> {
        let entries = entries(Path::new("train.yaml"), source).unwrap();
        entries.into_iter().map(|entry| (entry.key, entry.line.map_or(0, |line| line.number))).collect()
    }

    fn owned(expected: &[(&str, usize)]) -> Vec<(String, usize)> {
        expected.iter().map(|&(key, line)| (key.to_owned(), line)).collect()
    }

    #[test]
    fn keys_have_their_lines() {
        let source = "# comment: no key\n\n---\nplain: 1\n'quoted key': a # c: d\n\"double\": x\nwindows: 'C:\\a'\n\
                      nested:\n  seed: 1\nlist:\n- seed: 2\nempty:\n  # seed: 3\nblock: |\n  seed: 4\nlast: 5\n";
        let expected = [
            ("plain", 4),
            ("quoted key", 5),
            ("double", 6),
            ("windows", 7),
            ("nested", 8),
            ("list", 10),
            ("empty", 12),
            ("block", 14),
            ("last", 16),
        ];
        assert_eq!(lines(source), owned(&expected));
    }

    #[test]
    fn quoted_values_over_several_lines_hide_no_key_and_add_none() {
        let source = "closed: \"x\" # \"\na: \"one\n  seed: 2 \\\" \n  three\"\nb: 'it''s\n\n  seed: 3'\nseed: 4\n";
        assert_eq!(lines(source), owned(&[("closed", 1), ("a", 2), ("b", 5), ("seed", 8)]));
    }

    #[test]
    fn an_indented_file_and_carriage_returns() {
        assert_eq!(lines("  # c\r\n  a: 1\r\n  b:\r\n    c: 2\r\n  d: 3\r\n"), owned(&[("a", 2), ("b", 3), ("d", 5)]));
    }

    #[test]
    fn duplicates_are_kept_each_with_its_line() {
        assert_eq!(lines("a: 1\nb: 2\na: 3\n"), owned(&[("a", 1), ("b", 2), ("a", 3)]));
    }

    #[test]
    fn a_flow_map_has_entries_without_lines() {
        assert_eq!(lines("{a: 1, b: 2}"), owned(&[("a", 0), ("b", 0)]));
    }

    #[test]
    fn syntax_errors_show_line_and_cure() {
        let error = |source: &str| entries(Path::new("train.yaml"), source).unwrap_err().to_string();
        let tab = error("a:\n\tb: 1\n");
        assert!(tab.contains("train.yaml:2:") && tab.contains("use spaces"), "{tab}");
        let backslash = error("a: 1\nb: \"C:\\qa\"\n");
        assert!(backslash.contains("  2 | b: ") && backslash.contains("single quotes"), "{backslash}");
        assert!(error("- a\n- b\n").contains("lines of `key: value`"));
    }
}
