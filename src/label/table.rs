//! The table of captions: `filename,prompt`, one row a picture, as training reads it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use super::kept_file::{KeptFile, backup};
use super::picture_names::PictureNames;
use crate::data::metadata_table::{MetadataTable, Row};
use crate::data::names::file_name;
use crate::data::names::has_extension;

/// The bytes by which Excel knows UTF-8.
const BYTE_ORDER_MARK: &str = "\u{FEFF}";

/// A csv table of captions that is filled while a run goes on.
///
/// Rows that were there stay in their place, those of other pictures too. New ones follow in the folder's order.
#[derive(Debug)]
pub struct CaptionTable {
    path: PathBuf,
    names: PictureNames,
    /// File name and caption of the rows that were there.
    rows: Vec<(String, String)>,
    /// Which of them a picture has.
    row_of: HashMap<usize, usize>,
    /// Captions of pictures that had no row.
    new: BTreeMap<usize, String>,
    has_mark: bool,
    is_new: bool,
    file: KeptFile,
    /// What a reader of the old table should know.
    pub notes: Vec<String>,
}

impl CaptionTable {
    /// Reads the table at `path` where there is one.
    ///
    /// # Errors
    /// Another ending than `.csv`; what [`MetadataTable`] refuses, except for a table without rows; two rows for one
    /// picture.
    pub fn open(path: &Path, names: &PictureNames) -> Result<Self> {
        ensure!(has_extension(path, &["csv"]), "{}: captions are written to a table that ends in .csv", path.display());
        let file = KeptFile::open(path)?;
        let mut table = Self {
            path: path.to_owned(),
            names: names.clone(),
            rows: Vec::new(),
            row_of: HashMap::new(),
            new: BTreeMap::new(),
            has_mark: false,
            is_new: !path.exists(),
            file,
            notes: Vec::new(),
        };
        if table.path.exists() {
            table.read()?;
        }
        Ok(table)
    }

    fn read(&mut self) -> Result<()> {
        let MetadataTable { rows, other_columns, encoding } = MetadataTable::read_even_empty(&self.path)?;
        self.refuse_double_rows(&rows)?;
        // A table that is not UTF-8 was saved by a spreadsheet, which would not know the new one for UTF-8 either.
        self.has_mark = encoding.is_some() || std::fs::read(&self.path)?.starts_with(BYTE_ORDER_MARK.as_bytes());
        self.notes = self.losses(&other_columns, encoding);
        self.row_of =
            rows.iter().zip(0..).filter_map(|(row, at)| self.names.find(row).map(|index| (index, at))).collect();
        self.rows = rows.into_iter().map(|row| (row.file_name, row.caption)).collect();
        Ok(())
    }

    fn refuse_double_rows(&self, rows: &[Row]) -> Result<()> {
        let mut lines = HashMap::new();
        for row in rows {
            if let Some(earlier) = lines.insert(self.names.key(row), row.line) {
                let (name, table) = (&row.file_name, self.path.display());
                bail!("{table} gives '{name}' two captions, on lines {earlier} and {}: keep one", row.line);
            }
        }
        Ok(())
    }

    /// What the new table will not have of the old one.
    fn losses(&self, other_columns: &[String], encoding: Option<&str>) -> Vec<String> {
        let (name, backup) = (file_name(&self.path), file_name(&backup(&self.path)));
        let columns = (!other_columns.is_empty()).then(|| {
            let columns = other_columns.join(", ");
            format!("{name} gets the columns filename and prompt only; {columns}: in {backup}")
        });
        let encoding = encoding.map(|encoding| format!("{name} was read as {encoding} and becomes UTF-8"));
        columns.into_iter().chain(encoding).collect()
    }

    /// The caption of picture `index`, if it has one that is not empty.
    pub fn caption(&self, index: usize) -> Option<&str> {
        let caption = match self.row_of.get(&index) {
            Some(&row) => Some(&self.rows[row].1),
            None => self.new.get(&index),
        };
        caption.map(String::as_str).filter(|caption| !caption.is_empty())
    }

