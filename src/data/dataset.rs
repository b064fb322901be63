//! The training set: pictures with their captions, checked before anything is trained.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::captions::{Captions, from_sidecars, from_table};
use super::folder::PictureFolder;
use super::masks::{FoundMasks, Mask, MaskOptions};
use super::names::{counted, file_name, name_list};
use super::tokenizer::ClipTokenizer;

/// Names of a table that is used without being asked for.
const DEFAULT_TABLES: [&str; 2] = ["metadata.csv", "metadata.jsonl"];

/// Where pictures and captions lie.
#[derive(Debug, Clone)]
pub struct DatasetOptions {
    /// A folder of pictures, or one of kohya's `N_name` folders.
    pub train_data_dir: PathBuf,
    /// A csv or jsonl table of captions. Without it, `metadata.csv` or `metadata.jsonl` in the folder is used, else
    /// the text files beside the pictures.
    pub metadata_path: Option<PathBuf>,
    /// The ending of caption files; without it `.txt`, then `.caption`.
    pub caption_extension: Option<String>,
    /// Train pictures without a caption on the empty caption instead of failing.
    pub allow_missing_captions: bool,
    /// How often an epoch shows each picture, times N in a folder `N_name`.
    pub num_repeats: usize,
    /// Tokens of a caption that are trained on.
    pub max_token_length: usize,
    pub masks: MaskOptions,
}

/// A picture and its caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    pub path: PathBuf,
    /// On one line; empty where the picture has none and that is allowed.
    pub caption: String,
    /// How often an epoch shows it.
    pub repeats: usize,
    /// What of it counts in the loss; `None`: all.
    pub mask: Option<Mask>,
}

/// The checked training set, in natural order of the file names.
#[derive(Debug)]
pub struct Dataset {
    pub examples: Vec<Example>,
    /// What was chosen on the user's behalf.
    pub notes: Vec<String>,
    /// What probably is a mistake and does not hinder training.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// Lists the folder and pairs pictures with captions; no picture is decoded. Fails on everything that would
    /// train something else than the user believes: no pictures, no captions, some captions missing, a table that
    /// names absent files or one file twice, text that cannot be decoded, masks that are wanted and missing.
    pub fn open(options: &DatasetOptions, tokenizer: &ClipTokenizer) -> Result<Self> {
        ensure!(options.num_repeats > 0, "num_repeats is 0: no picture would ever be shown");
        let mut folder = PictureFolder::list(&options.train_data_dir, options.num_repeats).context("train_data_dir")?;
        let found = match metadata_table(options, &folder)? {
            Some(table) => from_table(&table, &mut folder, options.num_repeats)?,
            None => {
                folder.ensure_pictures()?;
                from_sidecars(&folder, options.caption_extension.as_deref())?
            }
        };
        check_missing(options, &folder, &found)?;
        let masks = FoundMasks::find(&options.masks, &folder)?;
        let mut warnings = [file_warnings(&folder, &found), masks.warnings].concat();
        let examples = examples(folder, &found.captions, masks.masks);
        warnings.extend(caption_warnings(&examples, tokenizer, options.max_token_length)?);
        Ok(Self { examples, notes: [found.notes, masks.notes].concat(), warnings })
    }
}

fn metadata_table(options: &DatasetOptions, folder: &PictureFolder) -> Result<Option<PathBuf>> {
    if options.metadata_path.is_some() {
        return Ok(options.metadata_path.clone());
    }
    let mut tables = DEFAULT_TABLES.iter().map(|name| folder.root.join(name)).filter(|path| path.is_file());
    match (tables.next(), tables.next()) {
        (Some(_), Some(_)) => {
            bail!(
                "{} holds both {}: say in metadata_path which one to use",
                folder.root.display(),
                DEFAULT_TABLES.join(" and ")
            )
        }
        (Some(_), None) if options.caption_extension.is_some() => {
            bail!(
                "{} holds a metadata table, and caption_extension asks for caption files: drop one of them",
                folder.root.display()
            )
        }
        (table, _) => Ok(table),
    }
}

