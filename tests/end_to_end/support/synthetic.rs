//! A checkpoint that follows from its parameters' names: tools/record_case/synthetic.py makes the same bits in Python.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use half::f16;
use lora_wgpu::weights::{OwnedTensor, StorageType, write_safetensors};

use super::topology::{Parameter, parameters};

/// Layers that end a residual branch: half as strong, so that activations stay near 1 through the whole depth.
const RESIDUAL_ENDS: [&str; 6] =
    ["conv2.weight", "to_out.0.weight", "ff.net.2.weight", "proj_out.weight", "out_proj.weight", "fc2.weight"];

/// Chosen so that predicted noise and scaled latents have a standard deviation near 1, as the real model's.
const OUTPUT_GAINS: [(&str, f64); 3] =
    [("unet.conv_out.weight", 2.0), ("vae.quant_conv.weight", 8.0), ("vae.post_quant_conv.weight", 0.125)];

const EMBEDDING_DEVIATIONS: [(&str, f64); 3] =
    [("token_embedding.weight", 0.05), ("position_embedding.weight", 0.03), ("word_embeddings.weight", 1.0)];

const POSITION_IDS: &str = "cond_stage_model.transformer.text_model.embeddings.position_ids";

/// The top 24 bits of each value of splitmix64, started at the FNV-1a hash of `name`.
pub fn raw_bits(name: &str, count: usize) -> impl Iterator<Item = u32> {
    let key = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |key, byte| (key ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (0..count as u64).map(move |index| {
        let mut z = key.wrapping_add(index).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as u32
    })
}

/// Uniform values around 0 of the given standard deviation.
pub fn uniform(name: &str, count: usize, deviation: f64) -> Vec<f32> {
    // A uniform value in [−1, 1) has the standard deviation 1/√3.
    let factor = (deviation * 3f64.sqrt()) as f32;
    raw_bits(name, count).map(|bits| (bits as f32 - 8_388_608.0) / 8_388_608.0 * factor).collect()
}

/// The values of a parameter.
pub fn values(parameter: &Parameter) -> Vec<f32> {
    let Parameter { name, shape, .. } = parameter;
    let count = shape.iter().product();
    if name.ends_with(".bias") {
        return uniform(name, count, 0.05);
    }
    if shape.len() == 1 {
        return uniform(name, count, 0.1).into_iter().map(|value| 1.0 + value).collect();
    }
    if let Some((_, deviation)) = EMBEDDING_DEVIATIONS.iter().find(|(end, _)| name.ends_with(end)) {
        return uniform(name, count, *deviation);
    }
    let output = OUTPUT_GAINS.iter().find(|(output, _)| output == name).map(|(_, gain)| *gain);
    let inner = if RESIDUAL_ENDS.iter().any(|end| name.ends_with(end)) { 0.5 } else { 1.0 };
    let fan_in: usize = shape.iter().skip(1).product();
    uniform(name, count, output.unwrap_or(inner) / (fan_in as f64).sqrt())
}

/// A tensor of f32 values.
pub fn f32_tensor(name: &str, shape: &[usize], values: &[f32]) -> OwnedTensor {
    OwnedTensor::f32(name, values, shape)
}

/// A tensor of whole numbers.
pub fn i64_tensor(name: &str, shape: &[usize], values: &[i64]) -> OwnedTensor {
    OwnedTensor::i64(name, values, shape)
}

/// The tensors of the checkpoint in the original layout, as f32.
pub fn checkpoint_tensors() -> Vec<OwnedTensor> {
    let tensor = |parameter: &Parameter| f32_tensor(&parameter.stored_name, &parameter.shape, &values(parameter));
    let mut tensors: Vec<OwnedTensor> = parameters().iter().map(tensor).collect();
    tensors.push(i64_tensor(POSITION_IDS, &[1, 77], &(0..77).collect::<Vec<i64>>()));
    tensors
}

/// Writes a safetensors file without metadata.
pub fn write(path: &Path, tensors: Vec<OwnedTensor>) {
    write_safetensors(path, tensors, &BTreeMap::new()).expect("the test's folder can be written");
}

fn to_f16(tensor: OwnedTensor) -> OwnedTensor {
    if tensor.dtype != StorageType::F32 {
        return tensor;
    }
    let values = bytemuck::pod_collect_to_vec::<u8, f32>(&tensor.bytes);
    let halves: Vec<f16> = values.into_iter().map(f16::from_f32).collect();
    OwnedTensor { dtype: StorageType::F16, bytes: bytemuck::cast_slice(&halves).to_vec(), ..tensor }
}

/// The checkpoint as one f32 file, written once in a test run.
pub fn checkpoint() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| written("synthetic.safetensors", checkpoint_tensors()))
}

/// The same as f16.
pub fn checkpoint_f16() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| written("synthetic-f16.safetensors", checkpoint_tensors().into_iter().map(to_f16).collect()))
}

fn written(name: &str, tensors: Vec<OwnedTensor>) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    write(&path, tensors);
    path
}
