//! `<lora:name:0.8>` in a prompt.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};

const RIGHT_FORM: &str =
    "write <lora:name:0.8>, or <lora:name:te=0.5:unet=1> where text encoder and U-Net have weights of their own";

/// A LoRA that a prompt asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraTag {
    /// The file's name without folder and extension.
    pub name: String,
    /// Its strength in the text encoder.
    pub text_encoder: f32,
    /// Its strength in the U-Net.
    pub unet: f32,
}

impl fmt::Display for LoraTag {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self { name, text_encoder, unet } if text_encoder == unet => write!(out, "<lora:{name}:{unet}>"),
            Self { name, text_encoder, unet } => write!(out, "<lora:{name}:{text_encoder}:{unet}>"),
        }
    }
}

/// The prompt without its tags, and the LoRAs that they name, each once, in the order of their first tags.
///
/// A weight is 1 where none is given, and the U-Net's is the text encoder's where only that is given. Tags of one
/// name act as in A1111, where they share one network: each adds it once more, all with the last tag's weights, so
/// `<lora:a:0.5><lora:a:0.3>` is `a` at 0.6.
///
/// Fails on a tag that is malformed, and on one of another kind, such as `<hypernet:x:1>`. A `<` that opens no tag
/// is text.
pub fn take_lora_tags(prompt: &str) -> Result<(String, Vec<LoraTag>)> {
    let mut text = String::new();
    let mut tags = Vec::new();
    let mut rest = prompt;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match kind(rest) {
            Some(kind) => read_tag(rest, kind, &mut tags)?,
            None => 0,
        };
        if taken == 0 {
            text.push('<');
        }
        rest = &rest[taken.max(1)..];
    }
    text.push_str(rest);
    Ok((text, combined(tags)))
}

/// What stands between the `<` that opens `rest` and a `:`, if it is a word.
fn kind(rest: &str) -> Option<&str> {
    let (kind, _) = rest[1..].split_once(':')?;
    let word = !kind.is_empty() && kind.chars().all(|sign| sign.is_alphanumeric() || sign == '_');
    word.then_some(kind)
}

/// Reads the tag that opens `rest` and returns its length; 0 where it is text that is no LoRA and is not closed.
fn read_tag(rest: &str, kind: &str, tags: &mut Vec<LoraTag>) -> Result<usize> {
    let end = rest[1..].find(['<', '>']).map(|end| end + 1).filter(|&end| rest[end..].starts_with('>'));
    let Some(end) = end else {
        ensure!(kind != "lora", "'{}' in the prompt is not closed by '>': {RIGHT_FORM}", beginning(rest));
        return Ok(0);
    };
    let tag = &rest[..=end];
    if kind != "lora" {
        bail!("'{tag}' in the prompt is not supported, only LoRAs are: remove it, or {RIGHT_FORM}");
    }
    let arguments = &rest[1 + "lora:".len()..end];
    tags.push(read_arguments(arguments).with_context(|| format!("'{tag}' in the prompt: {RIGHT_FORM}"))?);
    Ok(end + 1)
}

