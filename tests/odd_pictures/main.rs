//! Odd pictures, tables and folders, and what must happen to each: a table of cases per kind. Pictures whose colours
//! other programs were asked about are recorded by `tools/record_pictures.py`; the others are made here.

mod folders;
mod make;
mod pictures;
mod tables;

use std::{fs, path::Path, sync::LazyLock};

use lora_wgpu::data::{
    dataset::{Dataset, DatasetOptions},
    masks::MaskOptions,
    tokenizer::ClipTokenizer,
};
use tempfile::TempDir;

/// A folder with these files.
fn folder_with(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a new folder");
        fs::write(path, content).expect("the test's folder can be written");
    }
    folder
}

/// What a data set is understood to be: names with captions, and everything that is said; or the refusal.
struct Understood {
    captions: Vec<(String, String)>,
    said: Vec<String>,
}

fn understand(folder: &Path, metadata: Option<&Path>) -> Result<Understood, String> {
    let options = DatasetOptions {
        train_data_dir: folder.to_owned(),
        metadata_path: metadata.map(Path::to_owned),
        caption_extension: None,
        allow_missing_captions: false,
        num_repeats: 1,
        max_token_length: 75,
        masks: MaskOptions::default(),
    };
    static TOKENIZER: LazyLock<ClipTokenizer> =
        LazyLock::new(|| ClipTokenizer::new().expect("the vocabulary inside the binary"));
    let dataset = Dataset::open(&options, &TOKENIZER).map_err(|error| format!("{error:#}"))?;
    let name = |path: &Path| path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned();
    let captions = dataset.examples.iter().map(|example| (name(&example.path), example.caption.clone()));
    Ok(Understood { captions: captions.collect(), said: [dataset.notes, dataset.warnings].concat() })
}

/// What must become of a data set.
enum Outcome {
    /// What is expected of the pictures and captions, and parts of the lines said beside the captions' origin.
    Read(&'static [&'static str], &'static [&'static str]),
    /// Parts of the error.
    Refused(&'static [&'static str]),
}

impl Outcome {
    /// Fails where `result` is another outcome. `compare` holds names and captions against what is expected of them.
    #[track_caller]
    fn judge(
        &self,
        what: &str,
        result: Result<Understood, String>,
        compare: impl FnOnce(&[(String, String)], &[&str]),
    ) {
        match (self, result) {
            (Self::Read(expected, said), Ok(understood)) => {
                compare(&understood.captions, expected);
                let beside: Vec<&String> =
                    understood.said.iter().filter(|line| !line.starts_with("captions come")).collect();
                holds(what, &format!("{beside:?}"), said);
                assert_eq!(beside.len(), said.len(), "{what}: {beside:?}");
            }
            (Self::Refused(parts), Err(error)) => holds(what, &error, parts),
            (Self::Read(..), Err(error)) => panic!("{what}: {error}"),
            (Self::Refused(parts), Ok(_)) => panic!("{what}: nobody says {parts:?}"),
        }
    }
}

/// Fails where a part is missing in `text`.
#[track_caller]
fn holds(what: &str, text: &str, parts: &[&str]) {
    let missing: Vec<_> = parts.iter().filter(|part| !text.contains(**part)).collect();
    assert!(missing.is_empty(), "{what}: no {missing:?} in: {text}");
}
