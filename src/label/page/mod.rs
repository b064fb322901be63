//! The page on which a person corrects captions: one HTML file, opened from disk, that needs no network.

mod thumbnail;

use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde_json::{json, to_string};

use crate::data::folder::folder_name;
use crate::data::resize::RgbPicture;
use crate::size::Size;
use crate::weights::write_atomically;
use thumbnail::thumbnail;

const PAGE: &str = include_str!("page.html");
/// Where [`PAGE`] wants its data.
const DATA: &str = "{{data}}";
/// Hex digits of the key under which a browser keeps corrections.
const KEY_DIGITS: usize = 16;

/// A picture on the page.
#[derive(Debug, Clone, PartialEq)]
pub struct PageEntry {
    /// As the table spells it: relative to the picture folder.
    pub file_name: String,
    pub caption: String,
    /// Tags to choose from, the best first, each with its Chinese name or an empty text.
    pub tags: Vec<(String, String)>,
    /// File names of pictures that are nearly the same.
    pub near: Vec<String>,
    /// Of any size; the page gets a thumbnail.
    pub picture: RgbPicture,
}

/// What the script of the page calls an entry.
#[derive(Serialize)]
struct EntryData<'a> {
    name: &'a str,
    caption: &'a str,
    tags: &'a [(String, String)],
    near: &'a [String],
    /// Of the thumbnail.
    size: Size,
    /// The thumbnail, a JPEG in base64.
    jpeg: String,
}

/// Writes the page to `path`, say `metadata.html`; what it saves is then called `metadata.csv`. Pictures are asked for
/// one at a time. `others` are rows, file name and caption, of pictures that are not shown: they are saved along with
/// the rest.
///
/// # Errors
/// Trouble with the disk, and the first error among the pictures: no page is written then.
pub fn write(
    path: &Path,
    pictures: &mut dyn Iterator<Item = Result<PageEntry>>,
    others: &[(String, String)],
) -> Result<()> {
    write_atomically(path, |out| write_page(out, path, pictures, others))
}

fn write_page(
    out: &mut dyn Write,
    path: &Path,
    pictures: &mut dyn Iterator<Item = Result<PageEntry>>,
    others: &[(String, String)],
) -> io::Result<()> {
    let (before, after) = PAGE.split_once(DATA).expect("the page has a place for its data");
    let table = path.with_extension("csv");
    let table = table.file_name().unwrap_or_default().to_string_lossy();
    let mut hash = blake3::Hasher::new();
    write!(out, "{before}{{\"pictures\":[")?;
    for (index, entry) in pictures.enumerate() {
        let entry = entry.map_err(|error| io::Error::other(format!("{error:#}")))?;
        hash_row(&mut hash, &entry.file_name, &entry.caption);
        out.write_all(if index > 0 { b",\n" } else { b"\n" })?;
        out.write_all(script_safe(&to_string(&entry_data(&entry)?)?).as_bytes())?;
    }
    others.iter().for_each(|(name, caption)| hash_row(&mut hash, name, caption));
    let key = &hash.finalize().to_hex()[..KEY_DIGITS];
    let title = folder_name(&std::path::absolute(path)?);
    let rest = json!({ "title": title, "table": table, "others": others, "key": key });
    let rest = script_safe(&to_string(&rest)?);
    let fields = rest.strip_prefix('{').expect("an object");
    write!(out, "\n],{fields}{after}")
}

/// Adds a row to the hash, so that no other rows give the same bytes.
fn hash_row(hash: &mut blake3::Hasher, name: &str, caption: &str) {
    for text in [name, caption] {
        hash.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
}

fn entry_data(entry: &PageEntry) -> io::Result<EntryData<'_>> {
    let PageEntry { file_name, caption, tags, near, picture } = entry;
    let (size, jpeg) = thumbnail(picture)?;
    Ok(EntryData { name: file_name, caption, tags, near, size, jpeg })
}

/// JSON without the sign that could end a script element or begin a comment in it; it stands in texts only.
fn script_safe(json: &str) -> String {
    json.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::fs;

    fn entry(name: &str, caption: &str) -> PageEntry {
        PageEntry {
            file_name: name.into(),
            caption: caption.into(),
            tags: vec![("peony".into(), "牡丹".into())],
            near: vec!["b.png".into()],
            picture: RgbPicture { width: 640, height: 320, rgb: vec![200; 640 * 320 * 3] },
        }
    }

    fn page(entries: Vec<PageEntry>, others: &[(String, String)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("silk.html");
        write(&path, &mut entries.into_iter().map(Ok), others).unwrap();
        fs::read_to_string(path).unwrap()
    }

    fn data(page: &str) -> Value {
        let (_, rest) = page.split_once("id=\"data\">").unwrap();
        serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
    }

    #[test]
    fn the_page_holds_its_data_and_nothing_of_them_is_markup() {
        let odd = "</script><!--<script> \"quoted\", 苏绣 {{data}}";
        let others = [("other.png".to_owned(), "x</script>".to_owned())];
        let page = page(vec![entry("a.png", odd), entry("b.png", "")], &others);
        assert_eq!(page.matches("</script>").count(), 2, "the data end where they should");
        let data = data(&page);
        assert_eq!(data["table"], "silk.csv");
        assert_eq!(data["others"], json!([["other.png", "x</script>"]]));
        let [first, second] = &data["pictures"].as_array().unwrap()[..] else { panic!("two pictures") };
        assert_eq!((&first["name"], &first["caption"]), (&json!("a.png"), &json!(odd)));
        assert_eq!((&first["tags"], &first["near"]), (&json!([["peony", "牡丹"]]), &json!(["b.png"])));
        assert_eq!(first["size"], json!({ "width": 320, "height": 160 }));
        assert!(second["jpeg"].as_str().unwrap().starts_with("/9j/"), "a JPEG");
    }

    #[test]
    fn the_page_needs_no_other_file() {
        let page = page(vec![entry("a.png", "x")], &[]);
        assert!(!page.contains("http") && !page.contains("<link") && !page.contains("src=\""), "it is self-contained");
    }

    #[test]
    fn another_table_has_another_key() {
        let key = |entries, others: &[(&str, &str)]| {
            let others: Vec<_> = others.iter().map(|&(name, caption)| (name.into(), caption.into())).collect();
            data(&page(entries, &others))["key"].as_str().unwrap().to_owned()
        };
        let keys = [
            key(vec![entry("a.png", "x")], &[]),
            key(vec![entry("a.png", "y")], &[]),
            key(vec![entry("a.pn", "gx")], &[]),
            key(vec![entry("a.png", "x")], &[("b.png", "y")]),
        ];
        for (index, first) in keys.iter().enumerate() {
            assert!(first.len() == KEY_DIGITS && !keys[index + 1..].contains(first), "{keys:?}");
        }
        assert_eq!(keys[0], key(vec![entry("a.png", "x")], &[]));
    }

    #[test]
    fn a_picture_that_fails_leaves_no_page() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metadata.html");
        let mut pictures = [Ok(entry("a.png", "x")), Err(anyhow::anyhow!("b.png is broken"))].into_iter();
        let error = format!("{:#}", write(&path, &mut pictures, &[]).unwrap_err());
        assert!(error.contains("b.png is broken"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
