//! WGSL sources and the three directives that our files use.
//!
//! * `#import shared/tile.wgsl` includes a file once: declarations.
//! * `#include shared/rows.wgsl` includes a file at this place, each time: statements inside of functions.
//! * `#for i in 0..N` … `#end` repeats lines, for tiles that must be unrolled into registers. Bounds are integers or
//!   names of the kernel's constants. Inside, `$i` stands for the index and `$(4*i+j)` for integer arithmetic over
//!   indices and constants. Loops nest.
//!
//! A kernel's constants come before everything else as `const NAME: u32 = value;`, and outside of loops too `$NAME`
//! stands for the value.

use std::collections::{HashMap, HashSet};

static SOURCES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// Names of all shader files that are no shared parts.
pub fn names() -> impl Iterator<Item = &'static str> {
    SOURCES.iter().map(|(name, _)| *name).filter(|name| !name.starts_with("shared/"))
}

/// Expands a shader file: constants, then `imports`, then the file itself.
///
/// # Panics
/// On an unknown file or a malformed directive: both are bugs that the first use of the kernel shows.
pub fn expand(file: &str, imports: &[&str], constants: &[(&str, u32)]) -> String {
    let mut out = String::new();
    for (name, value) in constants {
        out += &format!("const {name}: u32 = {value}u;\n");
    }
    let mut expander = Expander {
        out,
        imported: HashSet::new(),
        names: constants.iter().map(|(name, value)| ((*name).to_owned(), i64::from(*value))).collect(),
    };
    for import in imports {
        expander.import(import);
    }
    expander.import(file);
    expander.out
}

struct Expander {
    out: String,
    imported: HashSet<String>,
    names: HashMap<String, i64>,
}

impl Expander {
    fn import(&mut self, name: &str) {
        if self.imported.insert(name.to_owned()) {
            self.include(name);
        }
    }

    fn include(&mut self, name: &str) {
        let source = SOURCES.iter().find(|(file, _)| *file == name);
        let (_, text) = source.unwrap_or_else(|| panic!("no shader file `{name}`"));
        let lines: Vec<&str> = text.lines().collect();
        self.lines(name, &lines);
    }

    fn lines(&mut self, file: &str, lines: &[&str]) {
        let mut at = 0;
        while at < lines.len() {
            let line = lines[at].trim_start();
            if let Some(import) = line.strip_prefix("#import ") {
                self.import(import.trim());
            } else if let Some(included) = line.strip_prefix("#include ") {
                self.include(included.trim());
            } else if let Some(header) = line.strip_prefix("#for ") {
                let body = &lines[at + 1..];
                let length = loop_length(body).unwrap_or_else(|| panic!("{file}: `#for {header}` without `#end`"));
                self.repeat(file, header, &body[..length]);
                at += length + 1;
            } else {
                let line = substitute(lines[at], &self.names);
                self.out += &line;
                self.out.push('\n');
            }
            at += 1;
        }
    }

    fn repeat(&mut self, file: &str, header: &str, body: &[&str]) {
        let parts = header.split_once(" in ").and_then(|(index, range)| Some((index.trim(), range.split_once("..")?)));
        let (index, (first, end)) = parts.unwrap_or_else(|| panic!("{file}: `#for {header}` is not `#for i in a..b`"));
        let (first, end) = (evaluate(first, &self.names), evaluate(end, &self.names));
        for value in first..end {
            self.names.insert(index.to_owned(), value);
            self.lines(file, body);
        }
        self.names.remove(index);
    }
}

/// Lines before the `#end` that closes the loop whose body starts here.
fn loop_length(lines: &[&str]) -> Option<usize> {
    let mut depth = 0;
    for (at, line) in lines.iter().enumerate() {
        let line = line.trim_start();
        if line.starts_with("#for ") {
            depth += 1;
        } else if line.trim_end() == "#end" {
            if depth == 0 {
                return Some(at);
            }
            depth -= 1;
        }
    }
    None
}

/// Replaces `$name` and `$(expression)`.
fn substitute(line: &str, names: &HashMap<String, i64>) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('$') {
        out += &rest[..at];
        rest = &rest[at + 1..];
        let (expression, length) = if rest.starts_with('(') {
            let close = rest.find(')').unwrap_or_else(|| panic!("`$(` without `)` in `{line}`"));
            (&rest[1..close], close + 1)
        } else {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            (&rest[..end], end)
        };
        out += &evaluate(expression, names).to_string();
        rest = &rest[length..];
    }
    out + rest
}

/// Evaluates sums of products: `4*i + j`, `N/4`, `i%8`. No parentheses inside.
fn evaluate(expression: &str, names: &HashMap<String, i64>) -> i64 {
    let text: String = expression.chars().filter(|c| !c.is_whitespace()).collect();
    let mut total = 0;
    let mut start = 0;
    let mut sign = 1;
    let ends = text.char_indices().filter(|(_, c)| matches!(c, '+' | '-')).map(|(at, c)| (at, Some(c)));
    for (end, operator) in ends.chain([(text.len(), None)]) {
        total += sign * product(&text[start..end], names);
        start = end + 1;
        sign = if operator == Some('-') { -1 } else { 1 };
    }
    total
}

fn product(text: &str, names: &HashMap<String, i64>) -> i64 {
    let atom = |word: &str| -> i64 {
        let named = names.get(word).copied();
        named.or_else(|| word.parse().ok()).unwrap_or_else(|| panic!("`{word}` is no number and no constant"))
    };
    let first_end = text.find(['*', '/', '%']).unwrap_or(text.len());
    let mut value = atom(&text[..first_end]);
    let mut rest = &text[first_end..];
    while let Some(operator) = rest.chars().next() {
        let end = rest[1..].find(['*', '/', '%']).map_or(rest.len(), |at| at + 1);
        let operand = atom(&rest[1..end]);
        value = match operator {
            '*' => value * operand,
            '/' => value / operand,
            _ => value % operand,
        };
        rest = &rest[end..];
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pairs: &[(&str, i64)]) -> HashMap<String, i64> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn evaluates_products_before_sums() {
        let names = names(&[("i", 3), ("N", 16)]);
        assert_eq!(evaluate("4*i + 2", &names), 14);
        assert_eq!(evaluate("N/4 - i", &names), 1);
        assert_eq!(evaluate("i%2", &names), 1);
    }

    #[test]
    fn nested_loops_unroll_with_indices_in_place() {
        let mut expander = Expander { out: String::new(), imported: HashSet::new(), names: names(&[("N", 2)]) };
        let text = ["#for i in 0..N", "a$i", "#for j in 0..2", "b$(2*i+j)_$j = $N;", "#end", "#end", "c"];
        expander.lines("test", &text);
        assert_eq!(expander.out, "a0\nb0_0 = 2;\nb1_1 = 2;\na1\nb2_0 = 2;\nb3_1 = 2;\nc\n");
    }
}
