//! Finding words in captions, and the one style in which captions are written.

/// Length in bytes of the whole words `wanted` where `text` has them at byte `at`, without regard to case.
pub(super) fn words_at(text: &str, at: usize, wanted: &str) -> Option<usize> {
    let rest = &text[at..];
    let length = same_start(rest, wanted)?;
    let is_whole = !is_joined(&text[..at], rest) && !is_joined(&rest[..length], &rest[length..]);
    is_whole.then_some(length)
}

/// Whether `text` holds the whole words `wanted`, without regard to case.
pub(super) fn holds_words(text: &str, wanted: &str) -> bool {
    text.char_indices().any(|(at, _)| words_at(text, at, wanted).is_some())
}

/// How much of `text` reads as `wanted` in lower case.
fn same_start(text: &str, wanted: &str) -> Option<usize> {
    let mut wanted = wanted.chars().flat_map(char::to_lowercase).peekable();
    wanted.peek()?;
    for (at, sign) in text.char_indices() {
        if wanted.peek().is_none() {
            return Some(at);
        }
        if !sign.to_lowercase().all(|lower| wanted.next() == Some(lower)) {
            return None;
        }
    }
    wanted.peek().is_none().then_some(text.len())
}

/// Whether the place between `before` and `behind` is inside of a word.
fn is_joined(before: &str, behind: &str) -> bool {
    let in_word =
        |sign: Option<char>| sign.is_some_and(|sign| (sign.is_alphanumeric() || sign == '_') && !is_han(sign));
    in_word(before.chars().next_back()) && in_word(behind.chars().next())
}

/// Chinese characters, which are written without spaces: each begins and ends a word.
fn is_han(sign: char) -> bool {
    matches!(sign, '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

/// A caption with single spaces and with ", " between its parts, none of which is empty. Full-width commas become
/// plain ones; a comma inside of a number stays as it is.
pub(super) fn tidy(text: &str) -> String {
    let mut parts = vec![String::new()];
    let signs: Vec<char> = text.chars().collect();
    for (index, &sign) in signs.iter().enumerate() {
        let digit = |index: Option<usize>| index.and_then(|at| signs.get(at)).is_some_and(char::is_ascii_digit);
        let in_number = sign == ',' && digit(index.checked_sub(1)) && digit(Some(index + 1));
        match sign {
            ',' | '，' if !in_number => parts.push(String::new()),
            _ => parts.last_mut().expect("begins with one").push(sign),
        }
    }
    let parts = parts.iter().map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole_and_of_any_case() {
        for (text, wanted, found) in [
            ("a pink Flower, silk", "flower", true),
            ("flowers", "flower", false),
            ("sunflower", "flower", false),
            ("flower_1", "flower", false),
            ("flower-like", "flower", true),
            ("a close  up", "close up", false),
            ("a close up of", "Close Up", true),
            ("ÉTOILE d'or", "étoile", true),
            ("苏州牡丹刺绣", "牡丹", true),
            ("a flower", "", false),
        ] {
            assert_eq!(holds_words(text, wanted), found, "{wanted:?} in {text:?}");
        }
    }

    #[test]
    fn captions_have_one_style() {
        for (text, tidied) in [
            ("  a  flower ,silk,, red , ", "a flower, silk, red"),
            ("苏绣，牡丹", "苏绣, 牡丹"),
            ("1,000 threads,2 birds", "1,000 threads, 2 birds"),
            ("two\nlines", "two lines"),
            (" , ", ""),
        ] {
            assert_eq!(tidy(text), tidied);
        }
    }
}
