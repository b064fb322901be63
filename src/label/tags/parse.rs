//! Lists of tags as people write them.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

use super::{Tag, TagList};

/// The group of tags without a heading.
const NO_GROUP: &str = "tags";

/// A tag as a list has it.
pub(super) struct Line {
    number: usize,
    group: String,
    tag: String,
    chinese: String,
}

/// The rows of a csv with the columns `group`, `tag` and perhaps `chinese`.
pub(super) fn csv_tags(text: &str) -> Result<Vec<Line>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers()?.iter().map(str::to_lowercase).collect();
    let column = |name: &str| header.iter().position(|found| found == name);
    let advice = || format!("the first line must be group,tag or group,tag,chinese and is {}", header.join(","));
    let (group, tag) = (column("group").with_context(advice)?, column("tag").with_context(advice)?);
    let chinese = column("chinese");
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record?;
        let number = record.position().map_or(0, |position| position.line() as usize);
        ensure!(record.len() <= header.len(), "line {number} has {} fields: a tag holds no comma", record.len());
        let field = |column: Option<usize>| column.and_then(|at| record.get(at)).unwrap_or_default().to_owned();
        let (group, tag, chinese) = (field(Some(group)), field(Some(tag)), field(chinese));
        lines.push(Line { number, group, tag, chinese });
    }
    Ok(lines)
}

/// One tag a line, below headings such as `[motif]`; `#` begins a comment line.
pub(super) fn text_tags(text: &str) -> Vec<Line> {
    let mut group = String::new();
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if let Some(heading) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            group = heading.trim().to_owned();
        } else if !line.is_empty() && !line.starts_with('#') {
            lines.push(Line { number, group: group.clone(), tag: line.to_owned(), chinese: String::new() });
        }
    }
    lines
}

/// The list, groups in the order in which they first come.
pub(super) fn grouped(lines: Vec<Line>) -> Result<TagList> {
    ensure!(!lines.is_empty(), "it holds no tag: write one a line");
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let (mut groups, mut tags): (Vec<String>, Vec<Tag>) = (Vec::new(), Vec::new());
    for Line { number, group, tag, chinese } in lines {
        ensure!(!tag.is_empty(), "line {number} has no tag");
        ensure!(!tag.contains([',', ';', '，', '；']), "line {number}: '{tag}' is more than one tag: write one a line");
        if let Some(earlier) = numbers.insert(tag.to_lowercase(), number) {
            bail!("'{tag}' is on lines {earlier} and {number}: keep one");
        }
        let group = if group.is_empty() { NO_GROUP } else { &group };
        let index = groups.iter().position(|known| known == group).unwrap_or_else(|| {
            groups.push(group.to_owned());
            groups.len() - 1
        });
        tags.push(Tag { group: index, tag, chinese });
    }
    tags.sort_by_key(|tag| tag.group);
    Ok(TagList { groups, tags, encoding: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(lines: Vec<Line>) -> Vec<(String, String, String)> {
        let TagList { groups, tags, .. } = grouped(lines).unwrap();
        tags.into_iter().map(|tag| (groups[tag.group].clone(), tag.tag, tag.chinese)).collect()
    }

    fn tag(group: &str, tag: &str, chinese: &str) -> (String, String, String) {
        (group.into(), tag.into(), chinese.into())
    }

    #[test]
    fn groups_are_put_together() {
        let text = "Group, Tag ,Chinese\nmotif,peony,牡丹\ncolour,red\nmotif,cloud,\n";
        let expected = [tag("motif", "peony", "牡丹"), tag("motif", "cloud", ""), tag("colour", "red", "")];
        assert_eq!(listed(csv_tags(text).unwrap()), expected);
    }

    #[test]
    fn headings_are_optional_in_text() {
        let text = "# ours\nhat\n\n[ motif ]\npeony\n牡丹\n";
        let expected = [tag("tags", "hat", ""), tag("motif", "peony", ""), tag("motif", "牡丹", "")];
        assert_eq!(listed(text_tags(text)), expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let in_csv = |text: &str| format!("{:#}", csv_tags(text).and_then(grouped).unwrap_err());
        let in_text = |text: &str| format!("{:#}", grouped(text_tags(text)).unwrap_err());
        for (message, reason) in [
            (in_csv("tag\npeony\n"), "must be group,tag or group,tag,chinese and is tag"),
            (in_csv("group,tag\n"), "holds no tag"),
            (in_csv("group,tag\nmotif,peony\ncolour,\n"), "line 3 has no tag"),
            (in_csv("group,tag\nmotif,blue, white\n"), "line 2 has 3 fields"),
            (in_csv("group,tag\nmotif,peony\ncraft,Peony\n"), "'Peony' is on lines 2 and 3"),
            (in_text("# nothing\n[motif]\n"), "holds no tag"),
            (in_text("blue; white\n"), "line 1: 'blue; white' is more than one tag"),
        ] {
            assert!(message.contains(reason), "{message}");
        }
    }
}
