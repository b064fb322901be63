//! Reading and checking single YAML values. Where a reader gives `None`, the caller says what was expected; errors say
//! it themselves, and the caller adds key and line.

use super::{
    choices::Word,
    range::{NumberRange, fits_f32},
    suggest,
    words::Language,
};
use anyhow::{Context, Result, anyhow, bail};
use serde_yaml::Value;
use std::ops::RangeInclusive;

pub(super) fn flag(value: &Value) -> Option<bool> {
    value.as_bool()
}

/// [`flag`] with an error that says what is wanted.
pub(super) fn expect_flag(value: &Value) -> Result<bool> {
    flag(value).ok_or_else(|| expected("true or false", value))
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

/// A list of texts, or one text that separates them by commas.
pub(super) fn list(value: &Value) -> Result<Vec<String>> {
    let words = match value {
        Value::Sequence(list) => list.iter().map(text).collect::<Result<Vec<_>>>()?,
        _ => text(value)?.split(',').map(str::to_owned).collect(),
    };
    Ok(words.iter().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect())
}

/// Any whole number from 0, be it in quotes.
pub(super) fn whole_u64(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        _ => value.as_u64(),
    }
}

pub(super) fn whole(value: &Value, range: &RangeInclusive<u32>) -> Option<u32> {
    whole_u64(value).and_then(|number| u32::try_from(number).ok()).filter(|number| range.contains(number))
}

/// A number. Numbers in quotes are accepted, since WebUIs write `"1e-4"`.
pub(super) fn any_number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        _ => value.as_f64(),
    }
}

pub(super) fn number(value: &Value, range: &NumberRange) -> Option<f64> {
    any_number(value).filter(|&number| range.holds(number))
}

/// The index of the word that `value` is, without regard to case; `wanted` describes all of them. What YAML takes for a
/// number or a truth value may be a word too.
pub(super) fn choice(value: &Value, words: &[Word], wanted: &str) -> Result<usize> {
    let given = match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        _ => return Err(expected(wanted, value)),
    };
    if let Some(index) = words.iter().position(|word| word.word.eq_ignore_ascii_case(&given)) {
        return Ok(index);
    }
    let list = shown_words(words, ", ");
    match suggest::nearest(&given, words.iter().map(|word| word.word)) {
        Some(word) => bail!("`{given}` is not a choice here; did you mean `{word}`? Choices: {list}"),
        None => bail!("`{given}` is not a choice here. Choices: {list}"),
    }
}

/// The words that are shown, without those that are other names for them.
pub(super) fn shown_words(words: &[Word], between: &str) -> String {
    let shown = words.iter().filter(|word| word.word == word.shown);
    shown.map(|word| format!("`{}`", word.word)).collect::<Vec<_>>().join(between)
}