    /// File name and caption of rows that belong to no picture of the folder.
    pub fn other_rows(&self) -> Vec<(String, String)> {
        let owned: HashSet<usize> = self.row_of.values().copied().collect();
        let rows = self.rows.iter().enumerate().filter(|(at, _)| !owned.contains(at));
        rows.map(|(_, row)| row.clone()).collect()
    }

    /// Gives picture `index` a caption, in place of one that it may have. Nothing is written yet.
    pub fn set(&mut self, index: usize, caption: String) {
        match self.row_of.get(&index) {
            Some(&row) => self.rows[row].1 = caption,
            None => {
                self.new.insert(index, caption);
            }
        }
    }

    /// Writes the table, whole or not at all. The first time, the file from before the run is kept as `NAME.csv.bak`.
    ///
    /// # Errors
    /// Trouble with the disk; a table that somebody has changed since it was read.
    pub fn save(&mut self) -> Result<()> {
        let old = self.rows.iter().map(|(name, caption)| (name.as_str(), caption.as_str()));
        let new = self.new.iter().map(|(&index, caption)| (self.names.name(index), caption.as_str()));
        let header = ["filename", "prompt"];
        let mut content = csv_text(header, old.chain(new))?;
        // Spreadsheets take a table without the mark for one in their country's old encoding.
        if self.has_mark || (self.is_new && !content.is_ascii()) {
            content.splice(0..0, BYTE_ORDER_MARK.bytes());
        }
        self.file.write(&content)
    }

    /// Says that the run is complete, after the last [`Self::save`].
    pub fn finish(self) -> Result<()> {
        self.file.finish()
    }
}