fn check_missing(options: &DatasetOptions, folder: &PictureFolder, found: &Captions) -> Result<()> {
    let missing = names_without_caption(folder, found);
    let (count, total) = (missing.len(), folder.pictures.len());
    if count == total {
        let source = found.notes.first().map(String::as_str).unwrap_or_default();
        let others = match &found.unused_files[..] {
            [] => String::new(),
            files => format!(" There are: {}.", name_list(files.iter().map(|file| file_name(file)))),
        };
        bail!("none of the {total} pictures in {} has a caption ({source}).{others}", folder.root.display());
    }
    ensure!(
        count == 0 || options.allow_missing_captions,
        "{count} of {total} pictures have no caption: {}. Write their captions, take them out of {}, or set \
         allow_missing_captions to train them on an empty one",
        name_list(missing),
        folder.root.display()
    );
    Ok(())
}

fn names_without_caption(folder: &PictureFolder, found: &Captions) -> Vec<String> {
    let pairs = folder.pictures.iter().zip(&found.captions);
    pairs.filter(|(_, caption)| caption.is_none()).map(|(picture, _)| file_name(&picture.path)).collect()
}

fn examples(folder: PictureFolder, captions: &[Option<String>], masks: Vec<Option<Mask>>) -> Vec<Example> {
    let pairs = folder.pictures.into_iter().zip(captions).zip(masks);
    pairs
        .map(|((picture, caption), mask)| Example {
            path: picture.path,
            caption: caption.clone().unwrap_or_default(),
            repeats: picture.repeats,
            mask,
        })
        .collect()
}

