//! Which parts of pictures count in the loss: mask files, and pictures' own transparency.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::folder::{MASK_LABEL, PictureFolder, folder_name};
use super::image::{MaskChannel, inspect, load_mask_at_size};
use super::names::{counted, file_name, same_form};
use super::resize::GreyPicture;
use crate::size::Size;

/// Where masks are looked for. A picture's mask file goes before its transparency.
#[derive(Debug, Clone, Default)]
pub struct MaskOptions {
    /// Whether mask files are read (`masked_loss`).
    pub files: bool,
    /// Where they lie, under the stems of their pictures, as in kohya's `conditioning_data_dir`; without it they are
    /// called `<stem>-masklabel.png` and lie beside their pictures, as OneTrainer has them.
    pub folder: Option<PathBuf>,
    /// Whether transparency is read (`alpha_mask`).
    pub alpha: bool,
}

/// What a picture's mask is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mask {
    /// Black does not count, white counts in full.
    File(PathBuf),
    /// Transparent does not count, opaque counts in full.
    Alpha,
}

impl Mask {
    /// The file that it lies in, and the channel.
    pub fn source<'a>(&'a self, picture: &'a Path) -> (&'a Path, MaskChannel) {
        match self {
            Mask::File(path) => (path, MaskChannel::First),
            Mask::Alpha => (picture, MaskChannel::Alpha),
        }
    }

    /// The mask of `picture`, scaled and cropped with it to `target`.
    ///
    /// # Errors
    /// A file that does not decode, named.
    pub fn load(&self, picture: &Path, target: Size) -> Result<GreyPicture> {
        let (path, channel) = self.source(picture);
        load_mask_at_size(path, channel, inspect(picture)?.size, target)
    }
}

/// The masks of a folder's pictures.
#[derive(Debug, Default)]
pub(super) struct FoundMasks {
    /// One per picture of the folder, in its order; `None` counts in full.
    pub masks: Vec<Option<Mask>>,
    pub notes: Vec<String>,
    pub warnings: Vec<String>,
}

impl FoundMasks {
    /// Looks for the pictures' masks; none is decoded.
    ///
    /// # Errors
    /// Masks are wanted and no picture has one; two files for one mask; a file that is no picture.
    pub fn find(options: &MaskOptions, pictures: &PictureFolder) -> Result<Self> {
        if !options.files && !options.alpha {
            let unused = pictures.masks.iter().map(|path| file_name(path)).collect();
            let notes = counted("masks that are not used, for `masked_loss` is off", unused);
            let masks = vec![None; pictures.pictures.len()];
            return Ok(Self { masks, notes: notes.into_iter().collect(), warnings: Vec::new() });
        }
        let files = MaskFiles::list(options, pictures)?;
        let paths = pictures.pictures.iter().map(|picture| picture.path.as_path());
        let masks = paths.clone().map(|picture| mask_of(picture, &files, options.alpha)).collect::<Result<Vec<_>>>()?;
        ensure!(masks.iter().any(Option::is_some), nothing_found(options, pictures));
        let pairs: Vec<(&Path, &Option<Mask>)> = paths.zip(&masks).collect();
        let (notes, warnings) = (notes(&pairs)?, files.unused(&masks));
        Ok(Self { masks, notes, warnings: counted("mask files that no picture needs", warnings).into_iter().collect() })
    }
}

/// Mask files by the path of their picture, without its extension and in one Unicode form.
struct MaskFiles {
    files: BTreeMap<String, PathBuf>,
    place: Place,
}

/// Where mask files lie.
enum Place {
    Nowhere,
    Beside,
    Folder(PathBuf),
}

impl MaskFiles {
    fn list(options: &MaskOptions, pictures: &PictureFolder) -> Result<Self> {
        let own = match &options.folder {
            Some(folder) if options.files => Some(PictureFolder::list(folder, 1).context("conditioning_data_dir")?),
            _ => None,
        };
        let paths: Vec<&PathBuf> = match &own {
            Some(own) => own.pictures.iter().map(|picture| &picture.path).chain(&own.masks).collect(),
            None if options.files => pictures.masks.iter().collect(),
            None => Vec::new(),
        };
        let mut files = BTreeMap::new();
        for path in paths {
            if let Some(other) = files.insert(key(path), path.clone()) {
                let (left, right) = (other.display(), path.display());
                ensure!(false, "{left} and {right} are masks of the same picture: keep one");
            }
        }
        let place = match own {
            Some(own) => Place::Folder(own.root),
            None if options.files => Place::Beside,
            None => Place::Nowhere,
        };
        Ok(Self { files, place })
    }

