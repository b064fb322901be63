//! One component of a checkpoint: its tensors by their diffusers names.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::component::Component;
use super::layouts::{Layout, NameMap};
use super::lora::{Part, Site, WeightRef};
use super::safetensors_file::{SafetensorsFile, StorageType, Tensor};

/// The tensors of one network: diffusers names, diffusers shapes, views into the mapped files.
#[derive(Debug, Default)]
pub struct PartTensors {
    files: Vec<Arc<SafetensorsFile>>,
    entries: BTreeMap<String, Entry>,
    /// f32 bytes that stand for what the files hold.
    replaced: BTreeMap<String, Vec<u8>>,
    config: Option<Value>,
}

#[derive(Clone, Debug)]
struct Entry {
    file: usize,
    stored_name: String,
    shape: Vec<usize>,
}

impl PartTensors {
    /// A network of small random numbers, for measuring: `tensors` are names and shapes.
    pub fn generated(tensors: Vec<(String, Vec<usize>)>, dtype: StorageType) -> Self {
        let file = Arc::new(SafetensorsFile::generated(&tensors, dtype));
        let entry = |(name, shape): (String, Vec<usize>)| (name.clone(), Entry { file: 0, stored_name: name, shape });
        Self { files: vec![file], entries: tensors.into_iter().map(entry).collect(), ..Self::default() }
    }

    /// The weight of a layer, (out, in · taps).
    ///
    /// # Errors
    /// A weight that is missing or in a storage type that cannot be computed with.
    pub fn matrix(&self, site: &Site) -> Result<Vec<f32>> {
        let name = format!("{}.weight", site.path);
        self.get(&name).with_context(|| format!("{name} is missing"))?.to_f32()
    }

    /// One tensor by its diffusers name, such as `down_blocks.0.resnets.0.conv1.weight`.
    pub fn get(&self, name: &str) -> Option<Tensor<'_>> {
        let (name, entry) = self.entries.get_key_value(name)?;
        let stored = self.files[entry.file].get(&entry.stored_name).expect("entries are made from this file's tensors");
        let stored = match self.replaced.get(name) {
            Some(bytes) => Tensor { dtype: StorageType::F32, bytes, ..stored },
            None => stored,
        };
        Some(Tensor { name, shape: &entry.shape, ..stored })
    }

    /// The same network with other values in some tensors, as f32; the files are shared.
    pub fn with(&self, replaced: impl IntoIterator<Item = (String, Vec<f32>)>) -> Self {
        let replaced = replaced.into_iter().map(|(name, values)| (name, bytemuck::cast_slice(&values).to_vec()));
        Self {
            files: self.files.clone(),
            entries: self.entries.clone(),
            replaced: self.replaced.clone().into_iter().chain(replaced).collect(),
            config: self.config.clone(),
        }
    }

    /// Lets the system take back the memory of what was read of the files.
    pub fn release_pages(&self) {
        self.files.iter().for_each(|file| file.release_pages());
    }

    /// The weights of all linear and convolution layers, as LoRA files name them.
    pub fn weights(&self, part: Part) -> Vec<WeightRef> {
        let weight = |(name, entry): (&String, &Entry)| {
            let path = name.strip_suffix(".weight").filter(|_| entry.shape.len() >= 2)?;
            Some(WeightRef { part, path: path.to_owned(), shape: entry.shape.clone() })
        };
        self.entries.iter().filter_map(weight).collect()
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// `config.json` of a diffusers folder; a single file has none.
    pub fn config(&self) -> Option<&Value> {
        self.config.as_ref()
    }

    pub(super) fn set_config(&mut self, config: Option<Value>) {
        self.config = config;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The width of one axis of a tensor, if there is such a tensor.
    pub(super) fn width(&self, name: &str, axis: usize) -> Option<usize> {
        self.entries.get(name)?.shape.get(axis).copied()
    }

    /// Takes in every tensor of the file below `prefix` that belongs to the component. Returns the names of those
    /// that do not.
    ///
    /// # Errors
    /// A weight in a storage type that cannot be computed with.
    fn add_file(&mut self, file: &Arc<SafetensorsFile>, prefix: &str, names: &NameMap) -> Result<Vec<String>> {
        let mut left_over = Vec::new();
        for tensor in file.tensors() {
            let Some(inner) = tensor.name.strip_prefix(prefix) else {
                continue;
            };
            let Some(name) = names.diffusers_name(inner) else {
                left_over.push(tensor.name.to_owned());
                continue;
            };
            require_float(file, &tensor)?;
            let entry = Entry {
                file: self.files.len(),
                stored_name: tensor.name.to_owned(),
                shape: names.diffusers_shape(&name, tensor.shape),
            };
            self.entries.insert(name, entry);
        }
        self.files.push(Arc::clone(file));
        Ok(left_over)
    }

    /// Every tensor of `files` under its own name, but for tables of positions.
    ///
    /// # Errors
    /// A weight in a storage type that cannot be computed with.
    pub(super) fn as_stored(files: &[Arc<SafetensorsFile>], config: Option<Value>) -> Result<Self> {
        let mut part = Self { files: files.to_vec(), config, ..Self::default() };
        for (index, file) in files.iter().enumerate() {
            for tensor in file.tensors().filter(|tensor| !is_known_extra(tensor.name) || tensor.dtype.is_float()) {
                require_float(file, &tensor)?;
                let name = tensor.name.to_owned();
                let entry = Entry { file: index, stored_name: name.clone(), shape: tensor.shape.to_vec() };
                part.entries.insert(name, entry);
            }
        }
        Ok(part)
    }

    /// A component from the files of one layout, and a warning for tensors that are not part of it.
    pub(super) fn collect(
        component: Component,
        layout: Layout,
        files: &[Arc<SafetensorsFile>],
        prefix: &str,
    ) -> Result<(Self, Option<String>)> {
        let names = NameMap::new(component, layout);
        let mut part = Self::default();
        let mut left_over = Vec::new();
        for file in files {
            left_over.extend(part.add_file(file, prefix, &names)?);
        }
        left_over.retain(|name| !is_known_extra(name));
        Ok((part, left_over_warning(component, files, &left_over)))
    }
}

/// Left-overs of training and of other CLIP users: expected, harmless.
fn is_known_extra(name: &str) -> bool {
    ["position_ids", "logit_scale", "text_projection.weight"].iter().any(|end| name.ends_with(end))
        || name.contains("loss.")
        || name.starts_with("model_ema.")
}

fn left_over_warning(component: Component, files: &[Arc<SafetensorsFile>], left_over: &[String]) -> Option<String> {
    let first = left_over.first()?;
    let path = files.first()?.path().display();
    Some(format!(
        "{path}: {} tensors are not part of an SD 1.x {} and are ignored, the first is {first}",
        left_over.len(),
        component.folder(),
    ))
}

fn require_float(file: &SafetensorsFile, tensor: &Tensor) -> Result<()> {
    let path = file.path().display();
    match tensor.dtype {
        dtype if dtype.is_float() => Ok(()),
        dtype if dtype.is_fp8() => bail!(
            "{path} is stored as fp8 ({}), too coarse to train on: use the model's fp16 or fp32 file",
            tensor.name
        ),
        dtype => bail!(
            "{path}: tensor {} is stored as {dtype}; only F32, F16 and BF16 weights can be used: convert the file",
            tensor.name
        ),
    }
}
