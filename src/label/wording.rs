//! From a model's words to the caption in the table.

use anyhow::Result;

use super::replacements::Replacements;
use super::words::{holds_words, tidy};

/// What is done to every caption that a model wrote.
#[derive(Debug, Clone, Default)]
pub struct Wording {
    /// Comes first of all, with a comma behind it.
    pub trigger: Option<String>,
    /// Comes before the model's words as it is, for instance `suzhou embroidery, `.
    pub prefix: String,
    /// Applied to the model's words alone.
    pub replacements: Replacements,
    /// Whether the picture's tags follow.
    pub append_tags: bool,
}

impl Wording {
    /// Reads the rules of `--replace`; see [`Replacements::parse`].
    pub fn new(trigger: Option<String>, prefix: String, replace: &[String], append_tags: bool) -> Result<Self> {
        Ok(Self { trigger, prefix, replacements: Replacements::parse(replace)?, append_tags })
    }

    /// The caption of a picture: `trigger, prefix words, tag, tag` in one style of commas and spaces. A prefix that
    /// ends in a letter gets a space behind it. A tag whose words the caption has already is left out.
    pub fn caption(&self, words: &str, tags: &[&str]) -> String {
        let trigger = self.trigger.as_deref().unwrap_or_default();
        let words = self.replacements.apply(&tidy(words));
        let gap = if self.prefix.ends_with(char::is_alphanumeric) { " " } else { "" };
        let mut caption = tidy(&format!("{trigger}, {}{gap}{words}", self.prefix));
        for tag in tags.iter().filter(|_| self.append_tags) {
            if !holds_words(&caption, tag) {
                caption = tidy(&format!("{caption}, {tag}"));
            }
        }
        caption
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wording(trigger: &str, prefix: &str, replace: &[&str], append_tags: bool) -> Wording {
        let replace: Vec<String> = replace.iter().map(|&rule| rule.into()).collect();
        let trigger = Some(trigger.to_owned()).filter(|trigger| !trigger.is_empty());
        Wording::new(trigger, prefix.into(), &replace, append_tags).unwrap()
    }

    #[test]
    fn trigger_prefix_words_and_tags_come_in_this_order() {
        let wording = wording("sxcx", "suzhou embroidery, ", &["flower=peony"], true);
        assert_eq!(
            wording.caption("a pink flower on  white silk", &["peony", "satin stitch", "silk", "Satin Stitch", "red"]),
            "sxcx, suzhou embroidery, a pink peony on white silk, satin stitch, red"
        );
    }

    #[test]
    fn prefixes_are_neither_glued_nor_replaced() {
        let caption = |prefix| wording("", prefix, &["flower=peony"], false).caption("a flower", &["red"]);
        assert_eq!(caption(""), "a peony");
        assert_eq!(caption("photo of"), "photo of a peony");
        assert_eq!(caption("a flower piece,"), "a flower piece, a peony");
        assert_eq!(caption("苏绣，"), "苏绣, a peony");
    }

    #[test]
    fn what_was_replaced_by_nothing_leaves_no_gap() {
        let wording = wording("", "x, ", &["a close up of="], false);
        assert_eq!(wording.caption("a close up of a bird", &[]), "x, a bird");
        assert_eq!(wording.caption("a close up of", &[]), "x");
    }
}
