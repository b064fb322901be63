//! Where captions are kept: in a table or in files beside the pictures.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Result;

use super::picture_names::PictureNames;
use super::sidecars::{CAPTION_EXTENSIONS, Sidecars};
use super::table::CaptionTable;
use crate::data::folder::PictureFolder;
use crate::data::names::{file_name, has_extension};

/// The captions of a folder's pictures, kept while a run goes on.
///
/// A run asks for [`Self::missing`], then [`Self::set`]s and [`Self::save`]s as often as it likes, and
/// [`Self::finish`]es. One that is stopped before loses nothing: the next asks again what is missing.
#[derive(Debug)]
pub enum CaptionStore {
    Table(Box<CaptionTable>),
    Sidecars(Sidecars),
}

impl CaptionStore {
    /// Captions in the csv table at `path`; see [`CaptionTable::open`].
    pub fn table(path: &Path, names: &PictureNames) -> Result<Self> {
        Ok(Self::Table(Box::new(CaptionTable::open(path, names)?)))
    }

    /// Captions in text files beside the pictures; see [`Sidecars::open`].
    pub fn sidecars(folder: &PictureFolder) -> Result<Self> {
        Sidecars::open(folder).map(Self::Sidecars)
    }

    /// Pictures, of `count`, that still need a caption; all of them where existing ones are to be overwritten.
    pub fn missing(&self, count: usize, overwrite: bool) -> Vec<usize> {
        (0..count).filter(|&index| overwrite || self.caption(index).is_none()).collect()
    }

    /// The caption of picture `index`, if it has one that is not empty.
    pub fn caption(&self, index: usize) -> Option<&str> {
        match self {
            Self::Table(table) => table.caption(index),
            Self::Sidecars(sidecars) => sidecars.caption(index),
        }
    }

    /// File name and caption of what a table holds of other pictures.
    pub fn other_rows(&self) -> Vec<(String, String)> {
        match self {
            Self::Table(table) => table.other_rows(),
            Self::Sidecars(_) => vec![],
        }
    }

    /// Gives picture `index` a caption. Nothing is written yet.
    pub fn set(&mut self, index: usize, caption: String) {
        match self {
            Self::Table(table) => table.set(index, caption),
            Self::Sidecars(sidecars) => sidecars.set(index, caption),
        }
    }

    /// Writes what is new. After an error everything is as it was, and may be saved again.
    pub fn save(&mut self) -> Result<()> {
        match self {
            Self::Table(table) => table.save(),
            Self::Sidecars(sidecars) => sidecars.save(),
        }
    }

    /// Says that the run is complete, after the last [`Self::save`].
    pub fn finish(self) -> Result<()> {
        match self {
            Self::Table(table) => table.finish(),
            Self::Sidecars(_) => Ok(()),
        }
    }

    /// What the user should know before the run, about the old captions and about others that training would pass
    /// over or prefer.
    pub fn notes(&self, folder: &PictureFolder) -> Vec<String> {
        let table = folder.others.iter().find(|path| file_name(path) == "metadata.csv");
        match (self, table) {
            (Self::Sidecars(_), Some(table)) => {
                vec![format!("{}: training reads it instead of files beside the pictures", table.display())]
            }
            (Self::Sidecars(_), None) => vec![],
            (Self::Table(table), _) => {
                table.notes.iter().cloned().chain(shadowed_sidecars(folder)).chain(second_table(folder)).collect()
            }
        }
    }
}

fn second_table(folder: &PictureFolder) -> Option<String> {
    let second = folder.others.iter().find(|path| file_name(path) == "metadata.jsonl")?;
    Some(format!("{}: its captions are not looked at; training wants one of the two tables", second.display()))
}

fn shadowed_sidecars(folder: &PictureFolder) -> Option<String> {
    let texts = folder.others.iter().filter(|path| has_extension(path, &CAPTION_EXTENSIONS));
    let stems: HashSet<_> = texts.map(|path| path.with_extension("")).collect();
    let pictures = folder.pictures.iter();
    let count = pictures.filter(|picture| stems.contains(&picture.path.with_extension(""))).count();
    (count > 0).then(|| {
        format!("{count} pictures have caption files beside them, which training passes over once there is a table")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn both_kinds_keep_what_is_there_and_tell_of_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metadata.csv");
        let files =
            [("a.png", ""), ("a.txt", "silk"), ("b.png", ""), ("metadata.csv", "filename,prompt\nb.png,thread\n")];
        for (file, content) in files {
            fs::write(folder.path().join(file), content).unwrap();
        }
        let listed = PictureFolder::list(folder.path(), 1).unwrap();
        let table = CaptionStore::table(&path, &PictureNames::of(&listed).unwrap()).unwrap();
        let sidecars = CaptionStore::sidecars(&listed).unwrap();
        for (store, missing, note) in [(table, 0, "1 pictures have caption files"), (sidecars, 1, "training reads it")]
        {
            assert_eq!(store.missing(2, false), [missing]);
            assert_eq!(store.missing(2, true), [0, 1]);
            assert!(store.notes(&listed)[0].contains(note), "{:?}", store.notes(&listed));
        }
    }

    #[test]
    fn both_kinds_are_filled_and_finished() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.png"), "").unwrap();
        let listed = PictureFolder::list(folder.path(), 1).unwrap();
        let path = folder.path().join("metadata.csv");
        let table = CaptionStore::table(&path, &PictureNames::of(&listed).unwrap()).unwrap();
        for mut store in [table, CaptionStore::sidecars(&listed).unwrap()] {
            store.set(0, "silk".into());
            assert_eq!(store.caption(0), Some("silk"));
            store.save().unwrap();
            store.finish().unwrap();
        }
        let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["a.png", "a.txt", "metadata.csv"]);
    }
}
