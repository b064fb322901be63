//! Emphasis in a prompt: `(more)`, `(much more:1.4)`, `[less]`, and `BREAK`.

use anyhow::{Context, Result};

const ROUND: f64 = 1.1;
const SQUARE: f64 = 1.0 / 1.1;
const BREAK: &str = "BREAK";
/// By this weight the reader knows a `BREAK` again that it has set apart itself.
const BREAK_WEIGHT: f64 = -1.0;

/// A stretch of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Text that weighs the same all along.
    Text { text: String, weight: f64 },
    /// The end of a chunk.
    Break,
}

/// Takes a prompt apart by the rules of A1111's `parse_prompt_attention`.
///
/// Round brackets multiply by 1.1 or by the number behind the last colon, square ones by 1/1.1; `\(`, `\)`, `\[`,
/// `\]` and `\\` are letters, any other backslash vanishes. What is not closed reaches to the end, what was not
/// opened is text. Neighbours of equal weight are one piece; a prompt
/// without text is one empty piece. As in A1111 a `BREAK` counts outside of brackets only:
/// inside of them it is the word with a negative weight.
///
/// Fails on a weight that is no number, `(x:1.2.3)`, where A1111 fails as well.
pub fn parse_attention(prompt: &str) -> Result<Vec<Piece>> {
    let mut reader = Reader::default();
    let mut rest = prompt;
    while !rest.is_empty() {
        let (token, length) = next_token(rest);
        reader.take(token)?;
        rest = &rest[length..];
    }
    Ok(reader.finish())
}

