//! Captions in text files beside the pictures: `flower.txt` beside `flower.png`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::kept_file::{keep_copy, read_if_there};
use crate::data::folder::PictureFolder;
use crate::data::names::{file_name, has_extension, same_form};
use crate::data::text_encoding::read_text;
use crate::weights::write_atomically;

/// Endings of caption files; the last one that is there wins, as in training.
pub(super) const CAPTION_EXTENSIONS: [&str; 2] = ["caption", "txt"];

/// The caption files of a folder's pictures.
#[derive(Debug)]
pub struct Sidecars {
    files: Vec<PathBuf>,
    captions: Vec<Option<String>>,
    /// Pictures whose caption changed since the last save.
    unsaved: Vec<usize>,
}

impl Sidecars {
    /// Reads what caption files there are: `.txt`, else `.caption`, in any spelling (`A.TXT`, another Unicode form).
    ///
    /// # Errors
    /// A file that cannot be read; two pictures that would share one, such as `a.png` and `a.jpg`.
    pub fn open(folder: &PictureFolder) -> Result<Self> {
        let key = |path: &PathBuf| same_form(&path.with_extension("").to_string_lossy());
        let of_kind = |kind| folder.others.iter().filter(move |path| has_extension(path, &[kind]));
        let existing = CAPTION_EXTENSIONS.into_iter().flat_map(of_kind);
        let existing: BTreeMap<String, &PathBuf> = existing.map(|path| (key(path), path)).collect();
        let mut owners: BTreeMap<String, &PathBuf> = BTreeMap::new();
        let (mut files, mut captions) = (Vec::new(), Vec::new());
        for picture in &folder.pictures {
            let (path, key) = (&picture.path, key(&picture.path));
            if let Some(other) = owners.insert(key.clone(), path) {
                bail!(
                    "{} and {} would share a caption file: rename one, or write a table",
                    file_name(other),
                    path.display()
                );
            }
            let found = existing.get(&key).copied();
            captions.push(found.map(|file| read_text(file)).transpose()?.map(|decoded| decoded.text.trim().to_owned()));
            files.push(found.cloned().unwrap_or_else(|| path.with_extension("txt")));
        }
        Ok(Self { files, captions, unsaved: Vec::new() })
    }

    /// The caption of picture `index`, if it has one that is not empty.
    pub fn caption(&self, index: usize) -> Option<&str> {
        self.captions[index].as_deref().filter(|caption| !caption.is_empty())
    }

    /// Gives picture `index` a caption, in place of one that it may have. Nothing is written yet.
    pub fn set(&mut self, index: usize, caption: String) {
        self.captions[index] = Some(caption);
        self.unsaved.push(index);
    }

    /// Writes the files whose caption is new, each whole or not at all; what another one held is kept beside it.
    pub fn save(&mut self) -> Result<()> {
        while let Some(&index) = self.unsaved.last() {
            let caption = self.captions[index].as_deref().unwrap_or_default();
            let (file, content) = (&self.files[index], format!("{caption}\n"));
            if let Some(old) = read_if_there(file)?.filter(|old| *old != content.as_bytes()) {
                keep_copy(file, &old)?;
            }
            write_atomically(file, |out| out.write_all(content.as_bytes()))?;
            self.unsaved.pop();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn existing_files_are_known_and_only_new_captions_written() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a.png", "b.png", "c.png", "d.png"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        for (file, caption) in [("a.TXT", "silk\r\n"), ("a.caption", "x"), ("b.txt", " \n"), ("d.caption", "red")] {
            fs::write(folder.path().join(file), caption).unwrap();
        }
        let listed = PictureFolder::list(folder.path(), 1).unwrap();
        let mut sidecars = Sidecars::open(&listed).unwrap();
        assert_eq!([0, 1, 2, 3].map(|index| sidecars.caption(index)), [Some("silk"), None, None, Some("red")]);
        sidecars.set(1, "牡丹, red".into());
        sidecars.set(2, "x".into());
        sidecars.save().unwrap();
        let text = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
        assert_eq!([text("a.TXT"), text("b.txt"), text("c.txt")], ["silk\r\n", "牡丹, red\n", "x\n"]);
        sidecars.set(0, "overwritten".into());
        sidecars.save().unwrap();
        assert_eq!(text("a.TXT"), "overwritten\n");
        assert!(!folder.path().join("a.txt").exists());
    }

    #[test]
    fn two_pictures_share_no_file() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a.jpg", "a.png"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let message = Sidecars::open(&PictureFolder::list(folder.path(), 1).unwrap()).unwrap_err().to_string();
        assert!(message.contains("a.jpg and") && message.contains("share a caption file"), "{message}");
    }
}
