//! Texts for people in the two languages of the project.

/// A language of texts for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    English,
    Chinese,
}

/// One text in both languages.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    pub en: &'static str,
    pub zh: &'static str,
}

impl Words {
    pub const NONE: Words = Words { en: "", zh: "" };

    pub const fn new(en: &'static str, zh: &'static str) -> Self {
        Self { en, zh }
    }

    pub fn of(&self, language: Language) -> &'static str {
        match language {
            Language::English => self.en,
            Language::Chinese => self.zh,
        }
    }

    /// The first sentence, with its full stop.
    pub fn first_sentence(&self, language: Language) -> &'static str {
        let text = self.of(language);
        let end = match language {
            Language::English => text.find(". ").map(|at| at + 1),
            Language::Chinese => text.find('。').map(|at| at + '。'.len_utf8()),
        };
        &text[..end.unwrap_or(text.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_at_their_stop() {
        let words = Words::new("A share such as 0.5. More of it.", "一个比例。更多。");
        assert_eq!(words.first_sentence(Language::English), "A share such as 0.5.");
        assert_eq!(words.first_sentence(Language::Chinese), "一个比例。");
        assert_eq!(Words::new("One.", "一").first_sentence(Language::English), "One.");
        assert_eq!(Words::new("One.", "一").first_sentence(Language::Chinese), "一");
    }
}
