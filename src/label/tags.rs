//! Tags that pictures are compared with: built-in ones for craft museums, or a museum's own.

mod parse;
mod rank;

use std::path::Path;

use anyhow::{Context, Result};

pub use rank::{Chosen, choose, near_duplicates};

const BUILT_IN: &str = include_str!("../../assets/tags/built_in.csv");

/// How a group's tags are put to CLIP, up to three sentences each; any other group is asked as [`ANY_GROUP`].
const TEMPLATES: [(&str, &[&str]); 6] = [
    ("craft", &["a photo of {tag}", "a piece of {tag}", "{tag} in a museum"]),
    ("technique", &["a work made with {tag}", "a close-up photo of {tag}", "{tag}"]),
    ("motif", &["a {tag} motif", "a picture of {tag}", "an ornament with {tag}"]),
    ("colour", &["something in {tag}", "a work in {tag}", "{tag}"]),
    ("composition", &["{tag}", "a picture that shows {tag}"]),
    ("material", &["a work made of {tag}", "a close-up photo of {tag}", "{tag}"]),
];
const ANY_GROUP: &[&str] = &["a photo of {tag}", "{tag}"];

/// One tag. No two of a list are the same words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Index into [`TagList::groups`].
    pub group: usize,
    /// What goes into a caption.
    pub tag: String,
    /// Shown beside it; may be empty.
    pub chinese: String,
}

/// Tags, group after group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagList {
    pub groups: Vec<String>,
    pub tags: Vec<Tag>,
    /// The name of the file's encoding where it is not UTF-8: to be told to the user.
    pub encoding: Option<&'static str>,
}

impl TagList {
    /// Crafts, techniques, motifs, colours, compositions and materials, with their Chinese names.
    pub fn built_in() -> Self {
        parse::csv_tags(BUILT_IN).and_then(parse::grouped).expect("the built-in list is a list of tags")
    }

    /// Reads a list of one's own: a `.csv` with the columns `group`, `tag` and perhaps `chinese`, or text with one tag
    /// a line below headings `[group]`, which may be left out. Text may have comments, lines that begin with `#`.
    ///
    /// # Errors
    /// No such file, a list without tags, a tag that is there twice or that holds a comma or semicolon: the text
    /// names file and line.
    pub fn read(path: &Path) -> Result<Self> {
        let decoded = crate::data::text_encoding::read_text(path)?;
        let is_csv = crate::data::names::has_extension(path, &["csv"]);
        let tags = if is_csv { parse::csv_tags(&decoded.text) } else { Ok(parse::text_tags(&decoded.text)) };
        let list = tags.and_then(parse::grouped);
        let list = list.with_context(|| format!("cannot use the list of tags {}", path.display()))?;
        Ok(Self { encoding: decoded.encoding, ..list })
    }

    /// The sentences for tag `index`: the mean of their normalized embeddings stands for the tag.
    pub fn prompts(&self, index: usize) -> Vec<String> {
        let Tag { group, tag, .. } = &self.tags[index];
        let templates = TEMPLATES.iter().find(|(name, _)| *name == self.groups[*group]);
        let templates = templates.map_or(ANY_GROUP, |(_, templates)| templates);
        templates.iter().map(|template| template.replace("{tag}", tag)).collect()
    }

    /// The Chinese name of `tag`, empty where the list has none.
    pub fn chinese(&self, tag: &str) -> &str {
        self.tags.iter().find(|known| known.tag == tag).map_or("", |known| known.chinese.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_built_in_list_is_ready_for_use() {
        let list = TagList::built_in();
        assert_eq!(list.groups, TEMPLATES.map(|(name, _)| name), "each group has its sentences");
        for (index, name) in list.groups.iter().enumerate() {
            let count = list.tags.iter().filter(|tag| tag.group == index).count();
            assert!((25..=65).contains(&count), "{name}: {count}");
        }
        let is_chinese = |text: &str| !text.is_empty() && text.chars().all(|sign| !sign.is_ascii());
        assert!(list.tags.iter().all(|tag| is_chinese(&tag.chinese)), "each has its Chinese name");
        assert_eq!(list.chinese("peony"), "牡丹");
        assert_eq!(list.chinese("no such tag"), "");
    }

    #[test]
    fn each_group_has_sentences_of_its_own() {
        let list = TagList::built_in();
        let prompts = |tag: &str| list.prompts(list.tags.iter().position(|known| known.tag == tag).unwrap());
        assert_eq!(prompts("embroidery")[0], "a photo of embroidery");
        assert_eq!(prompts("red")[0], "something in red");
        assert!((0..list.tags.len()).all(|index| (1..=3).contains(&list.prompts(index).len())));
    }

    #[test]
    fn own_lists_are_read_and_errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (csv, text) = (folder.path().join("tags.CSV"), folder.path().join("tags.txt"));
        fs::write(&csv, encoding_rs::GB18030.encode("tag,group,chinese\r\nhat,headdress,凤冠\r\n").0).unwrap();
        let list = TagList::read(&csv).unwrap();
        assert_eq!((list.chinese("hat"), list.encoding), ("凤冠", Some("GB18030")));
        fs::write(&text, "[headdress]\nhat\nhat\n").unwrap();
        let message = format!("{:#}", TagList::read(&text).unwrap_err());
        assert!(message.contains("tags.txt: 'hat' is on lines 2 and 3"), "{message}");
        let missing = format!("{:#}", TagList::read(Path::new("no/such.txt")).unwrap_err());
        assert!(missing.contains("no/such.txt"), "{missing}");
        assert_eq!(list.prompts(0), ["a photo of hat", "hat"]);
    }
}
