//! Reading and checking single YAML values. Errors say what was expected and what was found; the caller adds key and
//! line.

use super::suggest;
use anyhow::{Context, Result, anyhow, bail};
use serde_yaml::Value;
use std::{ops::RangeInclusive, path::PathBuf};

/// Words and what they mean; the first word of a meaning is the one that is shown.
pub(super) type Choices<T> = [(&'static str, T)];

pub(super) fn flag(value: &Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| expected("true or false", value))
}

/// Text, or a whole number taken as text (`output_name: 2024`).
pub(super) fn text(value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) if !number.is_f64() => Ok(number.to_string()),
        _ => Err(expected("text (put it in quotes)", value)),
    }
}

pub(super) fn non_empty_text(value: &Value) -> Result<String> {
    let text = text(value)?;
    if text.trim().is_empty() {
        bail!("must not be empty");
    }
    Ok(text)
}

/// Text, of which blank stands for none.
pub(super) fn optional_text(value: &Value) -> Result<Option<String>> {
    text(value).map(|text| Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// A list of texts, or one text that separates them by commas.
pub(super) fn words(value: &Value) -> Result<Vec<String>> {
    let words = match value {
        Value::Sequence(list) => list.iter().map(text).collect::<Result<Vec<_>>>()?,
        _ => text(value)?.split(',').map(str::to_owned).collect(),
    };
    Ok(words.iter().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect())
}

pub(super) fn path(value: &Value) -> Result<PathBuf> {
    non_empty_text(value).map(PathBuf::from)
}

pub(super) fn whole(value: &Value, range: RangeInclusive<u64>) -> Result<u64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        _ => value.as_u64(),
    };
    let wanted = || match *range.end() {
        u64::MAX => format!("a whole number from {}", range.start()),
        end => format!("a whole number from {} to {end}", range.start()),
    };
    number.filter(|number| range.contains(number)).ok_or_else(|| expected(&wanted(), value))
}

/// A whole number of things, at least one.
pub(super) fn count(value: &Value, most: u32) -> Result<u32> {
    whole(value, 1..=u64::from(most)).map(|number| u32::try_from(number).expect("at most a u32"))
}

/// A finite number for which `valid` holds; `wanted` describes such numbers. Numbers in quotes are accepted, since
/// WebUIs write `"1e-4"`.
pub(super) fn number(value: &Value, wanted: &str, valid: impl Fn(f64) -> bool) -> Result<f64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        _ => value.as_f64(),
    };
    number.filter(|number: &f64| number.is_finite() && valid(*number)).ok_or_else(|| expected(wanted, value))
}

pub(super) fn choice<T: Copy>(value: &Value, choices: &Choices<T>) -> Result<T> {
    let words = || choices.iter().map(|&(word, _)| word);
    let list = words().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let Some(given) = value.as_str() else { return Err(expected(&format!("one of {list}"), value)) };
    if let Some(&(_, meaning)) = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(given)) {
        return Ok(meaning);
    }
    match suggest::nearest(given, words()) {
        Some(word) => bail!("`{given}` is not a choice here; did you mean `{word}`? Choices: {list}"),
        None => bail!("`{given}` is not a choice here. Choices: {list}"),
    }
}

/// The word that shows `meaning`.
pub(super) fn word_for<T: PartialEq>(choices: &Choices<T>, meaning: &T) -> &'static str {
    choices.iter().find(|(_, other)| other == meaning).expect("every meaning has a word").0
}

/// Two whole numbers: one number for both, `"w,h"`, or `[w, h]`.
pub(super) fn pair(value: &Value) -> Result<(u32, u32)> {
    let wanted = "a whole number of pixels, \"width,height\" or [width, height]";
    let side = |side: &Value| count(side, 1 << 16).map_err(|_| expected(wanted, value));
    match value {
        Value::Number(_) => side(value).map(|side| (side, side)),
        Value::String(text) => match text.split_once(',') {
            Some((w, h)) => Ok((side(&w.into())?, side(&h.into())?)),
            None => side(value).map(|side| (side, side)),
        },
        Value::Sequence(sides) if sides.len() == 2 => Ok((side(&sides[0])?, side(&sides[1])?)),
        _ => Err(expected(wanted, value)),
    }
}

/// Named arguments: a map, or sd-scripts' list of `"name=value"`.
pub(super) fn arguments(value: &Value) -> Result<Vec<(String, Value)>> {
    match value {
        Value::Mapping(map) => map.iter().map(|(name, value)| Ok((text(name)?, value.clone()))).collect(),
        Value::Sequence(list) => list.iter().map(argument).collect(),
        _ => Err(expected("a map, or a list of \"name=value\"", value)),
    }
}

fn argument(value: &Value) -> Result<(String, Value)> {
    let text = text(value)?;
    let (name, value) = text.split_once('=').with_context(|| format!("expected \"name=value\", found `{text}`"))?;
    Ok((name.trim().to_owned(), Value::String(value.trim().to_owned())))
}

/// Two numbers: a list of two, or sd-scripts' text `"0.9,0.999"` with or without brackets.
pub(super) fn two_numbers(value: &Value, wanted: &str, valid: impl Fn(f64) -> bool) -> Result<(f64, f64)> {
    let parts: Vec<Value> = match value {
        Value::Sequence(list) => list.clone(),
        Value::String(text) => text.trim_matches(['(', ')', '[', ']']).split(',').map(Value::from).collect(),
        _ => Vec::new(),
    };
    match parts.as_slice() {
        [a, b] => Ok((number(a, wanted, &valid)?, number(b, wanted, &valid)?)),
        _ => Err(expected(&format!("two of: {wanted}"), value)),
    }
}