    fn of(&self, picture: &Path) -> Option<PathBuf> {
        match &self.place {
            Place::Nowhere => None,
            // Inner folders that only a table of captions names are not listed.
            Place::Beside => self.files.get(&key(picture)).cloned().or_else(|| {
                let stem = picture.file_stem()?.to_string_lossy();
                Some(picture.with_file_name(format!("{stem}{MASK_LABEL}.png"))).filter(|path| path.is_file())
            }),
            // Masks may lie in inner folders that are named as the pictures' are.
            Place::Folder(folder) => {
                let name = picture.file_name()?;
                let places = [folder.join(folder_name(picture)).join(name), folder.join(name)];
                places.iter().find_map(|place| self.files.get(&key(place)).cloned())
            }
        }
    }

    fn unused(&self, masks: &[Option<Mask>]) -> Vec<String> {
        let used: BTreeSet<&PathBuf> = masks
            .iter()
            .filter_map(|mask| match mask {
                Some(Mask::File(path)) => Some(path),
                _ => None,
            })
            .collect();
        self.files.values().filter(|path| !used.contains(path)).map(|path| file_name(path)).collect()
    }
}

fn key(path: &Path) -> String {
    let bare = path.with_extension("").to_string_lossy().into_owned();
    same_form(bare.strip_suffix(MASK_LABEL).unwrap_or(&bare))
}

fn mask_of(picture: &Path, files: &MaskFiles, alpha: bool) -> Result<Option<Mask>> {
    if let Some(file) = files.of(picture) {
        return Ok(Some(Mask::File(file)));
    }
    Ok((alpha && inspect(picture)?.has_alpha).then_some(Mask::Alpha))
}

fn nothing_found(options: &MaskOptions, pictures: &PictureFolder) -> String {
    let count = pictures.pictures.len();
    let wanted = match (&options.folder, options.files, options.alpha) {
        (_, false, _) => format!(
            "`alpha_mask` is on, and none of the {count} pictures can be transparent: save them as PNG with an alpha \
             channel"
        ),
        (Some(folder), ..) => format!(
            "`masked_loss` is on, and {} has a mask for none of the {count} pictures: a mask has the name of its picture",
            folder.display()
        ),
        (None, ..) => format!(
            "`masked_loss` is on, and none of the {count} pictures has a mask: name the folder of the masks in \
             `conditioning_data_dir`, put each beside its picture as `<name>{MASK_LABEL}.png`, or set `alpha_mask` where \
             the pictures are transparent"
        ),
    };
    wanted + "; or leave it out"
}

