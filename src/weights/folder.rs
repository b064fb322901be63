//! A folder in diffusers' layout: `unet/`, `vae/`, `text_encoder/`, each with its weights and `config.json`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::component::Component;
use super::json_file::read_json;
use super::layouts::Layout;
use super::part_tensors::PartTensors;
use super::safetensors_file::SafetensorsFile;

/// Weights and configuration of one component from its own folder, and a warning about foreign tensors.
///
/// # Errors
/// No weights in the folder, only pickled ones, an incomplete set of shards.
pub(super) fn open_component(component: Component, folder: &Path) -> Result<(PartTensors, Option<String>)> {
    let files = weight_files(stem(component), folder)?
        .iter()
        .map(|path| SafetensorsFile::open(path).map(Arc::new))
        .collect::<Result<Vec<_>>>()?;
    let (mut part, warning) = PartTensors::collect(component, Layout::Diffusers, &files, "")?;
    part.set_config(read_json(&folder.join("config.json"))?);
    Ok((part, warning))
}

fn stem(component: Component) -> &'static str {
    match component {
        Component::Unet | Component::Vae => "diffusion_pytorch_model",
        Component::TextEncoder => "model",
    }
}

/// The files that hold a model's weights: full precision before half, one file before shards.
///
/// # Errors
/// No weights in the folder, only pickled ones, an incomplete set of shards.
pub(super) fn weight_files(stem: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    for suffix in ["safetensors", "fp16.safetensors"] {
        let path = folder.join(format!("{stem}.{suffix}"));
        if path.is_file() {
            return Ok(vec![path]);
        }
    }
    for suffix in ["safetensors.index.json", "safetensors.index.fp16.json"] {
        let index = folder.join(format!("{stem}.{suffix}"));
        if let Some(index_json) = read_json(&index)? {
            return shards(&index, &index_json);
        }
    }
    explain_missing(stem, folder)
}

/// The distinct files of an index's `weight_map`.
fn shards(index: &Path, json: &Value) -> Result<Vec<PathBuf>> {
    let folder = index.parent().expect("an index lies in a component's folder");
    let map = json["weight_map"].as_object().filter(|map| !map.is_empty());
    let map = map.with_context(|| format!("{} has no weight_map", index.display()))?;
    let names: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    if let Some(missing) = paths.iter().find(|path| !path.is_file()) {
        bail!("{} is listed in {} but missing: download it too", missing.display(), index.display());
    }
    Ok(paths)
}

fn explain_missing(stem: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    let expected = format!("{stem}.safetensors");
    if !folder.is_dir() {
        bail!("the folder {} is missing; it should hold {expected}", folder.display());
    }
    for pickled in [".bin", ".fp16.bin"].map(|suffix| folder.join(format!("{}{suffix}", pickle_stem(stem)))) {
        if pickled.is_file() {
            bail!("{} is a PyTorch pickle; download {expected} instead, or convert it", pickled.display());
        }
    }
    bail!("{} holds no {expected}", folder.display())
}

/// transformers names its pickles differently.
fn pickle_stem(stem: &str) -> &str {
    if stem == "model" { "pytorch_model" } else { stem }
}