enum Token<'a> {
    Escaped(&'a str),
    OpenRound,
    OpenSquare,
    CloseRound,
    CloseSquare,
    /// `:1.2)`, whole and as a number.
    Weight(&'a str, &'a str),
    Text(&'a str),
}

/// The token at the start of `rest`, which is not empty, and its length in bytes.
fn next_token(rest: &str) -> (Token<'_>, usize) {
    let escaped = rest.strip_prefix('\\').map(|after| usize::from(after.starts_with(['\\', '(', ')', '[', ']'])));
    let weight = weight_length(rest);
    match (escaped, weight) {
        (Some(length), _) => (Token::Escaped(&rest[1..1 + length]), 1 + length),
        (None, Some(length)) => (Token::Weight(&rest[..length], rest[1..length - 1].trim()), length),
        (None, None) => match rest.as_bytes()[0] {
            b'(' => (Token::OpenRound, 1),
            b'[' => (Token::OpenSquare, 1),
            b')' => (Token::CloseRound, 1),
            b']' => (Token::CloseSquare, 1),
            b':' => (Token::Text(":"), 1),
            _ => {
                let length = rest.find(['\\', '(', ')', '[', ']', ':']).unwrap_or(rest.len());
                (Token::Text(&rest[..length]), length)
            }
        },
    }
}

/// The length of `: +1.2 )` where `rest` begins so. The number is digits and points in any order.
fn weight_length(rest: &str) -> Option<usize> {
    let number = rest.strip_prefix(':')?.trim_start();
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    let after = digits.trim_start_matches(|sign| sign == '.' || digit(sign).is_some());
    let close = after.trim_start().strip_prefix(')')?;
    (after.len() < digits.len()).then_some(rest.len() - close.len())
}

/// ASCII digits, and the full-width ones of Chinese keyboards.
fn digit(sign: char) -> Option<char> {
    match sign {
        '0'..='9' => Some(sign),
        '０'..='９' => char::from_digit(sign as u32 - '０' as u32, 10),
        _ => None,
    }
}

/// What was read, each piece with its weight, and where the open brackets began.
#[derive(Default)]
struct Reader {
    pieces: Vec<(String, f64)>,
    round: Vec<usize>,
    square: Vec<usize>,
}

impl Reader {
    fn take(&mut self, token: Token) -> Result<()> {
        match token {
            Token::Escaped(sign) => self.push(sign),
            Token::OpenRound => self.round.push(self.pieces.len()),
            Token::OpenSquare => self.square.push(self.pieces.len()),
            Token::CloseRound => match self.round.pop() {
                Some(start) => self.multiply(start, ROUND),
                None => self.push(")"),
            },
            Token::CloseSquare => match self.square.pop() {
                Some(start) => self.multiply(start, SQUARE),
                None => self.push("]"),
            },
            Token::Weight(whole, number) => match self.round.pop() {
                Some(start) => {
                    let weight = parse_weight(number).with_context(|| self.bad_weight(start, whole, number))?;
                    self.multiply(start, weight);
                }
                None => self.push_text(whole),
            },
            Token::Text(text) => self.push_text(text),
        }
        Ok(())
    }

    fn push(&mut self, text: &str) {
        self.pieces.push((text.to_owned(), 1.0));
    }

    fn push_text(&mut self, text: &str) {
        for (number, part) in split_breaks(text).into_iter().enumerate() {
            if number > 0 {
                self.pieces.push((BREAK.to_owned(), BREAK_WEIGHT));
            }
            self.push(part);
        }
    }

    fn multiply(&mut self, start: usize, factor: f64) {
        self.pieces[start..].iter_mut().for_each(|(_, weight)| *weight *= factor);
    }

    fn bad_weight(&self, start: usize, whole: &str, number: &str) -> String {
        let text: String = self.pieces[start..].iter().map(|(text, _)| text.as_str()).collect();
        format!("'({text}{whole}' in the prompt: '{number}' is no number; write ({text}:1.2)")
    }

    fn finish(mut self) -> Vec<Piece> {
        for start in std::mem::take(&mut self.round) {
            self.multiply(start, ROUND);
        }
        for start in std::mem::take(&mut self.square) {
            self.multiply(start, SQUARE);
        }
        if self.pieces.is_empty() {
            self.push("");
        }
        merged(self.pieces).into_iter().map(piece).collect()
    }
}

fn parse_weight(number: &str) -> Option<f64> {
    let ascii: String = number.chars().map(|sign| digit(sign).unwrap_or(sign)).collect();
    ascii.parse().ok().filter(|weight: &f64| weight.is_finite())
}

/// The parts of `text` between the words `BREAK`, without the space around these.
fn split_breaks(text: &str) -> Vec<&str> {
    let in_word = |sign: Option<char>| sign.is_some_and(|sign| sign.is_alphanumeric() || sign == '_');
    let mut parts = Vec::new();
    let mut rest = text;
    for (at, _) in text.match_indices(BREAK) {
        let (before, after) = (&text[..at], &text[at + BREAK.len()..]);
        if !in_word(before.chars().next_back()) && !in_word(after.chars().next()) {
            parts.push(rest[..rest.len() - (text.len() - at)].trim_end());
            rest = after.trim_start();
        }
    }
    parts.push(rest);
    parts
}

fn merged(pieces: Vec<(String, f64)>) -> Vec<(String, f64)> {
    let mut merged: Vec<(String, f64)> = Vec::new();
    for (text, weight) in pieces {
        match merged.last_mut() {
            Some((last, same)) if *same == weight => last.push_str(&text),
            _ => merged.push((text, weight)),
        }
    }
    merged
}

fn piece((text, weight): (String, f64)) -> Piece {
    if text == BREAK && weight == BREAK_WEIGHT { Piece::Break } else { Piece::Text { text, weight } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, weight: f64) -> Piece {
        Piece::Text { text: text.into(), weight }
    }

    #[test]
    fn brackets_weigh() {
        let pieces = parse_attention("a (b) ((c)) (d:1.5) [e]").unwrap();
        let expected = [("a ", 1.0), ("b", 1.1), (" ", 1.0), ("c", 1.1 * 1.1), (" ", 1.0), ("d", 1.5), (" ", 1.0)];
        let expected = expected.into_iter().chain([("e", 1.0 / 1.1)]).map(|(word, weight)| text(word, weight));
        assert_eq!(pieces, expected.collect::<Vec<_>>());
    }

    #[test]
    fn full_width_digits_are_digits() {
        assert_eq!(parse_attention("(牡丹:１.２)").unwrap(), [text("牡丹", 1.2)]);
    }

    #[test]
    fn a_break_is_a_word() {
        let pieces = parse_attention("a\n BREAK b BREAKS").unwrap();
        assert_eq!(pieces, [text("a", 1.0), Piece::Break, text("b BREAKS", 1.0)]);
        assert_eq!(parse_attention("牡丹BREAK").unwrap(), [text("牡丹BREAK", 1.0)]);
    }

    #[test]
    fn a_weight_that_is_no_number_is_quoted() {
        for number in ["1.2.3", ".", "-."] {
            let message = format!("{:#}", parse_attention(&format!("a (peony, silk:{number})")).unwrap_err());
            assert!(message.contains(&format!("'(peony, silk:{number})'")), "{message}");
            assert!(message.contains(&format!("'{number}' is no number; write (peony, silk:1.2)")), "{message}");
        }
    }
}
