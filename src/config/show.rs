//! Single values as YAML.

use super::train_config::{PreviewPrompts, Warmup};
use std::path::Path;

/// A string as a one-line YAML scalar, in quotes where YAML would read something else.
pub(super) fn text(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_alphabetic() || matches!(c, '.' | '/'))
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '/' | '_' | '-'));
    let reads_back = || serde_yaml::from_str::<serde_yaml::Value>(text).is_ok_and(|value| value == text);
    if plain && reads_back() { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

pub(super) fn path(path: &Path) -> String {
    text(&path.to_string_lossy())
}

/// The shortest decimal that reads back as the same number; small ones as people write them, 1e-4.
pub(super) fn number(number: f64) -> String {
    if number != 0.0 && number.abs() < 1e-3 { format!("{number:e}") } else { number.to_string() }
}

/// A list on one line.
pub(super) fn numbers(numbers: &[f64]) -> String {
    format!("[{}]", numbers.iter().copied().map(number).collect::<Vec<_>>().join(", "))
}

pub(super) fn warmup(warmup: Warmup) -> String {
    match warmup {
        Warmup::Steps(steps) => steps.to_string(),
        Warmup::Share(share) => number(share),
    }
}

/// A list on one line, or a file's path.
pub(super) fn preview_prompts(prompts: &PreviewPrompts) -> String {
    match prompts {
        PreviewPrompts::File(file) => path(file),
        PreviewPrompts::Lines(lines) => serde_json::Value::from(lines.clone()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_read_back_as_themselves() {
        let odd =
            ["true", "null", "1e-4", "12", "a: b", "苏绣 花", "苏绣", "it's", "C:\\new", "", "./a/b", "- a", "#x"];
        for original in odd {
            let back: String = serde_yaml::from_str(&text(original)).unwrap();
            assert_eq!(back, original, "{}", text(original));
        }
        assert_eq!(text("./data/suzhou_flower"), "./data/suzhou_flower");
    }

    #[test]
    fn numbers_are_short() {
        for (value, shown) in [(2e-4, "2e-4"), (1e-8, "1e-8"), (0.0, "0"), (24.0, "24"), (0.05, "0.05")] {
            assert_eq!(number(value), shown);
        }
    }
}
