//! Writing LoRA files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use serde_json::{Map, Value, json};

use super::adapter_config::HEADER_KEY;
use super::{AdapterModule, AdapterTensor, LoraMetadata, MAGNITUDE, Part, Site, SiteKind, UP, keys};
use crate::weights::half_convert::first_non_finite;
use crate::weights::hashing::{legacy_hash, sha256_hex};
use crate::weights::safetensors_file::{StorageType, Tensor};
use crate::weights::safetensors_write::{OwnedTensor, encode, write_safetensors};

/// How LoRA matrices are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatType {
    F32,
    F16,
    BF16,
}

impl FloatType {
    /// `value` as a file of this precision would give it back.
    pub fn rounded(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::F16 => f16::from_f32(value).to_f32(),
            Self::BF16 => bf16::from_f32(value).to_f32(),
        }
    }
}

impl From<FloatType> for StorageType {
    fn from(precision: FloatType) -> Self {
        match precision {
            FloatType::F32 => Self::F32,
            FloatType::F16 => Self::F16,
            FloatType::BF16 => Self::BF16,
        }
    }
}

/// Writes kohya's layout, the one for WebUIs, with its training metadata and hashes. Atomic, and read back.
///
/// alpha is always stored as f32: a half would change the strength of, say, alpha 0.1.
///
/// # Errors
/// A value that is not finite or too large for the precision, named; trouble with the disk.
pub fn write_kohya(
    path: &Path,
    modules: &[AdapterModule],
    metadata: &LoraMetadata,
    precision: FloatType,
) -> Result<()> {
    let mut tensors =
        all_tensors(modules, kohya_tensors, precision).with_context(|| format!("cannot write {}", path.display()))?;
    let mut metadata = metadata.to_header();
    add_hashes(&mut tensors, &mut metadata)?;
    write_safetensors(path, tensors, &metadata)
}

/// Writes diffusers' layout. alpha/rank is folded into `up`, because most readers take alpha to be the rank there.
/// Atomic, and read back.
///
/// # Errors
/// As [`write_kohya`].
pub fn write_diffusers(path: &Path, modules: &[AdapterModule], precision: FloatType) -> Result<()> {
    let tensors = all_tensors(modules, diffusers_tensors, precision)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let metadata = BTreeMap::from([
        ("format".to_owned(), "pt".to_owned()),
        (HEADER_KEY.to_owned(), adapter_metadata(modules).to_string()),
    ]);
    write_safetensors(path, tensors, &metadata)
}

type ModuleTensors = fn(&AdapterModule, FloatType) -> Result<Vec<OwnedTensor>>;

fn all_tensors(modules: &[AdapterModule], tensors_of: ModuleTensors, precision: FloatType) -> Result<Vec<OwnedTensor>> {
    let mut tensors = Vec::new();
    for module in modules {
        tensors.extend(tensors_of(module, precision)?);
    }
    Ok(tensors)
}

fn kohya_tensors(module: &AdapterModule, precision: FloatType) -> Result<Vec<OwnedTensor>> {
    let name = keys::kohya_name(module.site.part, &module.site.path);
    let mut tensors = Vec::with_capacity(module.tensors.len() + 1);
    for AdapterTensor { name: end, shape, values } in &module.tensors {
        tensors.push(stored(format!("{name}.{end}"), shape.clone(), values, precision)?);
    }
    tensors.push(stored(format!("{name}.alpha"), Vec::new(), &[module.alpha], FloatType::F32)?);
    Ok(tensors)
}

fn diffusers_tensors(module: &AdapterModule, precision: FloatType) -> Result<Vec<OwnedTensor>> {
    let site @ Site { part, path, .. } = &module.site;
    let scale = module.alpha / module.rank as f32;
    let mut tensors = Vec::with_capacity(module.tensors.len());
    for AdapterTensor { name, shape, values } in &module.tensors {
        let key = keys::diffusers_key(*part, path, name).expect("what diffusers lacks is not written for it");
        tensors.push(match *name {
            UP => stored(key, shape.clone(), &values.iter().map(|value| value * scale).collect::<Vec<_>>(), precision)?,
            MAGNITUDE => stored(key, peft_magnitudes(site, values.len()), values, precision)?,
            _ => stored(key, shape.clone(), values, precision)?,
        });
    }
    Ok(tensors)
}

/// The shape of PEFT's magnitudes: (out), of a convolution (1, out, 1, 1).
fn peft_magnitudes(site: &Site, outputs: usize) -> Vec<usize> {
    match site.kind {
        SiteKind::Linear => vec![outputs],
        SiteKind::Conv1x1 | SiteKind::Conv3x3 => vec![1, outputs, 1, 1],
    }
}