/// Units of memory, the ones to show first before their like.
const UNITS: [(&str, u64); 5] =
    [("GB", 1_000_000_000), ("GiB", 1 << 30), ("MB", 1_000_000), ("MiB", 1 << 20), ("B", 1)];

/// An amount of memory: `4GB`, `3.5 GiB`, `3800MB`.
pub(super) fn bytes(value: &Value) -> Result<u64> {
    let parse = |text: &str| {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = (text[..digits].parse::<f64>().ok()?, text[digits..].trim());
        let (_, size) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
        Some((number * *size as f64).round() as u64).filter(|&bytes| bytes > 0)
    };
    value.as_str().and_then(parse).ok_or_else(|| expected("an amount of memory with its unit, such as 4GB", value))
}

/// The amount in the largest unit that shows it exactly.
pub fn bytes_as_text(bytes: u64) -> String {
    let (unit, size) = UNITS.iter().find(|(_, size)| bytes.is_multiple_of(*size)).expect("bytes show every amount");
    format!("{}{unit}", bytes / size)
}

pub(super) fn expected(wanted: &str, found: &Value) -> anyhow::Error {
    anyhow!("expected {wanted}, found {}", describe(found))
}

/// A value in the words of an error message.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("the text \"{text}\""),
        Value::Sequence(_) => "a list".into(),
        Value::Mapping(_) => "a map".into(),
        Value::Tagged(tagged) => format!("a value with the tag {}", tagged.tag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Value {
        serde_yaml::from_str(text).unwrap()
    }

    fn any(_: f64) -> bool {
        true
    }

    #[test]
    fn memory_needs_a_unit() {
        for (text, bytes_wanted, shown) in [
            ("4GB", 4_000_000_000, "4GB"),
            ("3.5 gb", 3_500_000_000, "3500MB"),
            ("2 GiB", 1 << 31, "2GiB"),
            ("700000b", 700_000, "700000B"),
        ] {
            assert_eq!(bytes(&yaml(text)).unwrap(), bytes_wanted, "{text}");
            assert_eq!(bytes_as_text(bytes_wanted), shown);
            assert_eq!(bytes(&yaml(shown)).unwrap(), bytes_wanted, "{shown} reads back");
        }
        for text in ["4", "4.0", "-1GB", "0GB", "GB", "4 TB", "[4GB]"] {
            assert!(bytes(&yaml(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_in_every_spelling() {
        for text in ["2e-4", "0.0002", "\"2e-4\"", "' 0.0002 '", "2.0E-4"] {
            assert_eq!(number(&yaml(text), "a number", any).unwrap(), 2e-4, "{text}");
        }
        for text in [".nan", ".inf", "abc", "true", "[1]", "~"] {
            assert!(number(&yaml(text), "a number", any).is_err(), "{text}");
        }
    }

    #[test]
    fn whole_numbers_stay_whole_and_in_range() {
        assert_eq!(whole(&yaml("12"), 1..=12).unwrap(), 12);
        assert_eq!(whole(&yaml("\"12\""), 1..=12).unwrap(), 12);
        for text in ["0", "13", "-1", "1.5", "12.0", "many"] {
            assert!(whole(&yaml(text), 1..=12).is_err(), "{text}");
        }
    }

    #[test]
    fn pairs() {
        for text in ["512", "\"512\"", "\"512,512\"", "512,512", "[512, 512]", "[\"512\", 512]"] {
            assert_eq!(pair(&yaml(text)).unwrap(), (512, 512), "{text}");
        }
        assert_eq!(pair(&yaml("\"768, 512\"")).unwrap(), (768, 512));
        for text in ["[512]", "[1, 2, 3]", "512x512", "-512", "true"] {
            assert!(pair(&yaml(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn words_in_a_list_or_between_commas() {
        for text in ["\"silk, peony\"", "[silk, peony]", "\" silk,,peony , \""] {
            assert_eq!(words(&yaml(text)).unwrap(), ["silk", "peony"], "{text}");
        }
        assert!(words(&yaml("{silk: 1}")).is_err());
        assert_eq!(optional_text(&yaml("\" \"")).unwrap(), None);
    }

    #[test]
    fn two_numbers_as_python_and_yaml_write_them() {
        for text in ["[0.9, 0.99]", "\"0.9,0.99\"", "\"(0.9, 0.99)\"", "\"[.9,.99]\""] {
            assert_eq!(two_numbers(&yaml(text), "a number", any).unwrap(), (0.9, 0.99), "{text}");
        }
        assert!(two_numbers(&yaml("0.9"), "a number", any).is_err());
        assert!(two_numbers(&yaml("[0.9]"), "a number", any).is_err());
    }

    #[test]
    fn a_wrong_choice_names_the_nearest() {
        let error = choice(&yaml("cosin"), &[("cosine", 1), ("linear", 2)]).unwrap_err().to_string();
        assert!(error.contains("did you mean `cosine`?") && error.contains("`linear`"), "{error}");
    }
}