fn file_warnings(folder: &PictureFolder, found: &Captions) -> Vec<String> {
    let names = |paths: &[PathBuf]| paths.iter().map(|path| file_name(path)).collect();
    [
        counted("caption files that were not read, for no picture needs them", names(&found.unused_files)),
        counted("files of formats that are not read, left out", names(&folder.foreign)),
        counted("inner folders that were not read", names(&folder.unread_folders)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn caption_warnings(examples: &[Example], tokenizer: &ClipTokenizer, longest: usize) -> Result<Vec<String>> {
    let named = |is_meant: &dyn Fn(&Example) -> bool| {
        examples.iter().filter(|example| is_meant(example)).map(|example| file_name(&example.path)).collect()
    };
    let mut long = Vec::new();
    for example in examples {
        let tokens = tokenizer.tokens(&example.caption)?.len();
        if tokens > longest {
            long.push(format!("{} ({tokens} tokens)", file_name(&example.path)));
        }
    }
    let warnings = [
        counted("pictures trained on an empty caption", named(&|example| example.caption.is_empty())),
        counted(
            "captions mostly not in Latin letters, while the text encoder of SD v1.5 knows English",
            named(&|example| mostly_not_latin(&example.caption)),
        ),
        counted(&format!("captions cut after {longest} tokens"), long),
    ];
    Ok(warnings.into_iter().flatten().collect())
}

/// Whether more than half of the letters are not Latin ones.
fn mostly_not_latin(caption: &str) -> bool {
    let is_latin = |letter: char| matches!(letter, '\0'..='\u{24F}' | '\u{1E00}'..='\u{1EFF}');
    let letters = caption.chars().filter(|sign| sign.is_alphabetic());
    let (latin, others): (Vec<char>, Vec<char>) = letters.partition(|&letter| is_latin(letter));
    others.len() > latin.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    fn options(folder: &tempfile::TempDir) -> DatasetOptions {
        DatasetOptions {
            train_data_dir: folder.path().to_owned(),
            metadata_path: None,
            caption_extension: None,
            allow_missing_captions: false,
            num_repeats: 1,
            max_token_length: 75,
            masks: MaskOptions::default(),
        }
    }

    fn open(options: &DatasetOptions) -> Result<Dataset> {
        Dataset::open(options, &ClipTokenizer::new().unwrap())
    }

    #[test]
    fn pictures_meet_their_captions() {
        let folder = folder_with(&[("p10.png", ""), ("p2.png", ""), ("p2.txt", "two"), ("p10.txt", "ten, 10")]);
        let dataset = open(&options(&folder)).unwrap();
        let captions: Vec<&str> = dataset.examples.iter().map(|example| example.caption.as_str()).collect();
        assert_eq!(captions, ["two", "ten, 10"]);
        assert_eq!(dataset.warnings, [""; 0]);
    }

    #[test]
    fn a_table_in_the_folder_is_used_and_told() {
        let folder = folder_with(&[("a.png", ""), ("metadata.csv", "filename,prompt\na.png,silk"), ("a.txt", "x")]);
        let dataset = open(&options(&folder)).unwrap();
        assert_eq!(dataset.examples[0].caption, "silk");
        assert!(dataset.notes[0].contains("metadata.csv (1 rows)"), "{:?}", dataset.notes);
        assert!(dataset.warnings[0].contains("not read") && dataset.warnings[0].contains("a.txt"));
        fs::write(folder.path().join("metadata.jsonl"), "{}").unwrap();
        assert!(open(&options(&folder)).unwrap_err().to_string().contains("metadata_path"));
    }

    #[test]
    fn a_table_and_a_caption_extension_exclude_each_other() {
        let folder = folder_with(&[("a.png", ""), ("metadata.csv", "filename,prompt\na.png,silk"), ("a.txt", "x")]);
        let asked = DatasetOptions { caption_extension: Some(".txt".into()), ..options(&folder) };
        assert!(open(&asked).unwrap_err().to_string().contains("caption_extension"));
    }

    #[test]
    fn missing_captions_fail_unless_allowed() {
        let folder = folder_with(&[("a.png", ""), ("b.png", ""), ("a.txt", "silk")]);
        let message = open(&options(&folder)).unwrap_err().to_string();
        assert!(message.starts_with("1 of 2 pictures have no caption: b.png."), "{message}");
        let allowed = DatasetOptions { allow_missing_captions: true, ..options(&folder) };
        let dataset = open(&allowed).unwrap();
        assert_eq!(dataset.examples[1].caption, "");
        assert!(dataset.warnings[0].starts_with("pictures trained on an empty caption (1): b.png"));
    }

    #[test]
    fn captions_under_another_extension_are_pointed_at() {
        let folder = folder_with(&[("a.png", ""), ("a.txt", "silk")]);
        let wrong = DatasetOptions { caption_extension: Some("caption".into()), ..options(&folder) };
        let message = open(&wrong).unwrap_err().to_string();
        assert!(message.contains("none of the 1 pictures") && message.contains("There are: a.txt"), "{message}");
    }

    #[test]
    fn doubtful_captions_are_warned_of() {
        let long = "silk ".repeat(80);
        let folder = folder_with(&[
            ("a.png", ""),
            ("a.txt", "苏州刺绣，牡丹 silk"),
            ("b.png", ""),
            ("b.txt", &long),
            ("c.png", ""),
            ("c.txt", "Über café"),
            ("inner/d.png", ""),
        ]);
        let warnings = open(&options(&folder)).unwrap().warnings;
        assert!(warnings[0].contains("inner folders that were not read (1): inner"), "{warnings:?}");
        assert!(warnings[1].starts_with("captions mostly not in Latin") && warnings[1].ends_with("a.png"));
        assert!(warnings[2].contains("b.png (80 tokens)"), "{warnings:?}");
        assert_eq!(warnings.len(), 3);
    }

    #[test]
    fn kohya_folders_carry_their_repeats() {
        let folder = folder_with(&[("10_peony/a.png", ""), ("10_peony/a.txt", "silk")]);
        assert_eq!(open(&options(&folder)).unwrap().examples[0].repeats, 10);
    }
}
