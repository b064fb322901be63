//! Lists of prompts in the form of kohya's sd-scripts (`--sample_prompts`).

use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

use super::prompt::editing::prompt_editing;
use crate::data::text_encoding::read_text;

/// A picture to draw. What is `None` is the caller's default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PromptLine {
    pub prompt: String,
    /// `--n`
    pub negative: Option<String>,
    /// `--w`
    pub width: Option<u32>,
    /// `--h`
    pub height: Option<u32>,
    /// `--d`
    pub seed: Option<u64>,
    /// `--s`
    pub steps: Option<u32>,
    /// `--l`
    pub cfg_scale: Option<f32>,
}

/// Reads a prompt file and, where it is not UTF-8, the name of the encoding it was taken for.
///
/// Fails on a file that cannot be read or holds no prompt, and on a line that [`parse_prompts`] refuses.
pub fn read_prompt_file(path: &Path) -> Result<(Vec<PromptLine>, Option<&'static str>)> {
    let decoded = read_text(path)?;
    let prompts = parse_prompts(&decoded.text, &path.display().to_string())?;
    ensure!(!prompts.is_empty(), "{} holds no prompt: write one a line, such as 'a cat --w 512'", path.display());
    Ok((prompts, decoded.encoding))
}

/// The prompts of a text, one a line: `a cat, best --n bad hands --w 512 --h 768 --d 42 --s 28 --l 7.5`. Empty lines
/// and those that begin with `#` are skipped. An option is ` --`, a letter and its value; the last of a kind counts.
///
/// Fails on an unknown option and on a bad number, naming `file` and line.
pub fn parse_prompts(text: &str, file: &str) -> Result<Vec<PromptLine>> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| parse_prompt(line).with_context(|| format!("{file}, line {number}")))
        .collect()
}

impl PromptLine {
    /// The first part of its prompts that is drawn as plain text here, though A1111 changes it from step to step.
    pub fn editing(&self) -> Option<&str> {
        prompt_editing(&self.prompt).or_else(|| prompt_editing(self.negative.as_deref()?))
    }
}

/// One such line, whatever it begins with.
///
/// Fails on an unknown option and on a bad number.
pub fn parse_prompt(line: &str) -> Result<PromptLine> {
    ensure!(!line.starts_with("--"), "the line begins with an option: write the prompt before '{line}'");
    let mut fields = line.split(" --");
    let prompt = fields.next().unwrap_or_default().trim().to_owned();
    let mut parsed = PromptLine { prompt, ..PromptLine::default() };
    for field in fields {
        let (name, value) = field.split_once(char::is_whitespace).unwrap_or((field, ""));
        set(&mut parsed, name, value.trim())?;
    }
    Ok(parsed)
}

fn set(line: &mut PromptLine, name: &str, value: &str) -> Result<()> {
    match name.to_ascii_lowercase().as_str() {
        "n" => line.negative = Some(value.to_owned()),
        "w" => line.width = Some(positive(name, value)?),
        "h" => line.height = Some(positive(name, value)?),
        "d" => line.seed = Some(number(name, value, "a whole number from 0 on")?),
        "s" => line.steps = Some(positive(name, value)?),
        "l" => line.cfg_scale = Some(scale(name, value)?),
        _ => bail!(
            "'--{name}' is unknown: known are --n (negative prompt), --w (width), --h (height), --d (seed), --s (steps) \
             and --l (CFG scale)"
        ),
    }
    Ok(())
}

fn positive(name: &str, value: &str) -> Result<u32> {
    let expected = "a whole number from 1 on";
    let number = number(name, value, expected)?;
    ensure!(number > 0, "'--{name} {value}' wants {expected}");
    Ok(number)
}

fn scale(name: &str, value: &str) -> Result<f32> {
    let expected = "a number such as 7.5";
    let number: f32 = number(name, value, expected)?;
    ensure!(number.is_finite(), "'--{name} {value}' wants {expected}");
    Ok(number)
}

fn number<T: FromStr>(name: &str, value: &str, expected: &str) -> Result<T> {
    value.parse().ok().with_context(|| format!("'--{name} {value}' wants {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let text = "# a comment\n\n a cat, best --n bad hands, low-res --w 512 --h 768 --d 42 --s 28 --l 7.5\n\
                    牡丹 --N 模糊 --W 64\nwell--made, a - b\n";
        let prompts = parse_prompts(text, "p.txt").unwrap();
        let full = PromptLine {
            prompt: "a cat, best".into(),
            negative: Some("bad hands, low-res".into()),
            width: Some(512),
            height: Some(768),
            seed: Some(42),
            steps: Some(28),
            cfg_scale: Some(7.5),
        };
        let negative = Some("模糊".into());
        let chinese = PromptLine { prompt: "牡丹".into(), negative, width: Some(64), ..PromptLine::default() };
        let plain = PromptLine { prompt: "well--made, a - b".into(), ..PromptLine::default() };
        assert_eq!(prompts, [full, chinese, plain]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let cases = [
            ("a --x 3", "'--x' is unknown: known are --n"),
            ("a --ss euler", "'--ss' is unknown"),
            ("a -- b", "'--' is unknown"),
            ("a --w wide", "'--w wide' wants a whole number from 1 on"),
            ("a --h 0", "'--h 0' wants"),
            ("a --d -1", "'--d -1' wants a whole number from 0 on"),
            ("a --s", "'--s ' wants"),
            ("a --l inf", "'--l inf' wants a number"),
            ("--w 64 a", "write the prompt before"),
        ];
        for (line, reason) in cases {
            let message = format!("{:#}", parse_prompts(&format!("b\n\n{line}\n"), "p.txt").unwrap_err());
            assert!(message.starts_with("p.txt, line 3: ") && message.contains(reason), "{message}");
        }
    }

    #[test]
    fn a_file_is_decoded_and_holds_prompts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts.txt");
        std::fs::write(&path, [0xC4, 0xB5, 0xB5, 0xA4]).unwrap();
        let (prompts, encoding) = read_prompt_file(&path).unwrap();
        assert_eq!((prompts[0].prompt.as_str(), encoding), ("牡丹", Some("GB18030")));
        std::fs::write(&path, "# nothing\n").unwrap();
        let message = format!("{:#}", read_prompt_file(&path).unwrap_err());
        assert!(message.contains("prompts.txt holds no prompt"), "{message}");
    }
}