/// Why diffusers' layout cannot hold `modules`; `None` where it can.
pub fn diffusers_lacks(modules: &[AdapterModule]) -> Option<&'static str> {
    let has =
        |prefix: &str| modules.iter().flat_map(|module| &module.tensors).any(|tensor| tensor.name.starts_with(prefix));
    let by_input = |module: &AdapterModule| {
        let outputs = module.site.out_features;
        module.tensor(MAGNITUDE).is_some_and(|magnitude| magnitude.shape[0] != outputs)
    };
    match () {
        () if has("hada_") => Some("LoHa"),
        () if has("lokr_") => Some("LoKr"),
        () if modules.iter().any(by_input) => Some("DoRA with a magnitude for each input"),
        () => None,
    }
}

/// A tensor in its final bytes, refused if any of them is not a number.
fn stored(name: String, shape: Vec<usize>, values: &[f32], precision: FloatType) -> Result<OwnedTensor> {
    assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}: shape {shape:?}");
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        bail!("{name} holds {} at element {index}: nothing was written", values[index]);
    }
    let tensor = OwnedTensor { name, dtype: precision.into(), shape, bytes: to_bytes(values, precision) };
    let overflow = first_non_finite(&Tensor {
        name: &tensor.name,
        dtype: tensor.dtype,
        shape: &tensor.shape,
        bytes: &tensor.bytes,
    });
    match overflow {
        Some(index) => bail!(
            "{} holds {} at element {index}, too large for {}: set save_precision to float",
            tensor.name,
            values[index],
            tensor.dtype
        ),
        None => Ok(tensor),
    }
}

fn to_bytes(values: &[f32], precision: FloatType) -> Vec<u8> {
    match precision {
        FloatType::F32 => bytemuck::cast_slice(values).to_vec(),
        FloatType::F16 => {
            let mut halves = vec![f16::ZERO; values.len()];
            halves.convert_from_f32_slice(values);
            bytemuck::cast_slice(&halves).to_vec()
        }
        FloatType::BF16 => {
            let mut halves = vec![bf16::ZERO; values.len()];
            halves.convert_from_f32_slice(values);
            bytemuck::cast_slice(&halves).to_vec()
        }
    }
}

/// sd-scripts hashes the file as it would be with the training metadata only, so that a later edit of titles and
/// tags does not change a LoRA's identity.
fn add_hashes(tensors: &mut [OwnedTensor], metadata: &mut BTreeMap<String, String>) -> Result<()> {
    let training: BTreeMap<String, String> = metadata
        .iter()
        .filter(|(key, _)| key.starts_with("ss_"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let bytes = encode(tensors, &training)?;
    let data_len: usize = tensors.iter().map(|tensor| tensor.bytes.len()).sum();
    let data = &bytes[bytes.len() - data_len..];
    metadata.insert("sshs_model_hash".to_owned(), sha256_hex(data));
    metadata.insert("sshs_legacy_hash".to_owned(), legacy_hash(&bytes));
    Ok(())
}

/// What diffusers' own writer states about an adapter, per network: enough to make a `peft.LoraConfig`.
fn adapter_metadata(modules: &[AdapterModule]) -> Value {
    let mut table = Map::new();
    for (part, prefix) in [(Part::Unet, "unet"), (Part::TextEncoder, "text_encoder")] {
        let of_part: Vec<&AdapterModule> = modules.iter().filter(|module| module.site.part == part).collect();
        if let Some(first) = of_part.first() {
            let entries = lora_config(first.rank, &of_part);
            table.extend(entries.map(|(key, value)| (format!("{prefix}.{key}"), value)));
        }
    }
    Value::Object(table)
}

/// alpha is the rank everywhere, since its effect lies in `up`.
fn lora_config(rank: usize, modules: &[&AdapterModule]) -> [(&'static str, Value); 7] {
    let paths: BTreeSet<&str> = modules.iter().map(|module| peft_target(module)).collect();
    let other_ranks: BTreeMap<&str, usize> =
        modules.iter().filter(|module| module.rank != rank).map(|module| (peft_target(module), module.rank)).collect();
    [
        ("r", json!(rank)),
        ("lora_alpha", json!(rank)),
        ("rank_pattern", json!(other_ranks)),
        ("alpha_pattern", json!(other_ranks)),
        ("target_modules", json!(paths)),
        ("use_dora", json!(modules.iter().any(|module| module.tensor(MAGNITUDE).is_some()))),
        ("lora_bias", json!(false)),
    ]
}

/// PEFT matches targets by the ends of paths. Newer transformers have no `text_model` in front of CLIP's modules.
fn peft_target(module: &AdapterModule) -> &str {
    let path = &module.site.path;
    path.strip_prefix("text_model.").unwrap_or(path)
}
