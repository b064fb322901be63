//! A folder in transformers' layout, as models that caption and tag pictures come: `config.json`, `model.safetensors`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::folder::weight_files;
use super::json_file::read_json;
use super::part_tensors::PartTensors;
use super::safetensors_file::SafetensorsFile;

/// What a folder is expected to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelKind {
    BlipCaptioner,
    Clip,
}

impl ModelKind {
    /// `model_type` and `architectures` in `config.json`.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::BlipCaptioner => ("blip", "BlipForConditionalGeneration"),
            Self::Clip => ("clip", "CLIPModel"),
        }
    }

    /// What to give instead of something else.
    fn wanted(self) -> &'static str {
        match self {
            Self::BlipCaptioner => {
                "a BLIP captioner is wanted, such as the folder of Salesforce/blip-image-captioning-base"
            }
            Self::Clip => "a CLIP model is wanted, such as the folder of openai/clip-vit-large-patch14",
        }
    }
}

/// An opened folder; nothing of its weights is read before it is touched.
#[derive(Debug)]
pub struct ModelFolder {
    path: PathBuf,
    config: Value,
    files: Vec<Arc<SafetensorsFile>>,
}

impl ModelFolder {
    /// Opens a folder with a model of `kind`.
    ///
    /// # Errors
    /// No such folder, a model of another kind, files that are missing or damaged, each named.
    pub fn open(path: &Path, kind: ModelKind) -> Result<Self> {
        let shown = path.display();
        let wanted = kind.wanted();
        if path.is_file() {
            bail!("{shown} is a file; {wanted}, with config.json and model.safetensors in it");
        }
        if !path.is_dir() {
            bail!("there is no folder {shown}; {wanted}");
        }
        if path.join("model_index.json").exists() {
            bail!("{shown} is a Stable Diffusion checkpoint in diffusers' layout; {wanted}");
        }
        let config = read_json(&path.join("config.json"))?;
        let config = config.with_context(|| format!("{shown} holds no config.json; {wanted}"))?;
        check_kind(&config, kind).with_context(|| format!("cannot use the model in {shown}"))?;
        let files = weight_files("model", path)?;
        let files = files.iter().map(|file| SafetensorsFile::open(file).map(Arc::new)).collect::<Result<_>>()?;
        Ok(Self { path: path.to_owned(), config, files })
    }

    /// Where a file of the folder is, or would be.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// All tensors under their own names, with the part of `config.json` that `section` names.
    ///
    /// # Errors
    /// A weight in a storage type that cannot be computed with.
    pub fn part(&self, section: &str) -> Result<PartTensors> {
        PartTensors::as_stored(&self.files, self.config.get(section).cloned())
    }

    /// A token's number as `config.json` states it for the text part.
    pub fn token(&self, key: &str) -> Option<u32> {
        self.config.get("text_config")?.get(key)?.as_u64()?.try_into().ok()
    }
}

fn check_kind(config: &Value, kind: ModelKind) -> Result<()> {
    let (wanted_type, wanted_architecture) = kind.names();
    let model_type = config["model_type"].as_str().unwrap_or_default();
    let architecture = config["architectures"][0].as_str().unwrap_or_default();
    let wanted = kind.wanted();
    if model_type != wanted_type {
        let found = if model_type.is_empty() { "of a kind that its config.json does not name" } else { model_type };
        bail!("it is {found}, not {wanted_type}: {wanted}");
    }
    if !architecture.is_empty() && architecture != wanted_architecture {
        bail!("it is {architecture}, not {wanted_architecture}: {wanted}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn message(files: &[(&str, &str)], kind: ModelKind) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        format!("{:#}", ModelFolder::open(folder.path(), kind).unwrap_err())
    }

    #[test]
    fn other_models_are_named_for_what_they_are() {
        use ModelKind::{BlipCaptioner, Clip};
        let clip = [("config.json", r#"{"model_type": "clip", "architectures": ["CLIPModel"]}"#)];
        assert!(message(&clip, BlipCaptioner).contains("it is clip, not blip"));
        let vqa = [("config.json", r#"{"model_type": "blip", "architectures": ["BlipForQuestionAnswering"]}"#)];
        assert!(message(&vqa, BlipCaptioner).contains("BlipForQuestionAnswering"));
        assert!(message(&[("model_index.json", "{}")], Clip).contains("diffusers"));
        assert!(message(&[("config.json", "{}")], Clip).contains("does not name"));
        assert!(message(&[], Clip).contains("no config.json"));
        assert!(message(&clip, Clip).contains("holds no model.safetensors"));
        let pickle = [clip[0], ("pytorch_model.bin", "x")];
        assert!(message(&pickle, Clip).contains("PyTorch pickle"));
        let nowhere = ModelFolder::open(Path::new("no/such/model"), Clip).unwrap_err().to_string();
        assert!(nowhere.contains("no folder no/such/model"), "{nowhere}");
    }
}
