//! Writing LoRA files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use serde_json::{Map, Value, json};

use super::adapter_config::HEADER_KEY;
use super::{LoraMetadata, LoraModule, Part, keys};
use crate::weights::half_convert::first_non_finite;
use crate::weights::hashing::{legacy_hash, sha256_hex};
use crate::weights::safetensors_file::{StorageType, Tensor};
use crate::weights::safetensors_write::{OwnedTensor, encode, write_safetensors};

/// How LoRA matrices are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavePrecision {
    F32,
    F16,
    BF16,
}

impl SavePrecision {
    /// `value` as a file of this precision would give it back.
    pub fn rounded(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::F16 => f16::from_f32(value).to_f32(),
            Self::BF16 => bf16::from_f32(value).to_f32(),
        }
    }
}

impl From<SavePrecision> for StorageType {
    fn from(precision: SavePrecision) -> Self {
        match precision {
            SavePrecision::F32 => Self::F32,
            SavePrecision::F16 => Self::F16,
            SavePrecision::BF16 => Self::BF16,
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
    modules: &[LoraModule],
    metadata: &LoraMetadata,
    precision: SavePrecision,
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
pub fn write_diffusers(path: &Path, modules: &[LoraModule], precision: SavePrecision) -> Result<()> {
    let tensors = all_tensors(modules, diffusers_tensors, precision)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let metadata = BTreeMap::from([
        ("format".to_owned(), "pt".to_owned()),
        (HEADER_KEY.to_owned(), adapter_metadata(modules).to_string()),
    ]);
    write_safetensors(path, tensors, &metadata)
}

type ModuleTensors = fn(&LoraModule, SavePrecision) -> Result<Vec<OwnedTensor>>;

fn all_tensors(
    modules: &[LoraModule],
    tensors_of: ModuleTensors,
    precision: SavePrecision,
) -> Result<Vec<OwnedTensor>> {
    let mut tensors = Vec::new();
    for module in modules {
        tensors.extend(tensors_of(module, precision)?);
    }
    Ok(tensors)
}

fn kohya_tensors(module: &LoraModule, precision: SavePrecision) -> Result<Vec<OwnedTensor>> {
    let name = keys::kohya_name(module.part, &module.path);
    let key = |end| format!("{name}.{end}");
    Ok(vec![
        stored(key("lora_down.weight"), down_shape(module), &module.down, precision)?,
        stored(key("lora_up.weight"), up_shape(module), &module.up, precision)?,
        stored(key("alpha"), Vec::new(), &[module.alpha], SavePrecision::F32)?,
    ])
}

fn diffusers_tensors(module: &LoraModule, precision: SavePrecision) -> Result<Vec<OwnedTensor>> {
    let (down, up) = keys::diffusers_keys(module.part, &module.path);
    let scale = module.alpha / module.rank as f32;
    let scaled_up: Vec<f32> = module.up.iter().map(|value| value * scale).collect();
    Ok(vec![
        stored(down, down_shape(module), &module.down, precision)?,
        stored(up, up_shape(module), &scaled_up, precision)?,
    ])
}

fn down_shape(module: &LoraModule) -> Vec<usize> {
    with_kernel(module, [module.rank, module.in_features])
}

fn up_shape(module: &LoraModule) -> Vec<usize> {
    with_kernel(module, [module.out_features, module.rank])
}

fn with_kernel(module: &LoraModule, [rows, columns]: [usize; 2]) -> Vec<usize> {
    if module.conv { vec![rows, columns, 1, 1] } else { vec![rows, columns] }
}

/// A tensor in its final bytes, refused if any of them is not a number.
fn stored(name: String, shape: Vec<usize>, values: &[f32], precision: SavePrecision) -> Result<OwnedTensor> {
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

fn to_bytes(values: &[f32], precision: SavePrecision) -> Vec<u8> {
    match precision {
        SavePrecision::F32 => bytemuck::cast_slice(values).to_vec(),
        SavePrecision::F16 => {
            let mut halves = vec![f16::ZERO; values.len()];
            halves.convert_from_f32_slice(values);
            bytemuck::cast_slice(&halves).to_vec()
        }
        SavePrecision::BF16 => {
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
fn adapter_metadata(modules: &[LoraModule]) -> Value {
    let mut table = Map::new();
    for (part, prefix) in [(Part::Unet, "unet"), (Part::TextEncoder, "text_encoder")] {
        let of_part: Vec<&LoraModule> = modules.iter().filter(|module| module.part == part).collect();
        if let Some(first) = of_part.first() {
            let entries = lora_config(first.rank, &of_part);
            table.extend(entries.map(|(key, value)| (format!("{prefix}.{key}"), value)));
        }
    }
    Value::Object(table)
}

/// alpha is the rank everywhere, since its effect lies in `up`.
fn lora_config(rank: usize, modules: &[&LoraModule]) -> [(&'static str, Value); 7] {
    let paths: BTreeSet<&str> = modules.iter().map(|module| peft_target(module)).collect();
    let other_ranks: BTreeMap<&str, usize> =
        modules.iter().filter(|module| module.rank != rank).map(|module| (peft_target(module), module.rank)).collect();
    [
        ("r", json!(rank)),
        ("lora_alpha", json!(rank)),
        ("rank_pattern", json!(other_ranks)),
        ("alpha_pattern", json!(other_ranks)),
        ("target_modules", json!(paths)),
        ("use_dora", json!(false)),
        ("lora_bias", json!(false)),
    ]
}

/// PEFT matches targets by the ends of paths. Newer transformers have no `text_model` in front of CLIP's modules.
fn peft_target(module: &LoraModule) -> &str {
    module.path.strip_prefix("text_model.").unwrap_or(&module.path)
}
