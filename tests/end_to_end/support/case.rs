//! Recorded cases: the committed references, and the cases that their headers describe.

use std::path::{Path, PathBuf};

use lora_wgpu::{
    check::training::TrainingCase,
    weights::{OwnedTensor, SafetensorsFile, write_safetensors},
};

use super::{
    synthetic::{f32_tensor, i64_tensor, raw_bits, uniform},
    topology::parameters,
};

const ATTENTION: [&str; 4] = ["to_q", "to_k", "to_v", "to_out.0"];
const TRANSFORMER: [&str; 4] = ["ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"];
const TOKENS: usize = 77;
const BEGIN_TOKEN: i64 = 49406;
const END_TOKEN: i64 = 49407;

/// What PyTorch recorded for the case `name`.
pub fn reference_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/reference_{name}.safetensors"))
}

pub fn reference(name: &str) -> SafetensorsFile {
    SafetensorsFile::open(&reference_path(name)).expect("a committed reference")
}

/// Makes up the case that the reference `name` was recorded on, as tools/record_case/synthetic.py does, and writes it
/// into `folder`.
pub fn write_case(folder: &Path, name: &str) -> PathBuf {
    let reference = reference(name);
    let header = reference.metadata();
    let size = |key: &str| header[key].parse::<usize>().expect("a number in the reference's header");
    let (steps, batch, height, width) = (size("steps"), size("batch"), size("height"), size("width"));
    let shape = [steps, batch, 4, height, width];
    let count = shape.iter().product();
    let timesteps: Vec<i64> = raw_bits("case.timesteps", steps * batch).map(|bits| i64::from(bits % 1000)).collect();
    let image = uniform("case.image", 3 * 64 * height * width, 1.0 / 3f64.sqrt());
    let mut tensors = vec![
        f32_tensor("latents", &shape, &uniform("case.latents", count, 1.0)),
        f32_tensor("noise", &shape, &uniform("case.noise", count, 1.0)),
        i64_tensor("timesteps", &[steps, batch], &timesteps),
        i64_tensor("input_ids", &[steps, batch, TOKENS], &input_ids(steps * batch)),
        f32_tensor("image", &[1, 3, 8 * height, 8 * width], &image),
    ];
    tensors.extend(initial_lora(size("rank"), header["targets"] == "kohya"));
    let path = folder.join(format!("case_{name}.safetensors"));
    write_safetensors(&path, tensors, header).expect("the test's folder can be written");
    path
}

/// The case of the reference `name`.
pub fn case(name: &str) -> TrainingCase {
    let folder = tempfile::tempdir().expect("a temporary folder");
    TrainingCase::open(&write_case(folder.path(), name)).expect("a case just written")
}

/// Prompts of different lengths, each ended and padded as CLIP's tokenizer does.
fn input_ids(prompts: usize) -> Vec<i64> {
    let mut ids: Vec<i64> =
        raw_bits("case.input_ids", prompts * TOKENS).map(|bits| i64::from(bits) % BEGIN_TOKEN).collect();
    for (prompt, row) in ids.chunks_exact_mut(TOKENS).enumerate() {
        row[0] = BEGIN_TOKEN;
        row[5 + 7 * prompt % 60..].fill(END_TOKEN);
    }
    ids
}

fn initial_lora(rank: usize, whole_transformer: bool) -> Vec<OwnedTensor> {
    let ends_with = |path: &str, names: &[&str]| names.iter().any(|name| path.ends_with(&format!(".{name}")));
    let mut tensors = Vec::new();
    for parameter in parameters() {
        let Some(path) = parameter.name.strip_prefix("unet.").and_then(|name| name.strip_suffix(".weight")) else {
            continue;
        };
        if ends_with(path, &ATTENTION) || whole_transformer && ends_with(path, &TRANSFORMER) {
            tensors.extend(initial_pair(path, &parameter.shape, rank));
        }
    }
    tensors
}

/// `lora_B` is not zero, as a fresh LoRA's is: gradients of `lora_A` would all be zero.
fn initial_pair(path: &str, shape: &[usize], rank: usize) -> [OwnedTensor; 2] {
    let (out_features, in_features, axes) = (shape[0], shape[1], &shape[2..]);
    let down = uniform(&format!("{path}.lora_A"), rank * in_features, 1.0 / (in_features as f64).sqrt());
    let up = uniform(&format!("{path}.lora_B"), rank * out_features, 0.02);
    let shaped = |rows, columns| [&[rows, columns], axes].concat();
    [
        f32_tensor(&format!("lora/{path}.lora_A.weight"), &shaped(rank, in_features), &down),
        f32_tensor(&format!("lora/{path}.lora_B.weight"), &shaped(out_features, rank), &up),
    ]
}
