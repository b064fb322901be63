//! File names: their endings, the order people expect, and lists short enough for a message.

use std::cmp::Ordering;
use std::path::Path;

use tokenizers::NormalizedString;

const LISTED: usize = 10;

/// Compares as people count: runs of digits by value (`img2` before `img10`), letters without regard to case; what
/// is equal so far, sign by sign.
pub fn natural_order(left: &str, right: &str) -> Ordering {
    pieces(left).cmp(pieces(right)).then_with(|| left.cmp(right))
}

/// A run of digits or one other sign. A run is ordered by length, then digit by digit, which is its value at any
/// length.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Piece<'a> {
    Number(usize, &'a str),
    Sign(String),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (piece, after) = rest.split_at(if digits > 0 { digits } else { first.len_utf8() });
        rest = after;
        let value = piece.trim_start_matches('0');
        Some(if digits > 0 { Piece::Number(value.len(), value) } else { Piece::Sign(piece.to_lowercase()) })
    })
}

/// The last part of a path, for messages.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// "a, b and 3 more": at most ten names.
pub fn name_list<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> String {
    let mut names = names.into_iter();
    let listed: Vec<String> = names.by_ref().take(LISTED).map(|name| name.as_ref().to_owned()).collect();
    match names.count() {
        0 => listed.join(", "),
        more => format!("{} and {more} more", listed.join(", ")),
    }
}

/// A name in the one form (NFC) in which names that look the same are the same: macOS writes `é` as two letters into
/// zip files, other systems as one.
pub fn same_form(name: &str) -> String {
    NormalizedString::from(name).nfc().get().to_owned()
}

/// The same in the decomposed form (NFD).
pub fn decomposed(name: &str) -> String {
    NormalizedString::from(name).nfd().get().to_owned()
}

/// "things (3): a, b, c", or nothing where there are none.
pub fn counted(what: &str, names: Vec<String>) -> Option<String> {
    (!names.is_empty()).then(|| format!("{what} ({}): {}", names.len(), name_list(names)))
}

/// Whether the file's extension is one of `extensions`, in any case.
pub fn has_extension<E: AsRef<str>>(path: &Path, extensions: &[E]) -> bool {
    let own = path.extension().unwrap_or_default();
    extensions.iter().any(|extension| own.eq_ignore_ascii_case(extension.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_by_value() {
        let mut names = ["img10.png", "IMG2.png", "img2b.png", "img002.png", "a.png", "牡丹.png", "img1.png"];
        names.sort_by(|left, right| natural_order(left, right));
        let expected = ["a.png", "img1.png", "IMG2.png", "img002.png", "img2b.png", "img10.png", "牡丹.png"];
        assert_eq!(names, expected);
    }

    #[test]
    fn both_forms_of_a_name_are_the_same() {
        let (one, two) = ("Mus\u{E9}e", "Muse\u{301}e");
        assert_eq!((same_form(two), decomposed(one)), (one.into(), two.into()));
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        assert_eq!(name_list(["a", "b"]), "a, b");
        assert_eq!(name_list((0..12).map(|n| n.to_string())), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
    }
}
