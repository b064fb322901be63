//! Text in lines of a terminal's width.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What may not begin a line.
const CLOSING: &str = "，。；：、！？）》”’…,.;:!?)";
/// What may not end one.
const OPENING: &str = "（《“‘(";

/// `text` in lines of at most `width` columns, broken at spaces and between Chinese characters. A word that is longer
/// stands on a line of its own.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in pieces(text) {
        let line = lines.last_mut().expect("starts with a line");
        if !line.is_empty() && line.width() + piece.trim_end().width() > width {
            lines.push(piece.to_owned());
        } else {
            *line += piece;
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// `text` cut wherever a line may end.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for ((_, before), (at, after)) in text.char_indices().zip(text.char_indices().skip(1)) {
        if may_break(before, after) {
            pieces.push(&text[start..at]);
            start = at;
        }
    }
    pieces.push(&text[start..]);
    pieces
}

fn may_break(before: char, after: char) -> bool {
    let wide = |c: char| c.width() == Some(2);
    let after_space = before == ' ' && after != ' ';
    let beside_chinese = (wide(before) || wide(after)) && after != ' ';
    after_space || (beside_chinese && !CLOSING.contains(after) && !OPENING.contains(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("one", 2), ["one"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn chinese_breaks_between_characters_and_keeps_its_punctuation() {
        assert_eq!(wrap("学风格，用图", 6), ["学风", "格，用", "图"]);
        assert_eq!(wrap("用 `rank` 八", 7), ["用", "`rank`", "八"]);
        assert_eq!(wrap("`a`、`b`", 6), ["`a`、", "`b`"]);
    }
}
