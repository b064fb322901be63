//! Text files as people save them: UTF-8, what Notepad and Excel write, and GB18030.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use encoding_rs::{Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE};

/// The content of a text file, with `\n` as its only line end and without byte order mark.
#[derive(Debug, PartialEq, Eq)]
pub struct DecodedText {
    pub text: String,
    /// The encoding's name where it is not UTF-8: to be told to the user, for a guess can be wrong.
    pub encoding: Option<&'static str>,
}

/// Reads a text file. A byte order mark decides; else NUL bytes that make sense in UTF-16; else strict UTF-8, else
/// strict GB18030, which covers GBK and GB2312. The error names the file and the first line that is neither.
pub fn read_text(path: &Path) -> Result<DecodedText> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    decode(&bytes).with_context(|| format!("cannot read the text of {}", path.display()))
}

fn decode(bytes: &[u8]) -> Result<DecodedText> {
    let (text, encoding) = match Encoding::for_bom(bytes) {
        Some((encoding, mark)) => {
            let name = (encoding != UTF_8).then_some(encoding.name());
            (decode_strictly(encoding, &bytes[mark..])?, name)
        }
        None => decode_without_mark(bytes)?,
    };
    ensure!(!text.contains('\0'), "it holds NUL characters and is no plain text file: save it as UTF-8");
    Ok(DecodedText { text: text.replace("\r\n", "\n").replace('\r', "\n"), encoding })
}

fn decode_without_mark(bytes: &[u8]) -> Result<(String, Option<&'static str>)> {
    if let Some((text, encoding)) = plain_utf16(bytes) {
        return Ok((text, Some(encoding)));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok((text.to_owned(), None)),
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
            let text = decode_strictly(GB18030, bytes)
                .with_context(|| format!("line {line} is not UTF-8, and the file is not GB18030 either"))?;
            Ok((text, Some("GB18030")))
        }
    }
}

/// UTF-16 without a mark, where it is plain: Latin letters and line ends are a byte beside a NUL, always on the same
/// side (a few Chinese characters have a NUL on the other).
fn plain_utf16(bytes: &[u8]) -> Option<(String, &'static str)> {
    const FEWEST: usize = 4;
    let nuls = |first: usize| bytes.iter().skip(first).step_by(2).filter(|&&byte| byte == 0).count();
    let (even, odd) = (nuls(0), nuls(1));
    let (encoding, right, wrong) = if odd > even { (UTF_16LE, odd, even) } else { (UTF_16BE, even, odd) };
    if right < FEWEST.max(FEWEST * wrong) {
        return None;
    }
    let text = decode_strictly(encoding, bytes).ok()?;
    let plain = text.chars().all(|sign| !sign.is_control() || matches!(sign, '\t' | '\r' | '\n'));
    plain.then_some((text, encoding.name()))
}

fn decode_strictly(encoding: &'static Encoding, bytes: &[u8]) -> Result<String> {
    encoding
        .decode_without_bom_handling_and_without_replacement(bytes)
        .map(String::from)
        .ok_or_else(|| anyhow!("it is damaged {}: save it as UTF-8", encoding.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(to_bytes).collect()
    }

    fn decoded(bytes: &[u8]) -> (String, Option<&'static str>) {
        let DecodedText { text, encoding } = decode(bytes).unwrap();
        (text, encoding)
    }

    #[test]
    fn utf8_needs_no_note_with_or_without_mark() {
        assert_eq!(decoded("牡丹 é\r\nb".as_bytes()), ("牡丹 é\nb".into(), None));
        assert_eq!(decoded("\u{FEFF}牡丹".as_bytes()), ("牡丹".into(), None));
    }

    #[test]
    fn utf16_with_mark_is_read_and_named() {
        assert_eq!(decoded(&utf16("牡丹\r\n", u16::to_le_bytes)), ("牡丹\n".into(), Some("UTF-16LE")));
        assert_eq!(decoded(&utf16("牡丹", u16::to_be_bytes)), ("牡丹".into(), Some("UTF-16BE")));
    }

    #[test]
    fn utf16_without_mark_is_read_where_it_is_plain() {
        let text = "filename,prompt\na.png,一朵牡丹\n";
        for (to_bytes, name) in [(u16::to_le_bytes as fn(u16) -> [u8; 2], "UTF-16LE"), (u16::to_be_bytes, "UTF-16BE")] {
            assert_eq!(decoded(&utf16(text, to_bytes)[2..]), (text.into(), Some(name)));
        }
        assert!(decode(b"\x89PNG\r\n\x1a\n\0\0\0\0\0\0\0\0").is_err(), "no text at all");
    }

    #[test]
    fn gb18030_is_read_and_named() {
        assert_eq!(decoded(&GB18030.encode("苏州刺绣，牡丹").0), ("苏州刺绣，牡丹".into(), Some("GB18030")));
    }

    #[test]
    fn undecodable_text_names_its_line() {
        let message = format!("{:#}", decode(b"one\ntwo \xFF\xFF\n").unwrap_err());
        assert!(message.contains("line 2") && message.contains("save it as UTF-8"), "{message}");
        assert!(decode(b"a\0b\0").unwrap_err().to_string().contains("NUL"));
    }
}
