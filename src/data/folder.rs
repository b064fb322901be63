//! What lies in a picture folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::foreign::{self, Foreign};
use super::names::{file_name, has_extension, name_list, natural_order, same_form};

/// Endings of files taken for pictures.
const PICTURE_EXTENSIONS: [&str; 9] = ["png", "jpg", "jpeg", "jfif", "webp", "bmp", "tif", "tiff", "gif"];

/// What systems leave behind in folders, beside everything whose name starts with a dot.
const LITTER: [&str; 5] = ["Thumbs.db", "ehthumbs.db", "desktop.ini", "__MACOSX", "@eaDir"];

/// What OneTrainer puts behind a picture's stem to name its mask, a PNG.
pub(super) const MASK_LABEL: &str = "-masklabel";

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
    /// Masks of pictures that lie beside them.
    pub masks: Vec<PathBuf>,
    /// Files of formats that are recognized and not read.
    pub foreign: Vec<PathBuf>,
    /// Every other file.
    pub others: Vec<PathBuf>,
    /// Folders whose content was not read.
    pub unread_folders: Vec<PathBuf>,
}

impl PictureFolder {
    /// Lists a flat folder, or, where it holds no picture itself, kohya's `N_name` folders inside it: their
    /// pictures are repeated N times as often. Links count as what they lead to. Fails on a picture that is a link
    /// to nothing, and on pictures of formats that are not read where the same picture does not lie beside them in
    /// one that is.
    pub fn list(root: &Path, num_repeats: usize) -> Result<Self> {
        ensure!(root.exists(), "there is no folder {}: give the one that holds the pictures", root.display());
        ensure!(root.is_dir(), "{} is a file: give the folder that holds the pictures", root.display());
        let root = root.to_owned();
        let mut listing =
            Self { root, pictures: vec![], masks: vec![], foreign: vec![], others: vec![], unread_folders: vec![] };
        listing.add_files(&listing.root.clone(), num_repeats)?;
        if listing.pictures.is_empty() {
            for folder in std::mem::take(&mut listing.unread_folders) {
                match kohya_repeats(&folder) {
                    Some(repeats) => listing.add_files(&folder, num_repeats * repeats)?,
                    None => listing.unread_folders.push(folder),
                }
            }
        }
        listing.refuse_foreign_pictures()?;
        Ok(listing)
    }

    fn add_files(&mut self, folder: &Path, repeats: usize) -> Result<()> {
        for path in sorted_entries(folder)? {
            if path.is_dir() {
                self.unread_folders.push(path);
            } else if is_mask(&path) {
                self.masks.push(path);
            } else if has_extension(&path, &PICTURE_EXTENSIONS) {
                refuse_broken_link(&path)?;
                self.pictures.push(Picture { path, repeats });
            } else if foreign::by_extension(&path).is_some() {
                self.foreign.push(path);
            } else {
                self.others.push(path);
            }
        }
        Ok(())
    }

    fn refuse_foreign_pictures(&self) -> Result<()> {
        let stem = |path: &Path| same_form(&path.with_extension("").to_string_lossy());
        let readable: BTreeSet<String> = self.pictures.iter().map(|picture| stem(&picture.path)).collect();
        let mut missed: BTreeMap<&str, (&Foreign, Vec<String>)> = BTreeMap::new();
        for path in &self.foreign {
            match foreign::by_extension(path) {
                Some(format) if format.is_picture && !readable.contains(&stem(path)) => {
                    missed.entry(format.name).or_insert((format, vec![])).1.push(file_name(path));
                }
                _ => {}
            }
        }
        let formats = missed.into_values().map(|(format, names)| {
            format!("\n  {}: {}. {}", format.name, name_list(names), capitalized(format.remedy))
        });
        let formats: String = formats.collect();
        let root = self.root.display();
        ensure!(
            formats.is_empty(),
            "{root} holds pictures that are not read; or take them out of the folder:{formats}"
        );
        Ok(())
    }

    /// Fails where there is no picture, and says what is there instead.
    pub fn ensure_pictures(&self) -> Result<()> {
        if !self.pictures.is_empty() {
            return Ok(());
        }
        let root = self.root.display();
        let others = || self.others.iter().chain(&self.foreign).chain(&self.unread_folders);
        if others().next().is_none() {
            bail!("there are no pictures in {root}: it is empty");
        }
        let found = name_list(others().map(|path| file_name(path)));
        let advice = if self.unread_folders.is_empty() {
            "pictures end in .png, .jpg, .jpeg, .webp, .bmp, .tif or .tiff"
        } else {
            "inner folders are read where they are named as kohya does (10_name); else give the inner folder itself"
        };
        bail!("there are no pictures in {root}, only {found}; {advice}")
    }
}

fn is_mask(path: &Path) -> bool {
    file_name(path).to_lowercase().ends_with(&format!("{MASK_LABEL}.png"))
}

fn refuse_broken_link(path: &Path) -> Result<()> {
    // An error means that it is no link.
    let target = fs::read_link(path).ok().filter(|_| !path.exists());
    match target {
        Some(target) => bail!(
            "{} is a link to {}, which is not there: mend the link or remove it",
            path.display(),
            target.display()
        ),
        None => Ok(()),
    }
}

fn capitalized(text: &str) -> String {
    let mut signs = text.chars();
    signs.next().map(|first| first.to_uppercase().chain(signs).collect()).unwrap_or_default()
}

/// The name of the folder a file lies in.
pub fn folder_name(path: &Path) -> String {
    path.parent().map(file_name).unwrap_or_default()
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
    paths.retain(|path| !is_hidden(&file_name(path)));
    paths.sort_by(|left, right| natural_order(&file_name(left), &file_name(right)).then_with(|| left.cmp(right)));
    Ok(paths)
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || LITTER.iter().any(|litter| name.eq_ignore_ascii_case(litter))
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
        assert!(message(&["a.docx"]).contains("only a.docx; pictures end in"));
        assert!(message(&["flowers/a.png"]).contains("only flowers; inner folders"));
        let missing = PictureFolder::list(Path::new("no/such/folder"), 1).unwrap_err().to_string();
        assert!(missing.contains("no folder no/such/folder"), "{missing}");
    }
}
