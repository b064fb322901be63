//! A Stable Diffusion v1.x checkpoint: a single file in the original layout, or a diffusers folder.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Result, bail};
use serde_json::Value;

use super::component::Component;
use super::family;
use super::folder::open_component;
use super::hashing::ModelHashes;
use super::json_file::read_json;
use super::layouts::Layout;
use super::lora::Part;
use super::part_tensors::PartTensors;
use super::safetensors_file::SafetensorsFile;
use crate::families::SD_V1;

/// A name for `base_model` instead of a path.
const DEMO_NAME: &str = "demo";

/// Stable Diffusion's topology at small widths, trained on ornaments by `tools/demo_model`.
static DEMO: &[u8] = include_bytes!("../../assets/demo_model.safetensors");

/// The three networks of a base model, each a lookup by diffusers names. Nothing is copied out of the files.
///
/// Whether every tensor is there, in the right shape, shows when a model is built from it: here only the family and
/// the presence of each network are checked.
#[derive(Debug)]
pub struct Checkpoint {
    pub unet: PartTensors,
    pub vae: PartTensors,
    pub text_encoder: PartTensors,
    prediction_type: Option<String>,
    single_file: Option<Arc<SafetensorsFile>>,
    hashes: OnceLock<ModelHashes>,
    warnings: Vec<String>,
}

impl Checkpoint {
    /// The tensors of a network that adapters stand on.
    pub fn part(&self, part: Part) -> &PartTensors {
        match part {
            Part::Unet => &self.unet,
            Part::TextEncoder => &self.text_encoder,
        }
    }

    /// Opens `path`, a single `.safetensors` file or a diffusers folder; `demo`, where no file has that name, is the
    /// small checkpoint that is part of the program. `vae` replaces its VAE: a file in the original
    /// or in diffusers' names, a full checkpoint, or a folder.
    ///
    /// # Errors
    /// Files that are missing or damaged, models of another family (named), a network that is not there.
    pub fn open(path: &Path, vae: Option<&Path>) -> Result<Self> {
        let mut checkpoint = match path {
            _ if path.is_dir() => Self::open_folder(path, vae.is_some())?,
            _ if path.exists() => Self::open_single_file(SafetensorsFile::open(path)?)?,
            _ if path == Path::new(DEMO_NAME) => Self::open_single_file(SafetensorsFile::embedded(path, DEMO)?)?,
            _ => bail!("base_model: {} does not exist", path.display()),
        };
        if let Some(vae) = vae {
            checkpoint.vae = open_vae(vae, &mut checkpoint.warnings)?;
        }
        checkpoint.require_parts(&path.display().to_string())?;
        Ok(checkpoint)
    }

    /// Whether it is the small checkpoint that is part of the program.
    pub fn is_demo(&self) -> bool {
        self.single_file.as_ref().is_some_and(|file| file.is_embedded())
    }

    /// What the model predicts, as its `scheduler_config.json` says: `epsilon` or `v_prediction`.
    pub fn prediction_type(&self) -> Option<&str> {
        self.prediction_type.as_deref()
    }

    /// The hashes WebUIs know the model by; `None` for a folder. The first call reads the whole file.
    pub fn hashes(&self) -> Option<&ModelHashes> {
        let file = self.single_file.as_ref()?;
        Some(self.hashes.get_or_init(|| {
            let hashes = ModelHashes::of_file_bytes(file.bytes());
            file.release_pages();
            hashes
        }))
    }

