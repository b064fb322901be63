//! The tags that were ranked for each picture: `filename,tags` beside the captions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::picture_names::PictureNames;
use super::table::csv_text;
use crate::data::metadata_table::Row;
use crate::data::text_encoding::read_text;
use crate::weights::write_atomically;

const HEADER: [&str; 2] = ["filename", "tags"];
const SEPARATOR: &str = "; ";

/// Where the tags of the captions in `table` lie: `metadata.tags.csv` beside `metadata.csv`.
pub fn tag_table_path(table: &Path) -> PathBuf {
    table.with_extension("tags.csv")
}

/// Tags of a folder's pictures, the best first.
#[derive(Debug)]
pub struct TagTable {
    path: PathBuf,
    names: PictureNames,
    tags: BTreeMap<usize, Vec<String>>,
}

impl TagTable {
    /// Reads the table at `path` where there is one. Rows of pictures that are not in the folder are dropped.
    ///
    /// # Errors
    /// A file that cannot be read or is no such table.
    pub fn open(path: &Path, names: &PictureNames) -> Result<Self> {
        let mut table = Self { path: path.to_owned(), names: names.clone(), tags: BTreeMap::new() };
        if path.exists() {
            let text = read_text(path)?.text;
            table.read(&text).with_context(|| format!("cannot use {}: mend or remove it", path.display()))?;
        }
        Ok(table)
    }

    fn read(&mut self, text: &str) -> Result<()> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        ensure!(*reader.headers()? == HEADER[..], "its first line is not {}", HEADER.join(","));
        for record in reader.records() {
            let record = record?;
            let line = record.position().map_or(0, |position| position.line() as usize);
            let row = Row { line, file_name: record[0].to_owned(), caption: String::new() };
            if let Some(index) = self.names.find(&row) {
                let tags = record[1].split(SEPARATOR.trim()).map(str::trim).filter(|tag| !tag.is_empty());
                self.tags.insert(index, tags.map(str::to_owned).collect());
            }
        }
        Ok(())
    }

    /// The tags of picture `index`; `None` if they were not ranked yet.
    pub fn tags(&self, index: usize) -> Option<&[String]> {
        self.tags.get(&index).map(Vec::as_slice)
    }

    pub fn set(&mut self, index: usize, tags: Vec<String>) {
        self.tags.insert(index, tags);
    }

    /// Writes the table, whole or not at all.
    pub fn save(&self) -> Result<()> {
        let joined: Vec<String> = self.tags.values().map(|tags| tags.join(SEPARATOR)).collect();
        let names = self.tags.keys().map(|&index| self.names.name(index));
        let content = csv_text(HEADER, names.zip(joined.iter().map(String::as_str)))?;
        write_atomically(&self.path, |out| out.write_all(&content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::folder::PictureFolder;
    use std::fs;

    #[test]
    fn tags_come_back() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a.png", "b, 2.png", "c.png"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let names = PictureNames::of(&PictureFolder::list(folder.path(), 1).unwrap()).unwrap();
        let path = tag_table_path(&folder.path().join("metadata.csv"));
        let mut table = TagTable::open(&path, &names).unwrap();
        table.set(1, vec!["satin stitch".into(), "牡丹".into()]);
        table.set(0, vec![]);
        table.save().unwrap();
        let text = fs::read_to_string(folder.path().join("metadata.tags.csv")).unwrap();
        assert_eq!(text, "filename,tags\na.png,\n\"b, 2.png\",satin stitch; 牡丹\n");
        let read = TagTable::open(&path, &names).unwrap();
        assert_eq!(read.tags(0), Some(&[][..]), "no tag fitted, which is known");
        assert_eq!(read.tags(1), Some(&["satin stitch".to_owned(), "牡丹".to_owned()][..]));
        assert_eq!(read.tags(2), None);
        fs::write(&path, "filename,prompt\na.png,x\n").unwrap();
        let message = format!("{:#}", TagTable::open(&path, &names).unwrap_err());
        assert!(message.contains("metadata.tags.csv") && message.contains("filename,tags"), "{message}");
    }
}
