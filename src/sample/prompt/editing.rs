//! What A1111 changes from step to step, and this program does not.

/// What is said of such a part.
pub const IS_PLAIN_TEXT: &str = "is drawn as plain text: prompts that change by step are not built";

/// The first part of a prompt that A1111 would read as an instruction for some of the steps: `[a:b:0.5]`, `[a|b]`, or
/// `AND` between prompts.
pub fn prompt_editing(prompt: &str) -> Option<&str> {
    let brackets = prompt.match_indices('[').filter_map(|(start, _)| {
        let inner = &prompt[start + 1..];
        let end = inner.find(']')?;
        is_editing(&inner[..end]).then(|| &prompt[start..start + end + 2])
    });
    brackets.into_iter().next().or_else(|| prompt.split_whitespace().find(|word| *word == "AND"))
}

/// Whether brackets hold alternatives, or end in a step or a share of the steps.
fn is_editing(inner: &str) -> bool {
    let step = inner.rsplit_once(':').is_some_and(|(_, step)| step.trim().parse::<f32>().is_ok());
    step || inner.contains('|')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_told_from_emphasis() {
        let cases = [
            ("a [rose:peony:0.5], silk", Some("[rose:peony:0.5]")),
            ("a [rose:10]", Some("[rose:10]")),
            ("[red|blue] silk", Some("[red|blue]")),
            ("a rose AND a bird", Some("AND")),
            ("a [rose] and (silk:1.2), [less, of this]", None),
            ("a [rose", None),
        ];
        for (prompt, expected) in cases {
            assert_eq!(prompt_editing(prompt), expected, "{prompt}");
        }
    }
}