/// A csv of two columns.
pub(super) fn csv_text<'a>(header: [&str; 2], rows: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header)?;
    for (left, right) in rows {
        writer.write_record([left, right])?;
    }
    Ok(writer.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::folder::PictureFolder;
    use std::fs;

    fn folder_with(files: &[&str], table: Option<&[u8]>) -> (tempfile::TempDir, PathBuf, PictureNames) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let path = folder.path().join("metadata.csv");
        if let Some(table) = table {
            fs::write(&path, table).unwrap();
        }
        let names = PictureNames::of(&PictureFolder::list(folder.path(), 1).unwrap()).unwrap();
        (folder, path, names)
    }

    fn saved(table: &mut CaptionTable) -> String {
        table.save().unwrap();
        fs::read_to_string(&table.path).unwrap()
    }

    #[test]
    fn a_new_table_in_chinese_opens_in_a_spreadsheet() {
        let (_guard, path, names) = folder_with(&["a.png", "b.png"], None);
        let mut table = CaptionTable::open(&path, &names).unwrap();
        table.set(0, "silk".into());
        assert!(!saved(&mut table).starts_with(BYTE_ORDER_MARK));
        table.set(1, "苏绣".into());
        assert!(saved(&mut table).starts_with(BYTE_ORDER_MARK));
    }

    #[test]
    fn new_rows_follow_old_ones_in_the_folders_order() {
        let old = b"filename,prompt\nother.png,elsewhere\nc.png,\n.\\b.png,\"silk, red\"\n";
        let (_guard, path, names) = folder_with(&["a.png", "b.png", "c.png", "d2.png", "d10.png"], Some(old));
        let mut table = CaptionTable::open(&path, &names).unwrap();
        let captions = |table: &CaptionTable| {
            (0..names.len()).map(|index| table.caption(index).map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(captions(&table), [None, Some("silk, red".into()), None, None, None]);
        assert_eq!(table.other_rows(), [("other.png".into(), "elsewhere".into())]);
        for (index, caption) in [(4, "ten"), (2, "5\" hoop, 牡丹"), (0, "=a")] {
            table.set(index, caption.into());
        }
        let expected = "filename,prompt\nother.png,elsewhere\nc.png,\"5\"\" hoop, 牡丹\"\n.\\b.png,\"silk, red\"\n\
                        a.png,=a\nd10.png,ten\n";
        assert_eq!(saved(&mut table), expected);
        drop(table);
        let mut second = CaptionTable::open(&path, &names).unwrap();
        assert_eq!(second.caption(3), None, "what was not captioned yet still is to be");
        second.set(3, "two".into());
        second.set(1, "overwritten".into());
        assert!(saved(&mut second).ends_with("\n.\\b.png,overwritten\na.png,=a\nd10.png,ten\nd2.png,two\n"));
        assert_eq!(fs::read(backup(&path)).unwrap(), old, "the original outlives the second run");
    }

    #[test]
    fn double_rows_are_errors_in_any_unicode_form() {
        for (rows, lines) in [
            ("a.png,x\n\n./a.png,y\n", "lines 2 and 4"),
            ("gone\u{E9}.png,x\ngonee\u{301}.png,y\n", "lines 2 and 3"),
            ("Mus\u{E9}e.png,x\nMuse\u{301}e.png,y\n", "lines 2 and 3"),
        ] {
            let table = format!("filename,prompt\n{rows}");
            let (_guard, path, names) = folder_with(&["a.png", "Muse\u{301}e.png"], Some(table.as_bytes()));
            let message = CaptionTable::open(&path, &names).unwrap_err().to_string();
            assert!(message.contains(lines) && message.contains("two captions"), "{message}");
        }
    }

    #[test]
    fn names_are_found_in_another_unicode_form_and_in_inner_folders() {
        let table = b"filename,prompt\n10_silk\\a.png,y\n";
        let (_guard, path, names) = folder_with(&["10_silk/a.png", "10_silk/b.png"], Some(table));
        let mut opened = CaptionTable::open(&path, &names).unwrap();
        assert_eq!(opened.caption(0), Some("y"));
        opened.set(1, "z".into());
        assert!(saved(&mut opened).ends_with("10_silk/b.png,z\n"));
        let (one, two) = ("Mus\u{E9}e.png", "Muse\u{301}e.png");
        for (file, named) in [(one, two), (two, one)] {
            let table = format!("filename,prompt\n{named},x\n");
            let (_guard, path, names) = folder_with(&[file], Some(table.as_bytes()));
            assert_eq!(CaptionTable::open(&path, &names).unwrap().caption(0), Some("x"));
        }
    }

    #[test]
    fn excel_still_reads_chinese() {
        let text = "filename,prompt\na.png,苏绣\n";
        let with_mark = format!("\u{FEFF}{text}");
        let gb18030 = encoding_rs::GB18030.encode(text).0.into_owned();
        for (old, notes) in [(with_mark.as_bytes(), 0), (&gb18030, 1)] {
            let (_guard, path, names) = folder_with(&["a.png", "b.png"], Some(old));
            let mut table = CaptionTable::open(&path, &names).unwrap();
            assert_eq!(table.notes.len(), notes, "{:?}", table.notes);
            table.set(1, "x".into());
            assert_eq!(saved(&mut table), format!("{with_mark}b.png,x\n"));
        }
        let (_guard, path, names) = folder_with(&["a.png"], Some(text.as_bytes()));
        assert_eq!(saved(&mut CaptionTable::open(&path, &names).unwrap()), text, "no mark where none was");
    }

    #[test]
    fn tables_without_rows_are_filled_and_others_refused() {
        let (_guard, path, names) = folder_with(&["a.png"], Some(b"filename;prompt;Year\n"));
        let mut table = CaptionTable::open(&path, &names).unwrap();
        assert!(table.notes[0].ends_with("filename and prompt only; Year: in metadata.csv.bak"), "{:?}", table.notes);
        table.set(0, "x".into());
        assert_eq!(saved(&mut table), "filename,prompt\na.png,x\n");
        let message = CaptionTable::open(&path.with_extension("jsonl"), &names).unwrap_err().to_string();
        assert!(message.contains("ends in .csv"), "{message}");
    }
}