/// Two whole numbers: one number for both, `"w,h"`, or `[w, h]`.
pub(super) fn pair(value: &Value, range: &RangeInclusive<u32>) -> Option<(u32, u32)> {
    match value {
        Value::Number(_) => whole(value, range).map(|side| (side, side)),
        Value::String(text) => match text.split_once(',') {
            Some((w, h)) => Some((whole(&w.into(), range)?, whole(&h.into(), range)?)),
            None => whole(value, range).map(|side| (side, side)),
        },
        Value::Sequence(sides) if sides.len() == 2 => Some((whole(&sides[0], range)?, whole(&sides[1], range)?)),
        _ => None,
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

/// Several numbers: a list, or sd-scripts' text `"0.9,0.999"` with or without brackets.
///
/// # Errors
/// Another `count` of them, and a number out of `range`.
pub(super) fn numbers(value: &Value, range: &NumberRange, count: usize) -> Result<Vec<f64>> {
    let parts = parts(value);
    if parts.len() != count {
        return Err(expected(&format!("{count} numbers, each {}", range.said(Language::English)), value));
    }
    parts.iter().map(|part| expect_number(part, range)).collect()
}

/// What a list holds: a YAML list, sd-scripts' text with commas, or a single value. Another kind of value holds nothing.
pub(super) fn parts(value: &Value) -> Vec<Value> {
    match value {
        Value::Sequence(list) => list.clone(),
        Value::String(text) => text.trim_matches(['(', ')', '[', ']']).split(',').map(Value::from).collect(),
        Value::Number(_) => vec![value.clone()],
        _ => Vec::new(),
    }
}

/// [`number`] with an error that says the range.
pub(super) fn expect_number(value: &Value, range: &NumberRange) -> Result<f64> {
    number(value, range).ok_or_else(|| expected(&range.said(Language::English), value))
}

/// Units of memory, the ones to show first before their like.
const UNITS: [(&str, u64); 5] =
    [("GB", 1_000_000_000), ("GiB", 1 << 30), ("MB", 1_000_000), ("MiB", 1 << 20), ("B", 1)];

/// An amount of memory: `4GB`, `3.5 GiB`, `3800MB`.
pub(super) fn bytes(value: &Value) -> Option<u64> {
    let parse = |text: &str| {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = (text[..digits].parse::<f64>().ok()?, text[digits..].trim());
        let (_, size) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
        Some((number * *size as f64).round() as u64).filter(|&bytes| bytes > 0)
    };
    value.as_str().and_then(parse)
}

/// The amount in the largest unit that shows it exactly.
pub fn bytes_as_text(bytes: u64) -> String {
    let (unit, size) = UNITS.iter().find(|(_, size)| bytes.is_multiple_of(*size)).expect("bytes show every amount");
    format!("{}{unit}", bytes / size)
}

pub(super) fn expected(wanted: &str, found: &Value) -> anyhow::Error {
    let too_fine = any_number(found).is_some_and(|number| number.is_finite() && !fits_f32(number));
    let why = if too_fine { ", which is beyond 32-bit numbers" } else { "" };
    anyhow!("expected {wanted}, found {}{why}", describe(found))
}

/// A value in the words of an error message.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("the text \"{text}\""),
        Value::Sequence(list) => format!("a list of {}", list.len()),
        Value::Mapping(_) => "a map".into(),
        Value::Tagged(tagged) => format!("a value with the tag {}", tagged.tag),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            choices::words,
            range::{above, from},
        },
        *,
    };

    fn yaml(text: &str) -> Value {
        serde_yaml::from_str(text).unwrap()
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
            assert!(bytes(&yaml(text)).is_none(), "{text}");
        }
    }

    #[test]
    fn numbers_in_every_spelling() {
        for text in ["2e-4", "0.0002", "\"2e-4\"", "' 0.0002 '", "2.0E-4"] {
            assert_eq!(number(&yaml(text), &above(0.0)).unwrap(), 2e-4, "{text}");
        }
        for text in [".nan", ".inf", "abc", "true", "[1]", "~"] {
            assert!(number(&yaml(text), &from(0.0)).is_none(), "{text}");
        }
    }

    #[test]
    fn numbers_that_are_too_large_or_small_to_compute_with_are_told_so() {
        for text in ["1e39", "'1e-50'"] {
            let error = expect_number(&yaml(text), &from(0.0)).unwrap_err().to_string();
            assert!(error.ends_with("which is beyond 32-bit numbers"), "{error}");
        }
        let error = expect_number(&yaml("-1"), &from(0.0)).unwrap_err().to_string();
        assert!(error.ends_with("found -1"), "{error}");
    }

    #[test]
    fn whole_numbers_stay_whole_and_in_range() {
        assert_eq!(whole(&yaml("12"), &(1..=12)).unwrap(), 12);
        assert_eq!(whole(&yaml("\"12\""), &(1..=12)).unwrap(), 12);
        for text in ["0", "13", "-1", "1.5", "12.0", "many"] {
            assert!(whole(&yaml(text), &(1..=12)).is_none(), "{text}");
        }
    }

    #[test]
    fn pairs() {
        const SIDES: RangeInclusive<u32> = 1..=1 << 16;
        for text in ["512", "\"512\"", "\"512,512\"", "512,512", "[512, 512]", "[\"512\", 512]"] {
            assert_eq!(pair(&yaml(text), &SIDES).unwrap(), (512, 512), "{text}");
        }
        assert_eq!(pair(&yaml("\"768, 512\""), &SIDES).unwrap(), (768, 512));
        for text in ["[512]", "[1, 2, 3]", "512x512", "-512", "true"] {
            assert!(pair(&yaml(text), &SIDES).is_none(), "{text}");
        }
    }

    #[test]
    fn words_in_a_list_or_between_commas() {
        for text in ["\"silk, peony\"", "[silk, peony]", "\" silk,,peony , \""] {
            assert_eq!(list(&yaml(text)).unwrap(), ["silk", "peony"], "{text}");
        }
        assert!(list(&yaml("{silk: 1}")).is_err());
    }

    #[test]
    fn several_numbers_as_python_and_yaml_write_them() {
        for text in ["[0.9, 0.99]", "\"0.9,0.99\"", "\"(0.9, 0.99)\"", "\"[.9,.99]\""] {
            assert_eq!(numbers(&yaml(text), &from(0.0), 2).unwrap(), [0.9, 0.99], "{text}");
        }
        assert!(numbers(&yaml("0.9"), &from(0.0), 2).is_err());
        let error = numbers(&yaml("[0.9]"), &from(0.0), 2).unwrap_err().to_string();
        assert!(error.ends_with("found a list of 1"), "{error}");
    }

    #[test]
    fn a_wrong_choice_names_the_nearest() {
        let error = choice(&yaml("cosin"), &words(&[("cosine", 1), ("linear", 2)]), "").unwrap_err().to_string();
        assert!(error.contains("did you mean `cosine`?") && error.contains("`linear`"), "{error}");
    }
}