    /// What is odd but usable, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn open_single_file(file: SafetensorsFile) -> Result<Self> {
        let file = Arc::new(file);
        family::require_single_file(&file)?;
        let mut warnings = Vec::new();
        let mut part = |component: Component| {
            let prefix = component.original_prefix();
            let files = std::slice::from_ref(&file);
            let (part, warning) = PartTensors::collect(component, Layout::Original, files, prefix)?;
            warnings.extend(warning);
            anyhow::Ok(part)
        };
        Ok(Self {
            unet: part(Component::Unet)?,
            vae: part(Component::Vae)?,
            text_encoder: part(Component::TextEncoder)?,
            prediction_type: None,
            single_file: Some(Arc::clone(&file)),
            hashes: OnceLock::new(),
            warnings,
        })
    }

    fn open_folder(path: &Path, vae_given: bool) -> Result<Self> {
        require_sd1_folder(path)?;
        let mut warnings = Vec::new();
        let mut part = |component: Component| {
            let (part, warning) = open_component(component, &path.join(component.folder()))?;
            warnings.extend(warning);
            anyhow::Ok(part)
        };
        let unet = part(Component::Unet)?;
        let text_encoder = part(Component::TextEncoder)?;
        let vae = if vae_given { PartTensors::default() } else { part(Component::Vae)? };
        Ok(Self {
            unet,
            vae,
            text_encoder,
            prediction_type: scheduler_prediction_type(path)?,
            single_file: None,
            hashes: OnceLock::new(),
            warnings,
        })
    }

    fn require_parts(&self, path: &str) -> Result<()> {
        family::require_sd1_unet(path, &self.unet)?;
        if self.text_encoder.is_empty() {
            bail!(
                "{path} lacks the text encoder (cond_stage_model.transformer.*): it was pruned too far; \
                 give the full checkpoint"
            );
        }
        if self.vae.is_empty() {
            bail!(
                "{path} lacks the VAE (first_stage_model.*); set `vae` to a VAE file for SD 1.x, \
                 such as vae-ft-mse-840000-ema-pruned.safetensors"
            );
        }
        family::require_sd1_vae(path, &self.vae)
    }
}

/// Folders of other families, and folders that only contain a checkpoint, are told by what lies in them.
fn require_sd1_folder(path: &Path) -> Result<()> {
    let shown = path.display();
    if path.join("transformer").is_dir() {
        bail!("{shown} holds a transformer model (SD3, Flux or alike); only {} can be trained here", SD_V1.name);
    }
    if path.join("text_encoder_2").is_dir() {
        bail!("{shown} holds a Stable Diffusion XL model; only {} can be trained here", SD_V1.name);
    }
    if path.join(Component::Unet.folder()).is_dir() {
        return Ok(());
    }
    match single_file_in(path) {
        Some(file) => bail!(
            "{shown} is not a diffusers folder (it has no unet/); if the checkpoint is one file, give the file: {}",
            file.display()
        ),
        None => bail!("{shown} is not a diffusers folder: it has no unet/"),
    }
}

fn single_file_in(folder: &Path) -> Option<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "safetensors"))
        .collect();
    files.sort();
    files.into_iter().next()
}

fn scheduler_prediction_type(folder: &Path) -> Result<Option<String>> {
    let config = read_json(&folder.join("scheduler").join("scheduler_config.json"))?;
    Ok(config.and_then(|config| config["prediction_type"].as_str().map(str::to_owned)))
}

/// A VAE of its own: folder, component file, original file with or without prefix, or a whole checkpoint.
fn open_vae(path: &Path, warnings: &mut Vec<String>) -> Result<PartTensors> {
    let (vae, warning) = if path.is_dir() {
        let inner = path.join(Component::Vae.folder());
        open_component(Component::Vae, if inner.is_dir() { &inner } else { path })?
    } else {
        open_vae_file(path)?
    };
    warnings.extend(warning);
    refuse_sdxl_scaling(path, vae.config())?;
    Ok(vae)
}

fn open_vae_file(path: &Path) -> Result<(PartTensors, Option<String>)> {
    let file = Arc::new(SafetensorsFile::open(path)?);
    let has = |start: &str| file.tensors().any(|tensor| tensor.name.starts_with(start));
    let (layout, prefix) = if has(Component::Vae.original_prefix()) {
        (Layout::Original, Component::Vae.original_prefix())
    } else if has("encoder.down_blocks.") {
        (Layout::Diffusers, "")
    } else if has("encoder.down.") {
        (Layout::Original, "")
    } else {
        bail!("vae: {} holds no VAE of {}", path.display(), SD_V1.name);
    };
    PartTensors::collect(Component::Vae, layout, &[file], prefix)
}

/// SDXL's VAE has the same tensors; only the scaling factor in its configuration gives it away.
fn refuse_sdxl_scaling(path: &Path, config: Option<&Value>) -> Result<()> {
    let scaling = config.and_then(|config| config["scaling_factor"].as_f64());
    if scaling.is_some_and(|scaling| (scaling - 0.13025).abs() < 1e-6) {
        bail!("vae: {} is the VAE of Stable Diffusion XL (scaling_factor 0.13025)", path.display());
    }
    Ok(())
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
