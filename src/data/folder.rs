//! What lies in a picture folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::names::{file_name, name_list, natural_order};

/// Endings of files taken for pictures. Those that cannot be decoded are in the list too: so their owner hears of it.
const PICTURE_EXTENSIONS: [&str; 12] =
    ["png", "jpg", "jpeg", "jfif", "webp", "bmp", "tif", "tiff", "gif", "heic", "heif", "avif"];

/// A picture and how often an epoch shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub path: PathBuf,
    pub repeats: usize,
}

/// The files of a picture folder, in natural order; hidden ones are left out.
#[derive(Debug)]
pub struct PictureFolder {
    pub root: PathBuf,
    pub pictures: Vec<Picture>,
    /// Every file that is no picture.
    pub others: Vec<PathBuf>,
    /// Folders whose content was not read.
    pub unread_folders: Vec<PathBuf>,
}

impl PictureFolder {
    /// Lists a flat folder, or, where it holds no picture itself, kohya's `N_name` folders inside it: their
    /// pictures are repeated N times as often.
    pub fn list(root: &Path, num_repeats: usize) -> Result<Self> {
        ensure!(root.exists(), "there is no folder {}: check train_data_dir", root.display());
        ensure!(root.is_dir(), "{} is a file, not a folder: check train_data_dir", root.display());
        let mut listing = Self { root: root.to_owned(), pictures: vec![], others: vec![], unread_folders: vec![] };
        listing.add_files(root, num_repeats)?;
        if listing.pictures.is_empty() {
            for folder in std::mem::take(&mut listing.unread_folders) {
                match kohya_repeats(&folder) {
                    Some(repeats) => listing.add_files(&folder, num_repeats * repeats)?,
                    None => listing.unread_folders.push(folder),
                }
            }
        }
        Ok(listing)
    }

    fn add_files(&mut self, folder: &Path, repeats: usize) -> Result<()> {
        for path in sorted_entries(folder)? {
            if path.is_dir() {
                self.unread_folders.push(path);
            } else if has_extension(&path, &PICTURE_EXTENSIONS) {
                self.pictures.push(Picture { path, repeats });
            } else {
                self.others.push(path);
            }
        }
        Ok(())
    }

    /// Fails where there is no picture, and says what is there instead.
    pub fn ensure_pictures(&self) -> Result<()> {
        if !self.pictures.is_empty() {
            return Ok(());
        }
        let root = self.root.display();
        if self.others.is_empty() && self.unread_folders.is_empty() {
            bail!("there are no pictures in {root}: it is empty");
        }
        let found = name_list(self.others.iter().chain(&self.unread_folders).map(|path| file_name(path)));
        let advice = if self.unread_folders.is_empty() {
            "pictures end in .png, .jpg, .jpeg, .webp, .bmp, .tif or .tiff"
        } else {
            "inner folders are read where they are named as kohya does (10_name); else give the inner folder itself"
        };
        bail!("there are no pictures in {root}, only {found}; {advice}")
    }
}

/// The name of the folder a file lies in.
pub fn folder_name(path: &Path) -> String {
    path.parent().map(file_name).unwrap_or_default()
}

/// Whether the file's extension is one of `extensions`, in any case.
pub fn has_extension<E: AsRef<str>>(path: &Path, extensions: &[E]) -> bool {
    let own = path.extension().unwrap_or_default();
    extensions.iter().any(|extension| own.eq_ignore_ascii_case(extension.as_ref()))
}

/// N of a folder named `N_name`, where N is at least 1.
fn kohya_repeats(folder: &Path) -> Option<usize> {
    let name = file_name(folder);
    let (repeats, rest) = name.split_once('_')?;
    repeats.parse().ok().filter(|&repeats| repeats > 0 && !rest.is_empty())
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read the folder {}", folder.display());
    let entries = fs::read_dir(folder).with_context(unreadable)?;
    let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.with_context(unreadable)?;
    paths.retain(|path| !file_name(path).starts_with('.'));
    paths.sort_by(|left, right| natural_order(&file_name(left), &file_name(right)).then_with(|| left.cmp(right)));
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn listed(folder: &Path) -> Vec<(String, usize)> {
        let listing = PictureFolder::list(folder, 2).unwrap();
        listing.pictures.iter().map(|picture| (file_name(&picture.path), picture.repeats)).collect()
    }

    #[test]
    fn pictures_come_in_natural_order() {
        let folder = folder_with(&["img10.PNG", "img2.jpg", "notes.txt", "._img2.jpg", "deep/x.png"]);
        assert_eq!(listed(folder.path()), [("img2.jpg".into(), 2), ("img10.PNG".into(), 2)]);
    }

    #[test]
    fn kohya_folders_multiply_repeats() {
        let folder = folder_with(&["10_peony/a.png", "3_silk/b.png", "3_silk/c.png", "masks/d.png"]);
        assert_eq!(listed(folder.path()), [("b.png".into(), 6), ("c.png".into(), 6), ("a.png".into(), 20)]);
        let listing = PictureFolder::list(folder.path(), 1).unwrap();
        assert_eq!(listing.unread_folders, [folder.path().join("masks")]);
    }

    #[test]
    fn no_pictures_says_what_is_there() {
        let message = |files: &[&str]| {
            let folder = folder_with(files);
            PictureFolder::list(folder.path(), 1).unwrap().ensure_pictures().unwrap_err().to_string()
        };
        assert!(message(&[]).contains("empty"));
        assert!(message(&["a.psd"]).contains("only a.psd; pictures end in"));
        assert!(message(&["flowers/a.png"]).contains("only flowers; inner folders"));
        let missing = PictureFolder::list(Path::new("no/such/folder"), 1).unwrap_err().to_string();
        assert!(missing.contains("no folder no/such/folder"), "{missing}");
    }
}