/// Where masks come from, which pictures have none, and which masks have another size than their picture.
fn notes(pairs: &[(&Path, &Option<Mask>)]) -> Result<Vec<String>> {
    let (mut files, mut alphas, mut bare, mut stretched) = (0, 0, Vec::new(), Vec::new());
    for (picture, mask) in pairs {
        match mask {
            None => bare.push(file_name(picture)),
            Some(Mask::Alpha) => alphas += 1,
            Some(Mask::File(mask)) => {
                files += 1;
                let (of_mask, of_picture) = (inspect(mask)?.size, inspect(picture)?.size);
                if of_mask != of_picture {
                    stretched.push(format!("{} ({of_mask}, its picture {of_picture})", file_name(mask)));
                }
            }
        }
    }
    let origin = format!("masks come from {files} files and {alphas} pictures' own transparency");
    let rest = [
        counted("pictures without a mask, all of which counts", bare),
        counted("masks of another size than their picture, stretched over it", stretched),
    ];
    Ok(std::iter::once(origin).chain(rest.into_iter().flatten()).collect())
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, RgbImage, RgbaImage};

    use super::*;

    /// A folder with pictures of 8x8 pixels: `a.png` opaque, `b.png` with an alpha channel; and masks as named.
    fn folder_with(masks: &[(&str, u32)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        RgbImage::new(8, 8).save(folder.path().join("data/a.png")).unwrap();
        RgbaImage::new(8, 8).save(folder.path().join("data/b.png")).unwrap();
        for (name, side) in masks {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            GrayImage::new(*side, 8).save(path).unwrap();
        }
        folder
    }

    fn find(folder: &tempfile::TempDir, options: MaskOptions) -> Result<FoundMasks> {
        FoundMasks::find(&options, &PictureFolder::list(&folder.path().join("data"), 1).unwrap())
    }

    fn files() -> MaskOptions {
        MaskOptions { files: true, ..MaskOptions::default() }
    }

    fn file(folder: &tempfile::TempDir, name: &str) -> Option<Mask> {
        Some(Mask::File(folder.path().join(name)))
    }

    #[test]
    fn masks_beside_pictures_are_no_pictures_and_go_before_transparency() {
        let folder = folder_with(&[("data/b-masklabel.png", 8), ("data/z-masklabel.png", 8)]);
        let found = find(&folder, MaskOptions { alpha: true, ..files() }).unwrap();
        assert_eq!(found.masks, [None, file(&folder, "data/b-masklabel.png")]);
        assert_eq!(found.notes[0], "masks come from 1 files and 0 pictures' own transparency");
        assert_eq!(found.notes[1], "pictures without a mask, all of which counts (1): a.png");
        assert_eq!(found.warnings, ["mask files that no picture needs (1): z-masklabel.png"]);
        let off = find(&folder, MaskOptions::default()).unwrap();
        assert_eq!(off.masks, [None, None]);
        assert!(off.notes[0].ends_with("is off (2): b-masklabel.png, z-masklabel.png"), "{:?}", off.notes);
    }

    #[test]
    fn a_folder_of_masks_may_be_flat_or_have_the_pictures_folders() {
        for place in ["masks", "masks/3_data"] {
            let folder = folder_with(&[(&format!("{place}/a.bmp"), 4), (&format!("{place}/b-masklabel.png"), 8)]);
            std::fs::rename(folder.path().join("data"), folder.path().join("3_data")).unwrap();
            let pictures = PictureFolder::list(&folder.path().join("3_data"), 1).unwrap();
            let options = MaskOptions { folder: Some(folder.path().join("masks")), ..files() };
            let found = FoundMasks::find(&options, &pictures).unwrap();
            let expected = ["a.bmp", "b-masklabel.png"].map(|name| file(&folder, &format!("{place}/{name}")));
            assert_eq!(found.masks, expected);
            assert!(
                found.notes[1].ends_with("stretched over it (1): a.bmp (4×8, its picture 8×8)"),
                "{:?}",
                found.notes
            );
        }
    }

    #[test]
    fn transparency_is_a_mask_where_a_picture_has_some() {
        let found = find(&folder_with(&[]), MaskOptions { alpha: true, ..MaskOptions::default() }).unwrap();
        assert_eq!(found.masks, [None, Some(Mask::Alpha)]);
    }

    #[test]
    fn masks_that_are_wanted_and_missing_or_double_are_errors() {
        let folder = folder_with(&[("masks/q.png", 8)]);
        let message = |options| format!("{:#}", find(&folder, options).unwrap_err());
        assert!(
            message(files()).contains("none of the 2 pictures has a mask: name the folder"),
            "{}",
            message(files())
        );
        let own = MaskOptions { folder: Some(folder.path().join("masks")), ..files() };
        assert!(message(own.clone()).contains("a mask for none of the 2 pictures"), "{}", message(own));
        let nowhere = MaskOptions { folder: Some(folder.path().join("no")), ..files() };
        assert!(message(nowhere).contains("conditioning_data_dir"));
        std::fs::remove_file(folder.path().join("data/b.png")).unwrap();
        let alpha = MaskOptions { alpha: true, ..MaskOptions::default() };
        assert!(message(alpha).contains("none of the 1 pictures can be transparent"));
        let double = folder_with(&[("masks/a.png", 8), ("masks/a.bmp", 8)]);
        let own = MaskOptions { folder: Some(double.path().join("masks")), ..files() };
        assert!(find(&double, own).unwrap_err().to_string().contains("masks of the same picture"));
    }
}
