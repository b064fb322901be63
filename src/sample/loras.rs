//! LoRA files by the names that prompts use.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    config::nearest,
    models::adaptable,
    weights::{
        Checkpoint, PartTensors, SafetensorsFile,
        lora::{self, Delta, LoraModule, Part, Site, SiteKind, WeightRef},
        sha256_hex,
    },
};

use super::{lora_stack::LoraStack, prompt::lora_tags::LoraTag};

/// Folders below the given one that are searched.
const DEPTH: usize = 4;
/// Digits of a LoRA's hash in a picture's infotext.
const HASH_DIGITS: usize = 12;

/// What of a base model a LoRA can stand on.
pub struct KnownModules {
    /// Linear layers, which take a LoRA beside their weight.
    pub modules: Vec<Site>,
    /// Every weight that an adapter can change.
    weights: Vec<WeightRef>,
}

impl KnownModules {
    /// # Errors
    /// Missing or misshapen tensors.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let mut modules = adaptable::sites(checkpoint)?;
        modules.retain(|site| site.kind != SiteKind::Conv3x3);
        let mut weights = checkpoint.unet.weights(Part::Unet);
        weights.extend(checkpoint.text_encoder.weights(Part::TextEncoder));
        Ok(Self { modules, weights })
    }
}

/// The LoRAs that a set of prompts names, read.
#[derive(Default)]
pub struct LoraSet {
    names: Vec<String>,
    hashes: Vec<String>,
    modules: Vec<Vec<LoraModule>>,
    deltas: Vec<Vec<Delta>>,
    /// What is odd but usable, one sentence each.
    pub warnings: Vec<String>,
}

impl LoraSet {
    /// Reads each LoRA that `tags` name once, from `folder` and the folders in it.
    ///
    /// # Errors
    /// A name without a file or with several; a file that is no LoRA for this model.
    pub fn read<'t>(
        tags: impl Iterator<Item = &'t LoraTag>,
        folder: Option<&Path>,
        known: &KnownModules,
    ) -> Result<Self> {
        let mut set = Self::default();
        let mut files = None;
        for tag in tags {
            if set.names.contains(&tag.name) {
                continue;
            }
            let folder = folder.with_context(|| {
                format!("the prompt names the LoRA {:?}: say with --lora-dir in which folder it is", tag.name)
            })?;
            if files.is_none() {
                files = Some(files_by_name(folder)?);
            }
            let path = find(files.as_ref().expect("listed above"), &tag.name, folder)?;
            set.add(&tag.name, &path, known)?;
        }
        Ok(set)
    }

    /// One LoRA from a file of any name.
    ///
    /// # Errors
    /// A file that is no LoRA for this model.
    pub fn of_file(path: &Path, known: &KnownModules) -> Result<Self> {
        let mut set = Self::default();
        set.add(&path.display().to_string(), path, known)?;
        Ok(set)
    }

    fn add(&mut self, name: &str, path: &Path, known: &KnownModules) -> Result<()> {
        let contents = lora::read_any(path, &known.modules, &known.weights)?;
        let hash = match contents.metadata.get("sshs_model_hash") {
            Some(hash) => hash.clone(),
            None => hash_of_data(path)?,
        };
        self.names.push(name.to_owned());
        self.hashes.push(hash.chars().take(HASH_DIGITS).collect());
        self.modules.push(contents.modules);
        self.deltas.push(contents.deltas);
        self.warnings.extend(contents.warnings);
        Ok(())
    }

    /// Whether some of the LoRAs change whole weights of `part`, so that [`LoraSet::materialized`] is needed.
    pub fn changes_weights(&self, part: Part) -> bool {
        self.deltas.iter().flatten().any(|delta| delta.part == part)
    }

    /// `tensors` of `part` with what is no plain LoRA worked in, as f32: one LoRA after the other.
    ///
    /// # Errors
    /// A weight in a storage type that cannot be computed with.
    pub fn materialized(&self, part: Part, tensors: &PartTensors, strengths: &[f32]) -> Result<PartTensors> {
        let mut changed: BTreeMap<String, Vec<f32>> = BTreeMap::new();
        for (deltas, &strength) in self.deltas.iter().zip(strengths).filter(|(_, strength)| **strength != 0.0) {
            for delta in deltas.iter().filter(|delta| delta.part == part) {
                let name = format!("{}.weight", delta.path);
                let weight = match changed.entry(name) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => {
                        let weight = tensors.get(place.key()).expect("deltas stand on known weights").to_f32()?;
                        place.insert(weight)
                    }
                };
                delta.apply(weight, strength);
            }
        }
        Ok(tensors.with(changed))
    }

    /// The strengths that give each LoRA the same `strength`.
    pub fn all_at(&self, strength: f32) -> Vec<f32> {
        vec![strength; self.names.len()]
    }

    /// What the LoRAs have for `part`, stacked.
    pub fn stack(&self, part: Part) -> LoraStack {
        LoraStack::new(part, &self.modules)
    }

    /// Strength of each LoRA in `part` under a prompt's `tags`; 0 where none names it.
    pub fn strengths(&self, part: Part, tags: &[LoraTag]) -> Vec<f32> {
        let of = |name: &String| {
            let tag = tags.iter().find(|tag| tag.name == *name);
            tag.map_or(0.0, |tag| if part == Part::Unet { tag.unet } else { tag.text_encoder })
        };
        self.names.iter().map(of).collect()
    }

    /// (name, hash) of the LoRAs that `tags` name.
    pub fn hashes(&self, tags: &[LoraTag]) -> Vec<(String, String)> {
        let all = self.names.iter().zip(&self.hashes);
        let named = all.filter(|(name, _)| tags.iter().any(|tag| tag.name == **name));
        named.map(|(name, hash)| (name.clone(), hash.clone())).collect()
    }
}

