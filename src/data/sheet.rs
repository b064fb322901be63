//! A summary of the training set, for people and for the LoRA's metadata.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;

use super::dataset::Example;
use super::fit::Fit;
use super::folder::folder_name;
use super::image::{Inspected, Notice, inspect, summarize};
use super::names::file_name;
use crate::size::Size;

const SMALLEST_LISTED: usize = 3;
const TAGS_LISTED: usize = 10;

/// One picture as the sheet counts it.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureFacts {
    pub name: String,
    /// Of the upright picture.
    pub size: Size,
    /// The share of it, 0 to 1, that the centre crop cuts off.
    pub cut: f64,
    /// Whether it is smaller than the training size.
    pub upscaled: bool,
    /// What will be done to it that its owner should know.
    pub notices: Vec<Notice>,
}

/// Counts of one picture folder, as kohya's `ss_dataset_dirs` and `ss_tag_frequency` name them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderFacts {
    pub n_repeats: usize,
    pub img_count: usize,
    /// How many captions hold a tag; tags are the comma-separated pieces of a caption, in lower case.
    pub tag_frequency: BTreeMap<String, usize>,
}

/// What is in the training set.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSheet {
    /// Of the training.
    pub target: Size,
    /// In the order of the examples.
    pub pictures: Vec<PictureFacts>,
    pub with_caption: usize,
    /// Pictures shown in one epoch, repeats counted.
    pub shown_per_epoch: usize,
    /// By folder name.
    pub folders: BTreeMap<String, FolderFacts>,
}

impl DataSheet {
    /// Reads the pictures' headers, one after the other. Fails on the first that is no readable picture, by name.
    pub fn new(examples: &[Example], target: Size) -> Result<Self> {
        let pictures = examples.iter().map(|example| picture_facts(example, target)).collect::<Result<_>>()?;
        Ok(Self {
            target,
            pictures,
            with_caption: examples.iter().filter(|example| !example.caption.is_empty()).count(),
            shown_per_epoch: examples.iter().map(|example| example.repeats).sum(),
            folders: folders(examples),
        })
    }

    /// The pictures with the fewest pixels, smallest first.
    pub fn smallest(&self) -> Vec<&PictureFacts> {
        let mut pictures: Vec<&PictureFacts> = self.pictures.iter().collect();
        pictures.sort_by_key(|picture| picture.size.area());
        pictures.truncate(SMALLEST_LISTED);
        pictures
    }

    /// The share of a picture that is cut off on average, 0 to 1.
    pub fn mean_cut(&self) -> f64 {
        self.pictures.iter().map(|picture| picture.cut).sum::<f64>() / self.pictures.len().max(1) as f64
    }

    /// The picture of which most is cut off; the first where several are equal.
    pub fn most_cut(&self) -> Option<&PictureFacts> {
        self.pictures.iter().rev().max_by(|left, right| left.cut.total_cmp(&right.cut))
    }

    /// What will be done to pictures, as notes and as warnings: a line for each kind, with the pictures' names.
    pub fn notices(&self) -> (Vec<String>, Vec<String>) {
        summarize(
            self.pictures
                .iter()
                .flat_map(|picture| picture.notices.iter().map(|notice| (picture.name.as_str(), notice))),
        )
    }

    /// How many captions hold each tag, all folders together, most frequent first.
    pub fn tags(&self) -> Vec<(String, usize)> {
        let mut sums: BTreeMap<&String, usize> = BTreeMap::new();
        for (tag, count) in self.folders.values().flat_map(|folder| &folder.tag_frequency) {
            *sums.entry(tag).or_default() += count;
        }
        let mut tags: Vec<(String, usize)> = sums.into_iter().map(|(tag, count)| (tag.clone(), count)).collect();
        tags.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        tags
    }
}

fn picture_facts(example: &Example, target: Size) -> Result<PictureFacts> {
    let Inspected { size, notices, .. } = inspect(&example.path)?;
    let fit = Fit::cover(size, target);
    Ok(PictureFacts { name: file_name(&example.path), size, cut: fit.cut(), upscaled: fit.upscaled(), notices })
}

