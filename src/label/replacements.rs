//! Rules that put a craft's own words in the place of a model's.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::words::words_at;
use crate::data::text_encoding::read_text;

const FORM: &str = "write FROM=TO, for instance flower=\"pink peony\"";

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    from: String,
    to: String,
}

/// The rules of `--replace`, the longest `FROM` first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replacements {
    rules: Vec<Rule>,
    /// Files that were not UTF-8, and what they were taken for: to be told to the user.
    pub notes: Vec<String>,
}

impl Replacements {
    /// Reads the values of `--replace`: `FROM=TO`, or `@FILE` for a file of such rules, one a line, with empty lines
    /// and lines that begin with `#` passed over. Each side may be put into double quotes; TO may be empty.
    ///
    /// # Errors
    /// A file that cannot be read or holds no rule, a line that is no rule, two rules for the same words: the text
    /// names the rule and its line.
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let mut found = Self::default();
        let mut places: HashMap<String, String> = HashMap::new();
        for argument in arguments {
            for (place, rule) in found.read(argument)? {
                let rule = parse_rule(&rule).with_context(|| place.clone())?;
                if let Some(earlier) = places.insert(rule.from.to_lowercase(), place.clone()) {
                    bail!("{place}: '{}' is replaced already by {earlier}: keep one of the two rules", rule.from);
                }
                found.rules.push(rule);
            }
        }
        found.rules.sort_by_key(|rule| std::cmp::Reverse(rule.from.chars().count()));
        Ok(found)
    }

    /// Rules, not yet taken apart, each with the place where it stands.
    fn read(&mut self, argument: &str) -> Result<Vec<(String, String)>> {
        let Some(path) = argument.strip_prefix('@').map(Path::new) else {
            return Ok(vec![(format!("--replace {argument}"), argument.trim().to_owned())]);
        };
        let decoded = read_text(path).with_context(|| format!("--replace {argument}"))?;
        self.notes.extend(decoded.encoding.map(|name| format!("{} was read as {name}", path.display())));
        let lines = (1..).zip(decoded.text.lines().map(str::trim));
        let rules = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let rules: Vec<_> =
            rules.map(|(number, line)| (format!("{}, line {number}", path.display()), line.to_owned())).collect();
        ensure!(!rules.is_empty(), "{} holds no rule: {FORM}, one a line", path.display());
        Ok(rules)
    }

    /// `caption` with every rule applied to whole words, without regard to case. Of several rules that fit at a place
    /// the longest counts. What a rule put in is not replaced again.
    pub fn apply(&self, caption: &str) -> String {
        let mut replaced = String::with_capacity(caption.len());
        let mut at = 0;
        while let Some(sign) = caption[at..].chars().next() {
            let fit = self.rules.iter().find_map(|rule| Some((rule, words_at(caption, at, &rule.from)?)));
            let (written, length) = match fit {
                Some((rule, length)) => (rule.to.as_str(), length),
                None => (&caption[at..at + sign.len_utf8()], sign.len_utf8()),
            };
            replaced += written;
            at += length;
        }
        replaced
    }
}

fn parse_rule(text: &str) -> Result<Rule> {
    let (from, rest) = quoted_or_until_equals(text)?;
    let Some(to) = rest.trim_start().strip_prefix('=') else { bail!("'{text}' is no rule: {FORM}") };
    let to = match to.trim() {
        to if to.starts_with('"') => {
            let (to, rest) = quoted(to)?;
            ensure!(rest.trim().is_empty(), "'{}' stands behind the closing quote: {FORM}", rest.trim());
            to
        }
        to => to,
    };
    let from = from.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(!from.is_empty(), "'{text}' says nothing to replace: {FORM}");
    Ok(Rule { from, to: to.to_owned() })
}

fn quoted_or_until_equals(text: &str) -> Result<(&str, &str)> {
    match text.find('=') {
        _ if text.starts_with('"') => quoted(text),
        Some(at) => Ok(text.split_at(at)),
        None => Ok((text, "")),
    }
}

/// What stands in the quotes with which `text` begins, and what follows them.
fn quoted(text: &str) -> Result<(&str, &str)> {
    let inner = &text[1..];
    inner.split_once('"').with_context(|| format!("'{text}' opens a double quote and never closes it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn rules(arguments: &[&str]) -> Result<Replacements> {
        Replacements::parse(&arguments.iter().map(|&argument| argument.into()).collect::<Vec<_>>())
    }

    fn applied(arguments: &[&str], caption: &str) -> String {
        rules(arguments).unwrap().apply(caption)
    }

    #[test]
    fn whole_words_of_any_case_are_replaced() {
        let rule = "flower=\"pink peony with silk thread texture\"";
        assert_eq!(
            applied(&[rule], "A Flower, sunflower flowers"),
            "A pink peony with silk thread texture, sunflower flowers"
        );
    }

    #[test]
    fn the_longest_rule_counts_in_any_order() {
        for arguments in [["red flower=peony", "red=pink"], ["red=pink", "red flower=peony"]] {
            assert_eq!(applied(&arguments, "red flower, red bird"), "peony, pink bird");
        }
    }

    #[test]
    fn replaced_text_is_not_replaced_again() {
        assert_eq!(applied(&["a=b", "b=a", "flower=red flower"], "a b flower"), "b a red flower");
    }

    #[test]
    fn quotes_hold_equals_signs_and_nothing_is_allowed() {
        assert_eq!(applied(&["\"a=b\" = \"c = d\"", "photo of="], "photo of a=b"), " c = d");
    }

    #[test]
    fn files_are_decoded_and_comments_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.txt");
        let text = "# birds\r\n\r\nbird = 凤凰\r\nflower=#1 peony\r\n";
        fs::write(&path, encoding_rs::GB18030.encode(text).0).unwrap();
        let rules = rules(&[&format!("@{}", path.display())]).unwrap();
        assert_eq!(rules.apply("bird, flower"), "凤凰, #1 peony");
        assert!(rules.notes[0].ends_with("rules.txt was read as GB18030"), "{:?}", rules.notes);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.txt");
        let in_file = |text: &str| {
            fs::write(&path, text).unwrap();
            format!("{:#}", rules(&["x=y", &format!("@{}", path.display())]).unwrap_err())
        };
        for (text, message) in [
            ("a=b\n\noops\n", "rules.txt, line 3: 'oops' is no rule: write FROM=TO"),
            ("=b", "line 1: '=b' says nothing to replace"),
            ("a=\"b", "line 1: '\"b' opens a double quote"),
            ("a=\"b\" c", "line 1: 'c' stands behind the closing quote"),
            ("a=b\nA=c\n", "line 2: 'A' is replaced already by"),
            ("X=c\n", "line 1: 'X' is replaced already by --replace x=y"),
            ("# nothing\n", "rules.txt holds no rule"),
        ] {
            let error = in_file(text);
            assert!(error.contains(message), "{error}");
        }
        assert!(format!("{:#}", rules(&["oops"]).unwrap_err()).starts_with("--replace oops: 'oops' is no rule"));
        assert!(format!("{:#}", rules(&["@no/such"]).unwrap_err()).contains("--replace @no/such: cannot read no/such"));
    }
}
