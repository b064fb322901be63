//! Values as text: Python literals to values, values to YAML.

use super::super::show;
use serde_yaml::Value;

/// A Python literal as sd-scripts has them in arguments and metadata: `True`, `None`, `1e-4`, `(512, 512)`,
/// `0.9,0.99`; what is none stays text.
pub(super) fn python(text: &str) -> Value {
    let text = text.trim();
    match text {
        "True" | "true" => return true.into(),
        "False" | "false" => return false.into(),
        "None" => return Value::Null,
        _ => {}
    }
    if let Some(number) = number(text) {
        return number;
    }
    let inner = text.trim_matches(['(', ')', '[', ']']);
    let parts = inner.split(',').filter(|part| !part.trim().is_empty()).map(number);
    match parts.collect::<Option<Vec<Value>>>() {
        Some(numbers) if !numbers.is_empty() => Value::Sequence(numbers),
        _ => text.trim_matches(['"', '\'']).into(),
    }
}

/// A number, whole where it is written so.
pub(super) fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    let starts_as_number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.'));
    text.parse::<f64>().ok().filter(|_| starts_as_number).map(Value::from)
}

/// A number that is shown as a whole one where it is.
pub(super) fn short(number: f64) -> Value {
    if number.fract() == 0.0 { Value::from(number as i64) } else { number.into() }
}

/// A value as the words of a prompt or a message.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| yaml(value), str::to_owned)
}

/// The name and value of an argument `name=value`.
pub(super) fn argument(text: &str) -> Option<(String, Value)> {
    let (name, value) = text.trim().trim_matches('"').split_once('=')?;
    Some((name.trim().to_owned(), python(value.trim_matches('"'))))
}

/// Arguments as sd-scripts has them, a list of `name=value`, or as the GUI does, one text with spaces between; a map is
/// taken as it is. What has no `=` goes on the argument before it.
pub(super) fn arguments(value: &Value) -> Vec<(String, Value)> {
    let pieces: Vec<String> = match value {
        Value::Sequence(list) => list.iter().filter_map(|part| part.as_str().map(str::to_owned)).collect(),
        Value::String(text) => joined_pieces(text),
        Value::Mapping(map) => {
            let pairs = map.iter().filter_map(|(name, value)| Some((name.as_str()?.to_owned(), value)));
            return pairs.map(|(name, value)| (name, value.as_str().map_or_else(|| value.clone(), python))).collect();
        }
        _ => Vec::new(),
    };
    pieces.iter().filter_map(|piece| argument(piece)).collect()
}

fn joined_pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match pieces.last_mut() {
            Some(last) if !word.contains('=') => *last += word,
            _ => pieces.push(word.to_owned()),
        }
    }
    pieces
}

/// A value as YAML on one line.
pub(super) fn yaml(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.is_finite() => show::number(float),
            _ => number.to_string(),
        },
        Value::String(text) => show::text(text),
        Value::Sequence(list) => format!("[{}]", list.iter().map(yaml).collect::<Vec<_>>().join(", ")),
        Value::Mapping(map) => {
            let pairs = map.iter().map(|(name, value)| format!("{}: {}", yaml(name), yaml(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Tagged(tagged) => yaml(&tagged.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_literals_become_yaml() {
        for (literal, shown) in [
            ("True", "true"),
            ("None", "null"),
            ("1e-05", "1e-5"),
            ("8", "8"),
            ("(512, 512)", "[512, 512]"),
            ("0.9,0.99", "[0.9, 0.99]"),
            ("[1e-05]", "[1e-5]"),
            ("sine+.5", "\"sine+.5\""),
            ("inf", "inf"),
            ("'full'", "full"),
        ] {
            assert_eq!(yaml(&python(literal)), shown, "{literal}");
        }
    }

    #[test]
    fn arguments_in_all_forms_are_the_same() {
        let expected = [("betas".to_owned(), python("0.9,0.99")), ("decouple".to_owned(), true.into())];
        for form in [
            "\"betas=0.9, 0.99 decouple=True\"",
            "'\"betas=0.9,0.99\" \"decouple=True\"'",
            "[\"betas=0.9,0.99\", \"decouple=True\"]",
            "{betas: \"0.9,0.99\", decouple: \"True\"}",
        ] {
            assert_eq!(arguments(&serde_yaml::from_str(form).unwrap()), expected, "{form}");
        }
    }
}