fn folders(examples: &[Example]) -> BTreeMap<String, FolderFacts> {
    let mut folders: BTreeMap<String, FolderFacts> = BTreeMap::new();
    for example in examples {
        let folder = folders.entry(folder_name(&example.path)).or_default();
        folder.n_repeats = example.repeats;
        folder.img_count += 1;
        for tag in example.caption.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            *folder.tag_frequency.entry(tag.to_lowercase()).or_default() += 1;
        }
    }
    folders
}

impl fmt::Display for DataSheet {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let upscaled = self.pictures.iter().filter(|picture| picture.upscaled).count();
        writeln!(out, "pictures       {}, {} with a caption", self.pictures.len(), self.with_caption)?;
        writeln!(out, "an epoch       shows {}", self.shown_per_epoch)?;
        writeln!(out, "training size  {}, {upscaled} pictures are smaller and are enlarged", self.target)?;
        let smallest = self.smallest().into_iter().map(|picture| format!("{} ({})", picture.name, picture.size));
        writeln!(out, "smallest       {}", smallest.collect::<Vec<_>>().join(", "))?;
        if let Some(most) = self.most_cut() {
            let (mean, most_share) = (percent(self.mean_cut()), percent(most.cut));
            writeln!(out, "cut off        {mean} on average, {most_share} at most ({})", most.name)?;
        }
        let tags = self.tags().into_iter().take(TAGS_LISTED).map(|(tag, count)| format!("{tag} ({count})"));
        writeln!(out, "frequent tags  {}", tags.collect::<Vec<_>>().join(", "))
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(folder: &std::path::Path, name: &str, size: Size, caption: &str, repeats: usize) -> Example {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::RgbImage::new(size.width as u32, size.height as u32).save(&path).unwrap();
        Example { path, caption: caption.into(), repeats, mask: None }
    }

    #[test]
    fn counts_cuts_and_tags() {
        let folder = tempfile::tempdir().unwrap();
        let examples = [
            example(folder.path(), "10_peony/wide.png", Size::new(64, 32), "Silk, pink peony", 10),
            example(folder.path(), "10_peony/small.png", Size::new(16, 16), "silk,, red ", 10),
            example(folder.path(), "2_lotus/tall.png", Size::new(32, 128), "silk", 2),
            example(folder.path(), "2_lotus/exact.png", Size::new(32, 32), "", 2),
        ];
        let sheet = DataSheet::new(&examples, Size::square(32)).unwrap();
        assert_eq!((sheet.with_caption, sheet.shown_per_epoch), (3, 24));
        assert_eq!(sheet.smallest()[0].name, "small.png");
        assert_eq!(sheet.mean_cut(), (0.5 + 0.0 + 0.75 + 0.0) / 4.0);
        assert_eq!(sheet.most_cut().unwrap().name, "tall.png");
        assert_eq!(sheet.pictures.iter().filter(|picture| picture.upscaled).count(), 1);
        let peony = &sheet.folders["10_peony"];
        assert_eq!((peony.n_repeats, peony.img_count, peony.tag_frequency["silk"]), (10, 2, 2));
        assert_eq!(sheet.tags()[0], ("silk".into(), 3));
    }

    #[test]
    fn prints_what_a_person_needs() {
        let folder = tempfile::tempdir().unwrap();
        let examples = [example(folder.path(), "wide.png", Size::new(64, 16), "silk", 1)];
        let text = DataSheet::new(&examples, Size::square(32)).unwrap().to_string();
        assert!(text.contains("1 pictures are smaller"), "{text}");
        assert!(text.contains("75 % at most (wide.png)"), "{text}");
        assert!(text.contains("wide.png (64×16)") && text.contains("silk (1)"), "{text}");
    }

    #[test]
    fn an_unreadable_picture_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let broken = Example { path: folder.path().join("broken.png"), caption: "x".into(), repeats: 1, mask: None };
        std::fs::write(&broken.path, "no picture").unwrap();
        let message = format!("{:#}", DataSheet::new(&[broken], Size::square(32)).unwrap_err());
        assert!(message.contains("broken.png"), "{message}");
    }
}