/// The first words of a text, for a message.
fn beginning(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// Name and weights of `name[:te[:unet]]`, where weights may also be named, `te=` and `unet=`.
fn read_arguments(arguments: &str) -> Result<LoraTag> {
    let mut fields = arguments.split(':').map(str::trim);
    let name = fields.next().unwrap_or_default();
    ensure!(!name.is_empty(), "the name is missing");
    let (mut positional, mut text_encoder, mut unet) = (Vec::new(), None, None);
    for field in fields {
        match field.split_once('=') {
            None => positional.push(weight(field)?),
            Some(("te", value)) => text_encoder = Some(weight(value)?),
            Some(("unet", value)) => unet = Some(weight(value)?),
            Some((key, _)) => bail!("'{key}=' is unknown"),
        }
    }
    ensure!(positional.len() <= 2, "more than two weights");
    let text_encoder = text_encoder.or(positional.first().copied()).unwrap_or(1.0);
    let unet = unet.or(positional.get(1).copied()).unwrap_or(text_encoder);
    Ok(LoraTag { name: name.to_owned(), text_encoder, unet })
}

fn weight(text: &str) -> Result<f32> {
    let number: Option<f32> = text.trim().parse().ok();
    number.filter(|number| number.is_finite()).with_context(|| format!("'{text}' is no number"))
}

fn combined(tags: Vec<LoraTag>) -> Vec<LoraTag> {
    let mut names: Vec<(LoraTag, f32)> = Vec::new();
    for tag in tags {
        match names.iter_mut().find(|(known, _)| known.name == tag.name) {
            Some((known, times)) => (*known, *times) = (tag, *times + 1.0),
            None => names.push((tag, 1.0)),
        }
    }
    names
        .into_iter()
        .map(|(tag, times)| LoraTag { text_encoder: tag.text_encoder * times, unet: tag.unet * times, ..tag })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: &str, text_encoder: f32, unet: f32) -> LoraTag {
        LoraTag { name: name.into(), text_encoder, unet }
    }

    #[test]
    fn tags_are_taken_out_and_read() {
        let cases = [
            ("<lora:a:0.8>", tag("a", 0.8, 0.8)),
            ("<lora:a>", tag("a", 1.0, 1.0)),
            ("<lora:a:0.5:1>", tag("a", 0.5, 1.0)),
            ("<lora:a:te=0.5:unet=1>", tag("a", 0.5, 1.0)),
            ("<lora:a:unet=0.25>", tag("a", 1.0, 0.25)),
            ("<lora:a:0.8:te=0.5>", tag("a", 0.5, 0.5)),
            ("<lora:a:-0.5>", tag("a", -0.5, -0.5)),
            ("<lora:suzhou v1.5 刺绣: .5 >", tag("suzhou v1.5 刺绣", 0.5, 0.5)),
        ];
        for (text, expected) in cases {
            let (prompt, tags) = take_lora_tags(&format!("peony {text}, silk")).unwrap();
            assert_eq!((prompt.as_str(), tags), ("peony , silk", vec![expected]), "{text}");
        }
    }

    #[test]
    fn tags_of_one_name_share_the_last_weights() {
        let (_, tags) = take_lora_tags("<lora:a:0.5> <lora:b:2> <lora:a:0.25:1>").unwrap();
        assert_eq!(tags, [tag("a", 0.5, 2.0), tag("b", 2.0, 2.0)]);
    }

    #[test]
    fn other_angles_are_text() {
        for text in ["a < b", "<3", "<b>bold</b>", "a <note: open", "<", "x<<:", "< lora:a>"] {
            assert_eq!(take_lora_tags(text).unwrap(), (text.to_owned(), vec![]));
        }
    }

    #[test]
    fn malformed_tags_are_quoted_with_the_right_form() {
        let cases = [
            ("<lora:>", "the name is missing"),
            ("<lora: :1>", "the name is missing"),
            ("<lora:x:abc>", "'abc' is no number"),
            ("<lora:x:nan>", "'nan' is no number"),
            ("<lora:x:>", "'' is no number"),
            ("<lora:x:1:2:3>", "more than two weights"),
            ("<lora:x:dyn=4>", "'dyn=' is unknown"),
            ("<lora:x", "is not closed"),
            ("<lora:x <lora:y:1>", "is not closed"),
            ("<hypernet:x:1>", "is not supported"),
            ("<Lora:x:1>", "is not supported"),
        ];
        for (text, reason) in cases {
            let message = format!("{:#}", take_lora_tags(&format!("peony {text}")).unwrap_err());
            let named = message.contains(text.split(" <").next().unwrap()) && message.contains("<lora:name:0.8>");
            assert!(named && message.contains(reason), "{message}");
        }
    }
}