/// The hash that WebUIs know a LoRA by where its header has none: of everything behind the header.
fn hash_of_data(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let header = bytes.first_chunk().map_or(0, |length| 8 + u64::from_le_bytes(*length) as usize);
    Ok(sha256_hex(bytes.get(header..).unwrap_or_default()))
}

/// Every `.safetensors` file below `folder`, by its name without the ending.
fn files_by_name(folder: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read the folder {}", folder.display()))?.path();
            if path.is_dir() && depth < DEPTH {
                folders.push((path, depth + 1));
            } else if path.extension().is_some_and(|extension| extension == "safetensors") {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                files.entry(stem).or_default().push(path);
            }
        }
    }
    Ok(files)
}

/// The file of that name, or else the one that was trained under it (`ss_output_name`), as WebUIs find them.
fn find(files: &BTreeMap<String, Vec<PathBuf>>, name: &str, folder: &Path) -> Result<PathBuf> {
    let named = files.get(name).cloned().or_else(|| Some(trained_as(files, name)).filter(|paths| !paths.is_empty()));
    match named.as_deref() {
        Some([path]) => Ok(path.clone()),
        Some(several) => {
            let listed: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
            bail!("several files are the LoRA {name:?}: {}; rename or move all but one", listed.join(", "))
        }
        None => {
            let meant = nearest(name, files.keys().map(String::as_str));
            let hint = meant.map_or_else(|| listing(files), |meant| format!("did you mean {meant:?}?"));
            bail!("there is no LoRA {name:?} in {}: {hint}", folder.display())
        }
    }
}

/// Files that say so in their metadata; what cannot be read says nothing.
fn trained_as(files: &BTreeMap<String, Vec<PathBuf>>, name: &str) -> Vec<PathBuf> {
    let says = |path: &&PathBuf| {
        let metadata = SafetensorsFile::open(path).map(|file| file.metadata().get("ss_output_name").cloned());
        metadata.is_ok_and(|trained| trained.as_deref() == Some(name))
    };
    files.values().flatten().filter(says).cloned().collect()
}

/// The first names there are.
fn listing(files: &BTreeMap<String, Vec<PathBuf>>) -> String {
    const SHOWN: usize = 8;
    if files.is_empty() {
        return "no .safetensors file is there".to_owned();
    }
    let names: Vec<&str> = files.keys().take(SHOWN).map(String::as_str).collect();
    let more = if files.len() > SHOWN { format!(" and {} more", files.len() - SHOWN) } else { String::new() };
    format!("there are {}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("inside of the folder")).expect("a folder");
            fs::write(path, b"").expect("a written file");
        }
        folder
    }

    fn found(names: &[&str], wanted: &str) -> Result<PathBuf> {
        let folder = folder_with(names);
        let files = files_by_name(folder.path())?;
        find(&files, wanted, folder.path())
    }

    #[test]
    fn files_are_found_in_folders_by_their_stem() {
        let names = ["suzhou.safetensors", "styles/靛蓝 v1.2.safetensors", "notes.txt"];
        assert!(found(&names, "靛蓝 v1.2").expect("there").ends_with("styles/靛蓝 v1.2.safetensors"));
        assert!(found(&names, "suzhou").is_ok());
    }

    #[test]
    fn a_renamed_file_is_found_by_the_name_it_was_trained_under() {
        let folder = folder_with(&["other.safetensors"]);
        let trained_as = std::collections::HashMap::from([("ss_output_name".to_owned(), "suzhou_flower".to_owned())]);
        let values = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).expect("a tensor");
        let file = folder.path().join("renamed.safetensors");
        safetensors::serialize_to_file([("a", values)], Some(trained_as), &file).expect("a written file");
        let files = files_by_name(folder.path()).expect("a list");
        let found = |name| find(&files, name, folder.path());
        assert_eq!(found("suzhou_flower").expect("there"), file);
        assert_eq!(found("renamed").expect("there"), file);
        assert!(found("suzhou").is_err());
    }

    #[test]
    fn a_wrong_name_brings_the_nearest() {
        let message = |names: &[&str], wanted| found(names, wanted).expect_err("not there").to_string();
        assert!(message(&["suzhou_flower.safetensors"], "suzhou_flowr").contains("did you mean \"suzhou_flower\""));
        assert!(message(&["a.safetensors", "b.safetensors"], "silver").contains("there are a, b"));
        assert!(message(&["notes.txt"], "silver").contains("no .safetensors file"));
        assert!(message(&["a.safetensors", "x/a.safetensors"], "a").contains("several files"));
    }
}
