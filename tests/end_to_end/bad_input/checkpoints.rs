//! The base model, and the LoRA to start from.

use std::{collections::BTreeMap, fs};

use lora_wgpu::weights::{OwnedTensor, SafetensorsFile, write_safetensors};

use super::refused;
use crate::support::{
    synthetic::{checkpoint, checkpoint_tensors, f32_tensor, write},
    workspace::Workspace,
};

const CONV_IN: &str = "model.diffusion_model.input_blocks.0.0.weight";
const MISSHAPEN: &str = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight";

/// Refused with `tensors` as base model.
#[track_caller]
fn refused_model(tensors: Vec<OwnedTensor>, parts: &[&str]) {
    let workspace = Workspace::new();
    write(&workspace.path("model.safetensors"), tensors);
    let model = format!("base_model={}", workspace.path("model.safetensors").display());
    refused(&workspace, &[&model], parts);
}

/// The synthetic checkpoint with one tensor changed.
fn with_changed(name: &str, change: impl FnOnce(&mut OwnedTensor)) -> Vec<OwnedTensor> {
    let mut tensors = checkpoint_tensors();
    change(tensors.iter_mut().find(|tensor| tensor.name == name).expect("a tensor of the checkpoint"));
    tensors
}

/// A tensor of zeros.
fn zeros(name: &str, shape: &[usize]) -> OwnedTensor {
    f32_tensor(name, shape, &vec![0.0; shape.iter().product()])
}

#[test]
fn a_checkpoint_cut_short() {
    let workspace = Workspace::new();
    let whole = fs::read(checkpoint()).expect("the synthetic checkpoint");
    workspace.write("cut.safetensors", &whole[..whole.len() - 1000]);
    let model = format!("base_model={}", workspace.path("cut.safetensors").display());
    refused(&workspace, &[&model], &["cut.safetensors", "cut short", "download or copy it again"]);
}

#[test]
fn an_absent_checkpoint_and_a_pickle() {
    let workspace = Workspace::new();
    refused(&workspace, &["base_model=nowhere.safetensors"], &["base_model: nowhere.safetensors does not exist"]);
    workspace.write("model.ckpt", b"PK\x03\x04 and so on");
    let model = format!("base_model={}", workspace.path("model.ckpt").display());
    refused(&workspace, &[&model], &["model.ckpt", "PyTorch pickle", "Convert it to .safetensors"]);
}

#[test]
fn a_weight_that_is_not_finite() {
    let tensors = with_changed(CONV_IN, |tensor| tensor.bytes[40..44].copy_from_slice(&f32::NAN.to_le_bytes()));
    refused_model(tensors, &["conv_in.weight", "not finite", "element 10"]);
}

#[test]
fn missing_and_misshapen_tensors_are_listed_together() {
    let mut tensors = with_changed(MISSHAPEN, |tensor| tensor.shape = vec![32, 64]);
    tensors.retain(|tensor| tensor.name != "model.diffusion_model.out.2.bias");
    let misshapen = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight has the shape [32, 64]";
    refused_model(tensors, &[misshapen, "conv_out.bias is missing"]);
}

#[test]
fn a_damaged_vae_is_noticed_before_anything_is_computed() {
    let mut tensors = checkpoint_tensors();
    tensors.retain(|tensor| tensor.name != "first_stage_model.quant_conv.weight");
    refused_model(tensors, &["VAE", "quant_conv.weight is missing"]);
}

#[test]
fn models_of_other_families() {
    let xl = zeros("conditioner.embedders.1.model.ln_final.weight", &[4]);
    refused_model(vec![zeros(CONV_IN, &[4, 4, 3, 3]), xl], &["Stable Diffusion XL"]);
    let two = zeros("cond_stage_model.model.ln_final.weight", &[4]);
    refused_model(vec![zeros(CONV_IN, &[4, 4, 3, 3]), two], &["Stable Diffusion 2.x"]);
    let lora = zeros("lora_unet_mid_block_attentions_0_proj_in.lora_down.weight", &[4, 64, 1, 1]);
    refused_model(vec![lora], &["a LoRA, not a base model", "network_weights"]);
    let inpainting = with_changed(CONV_IN, |tensor| *tensor = zeros(CONV_IN, &[32, 9, 3, 3]));
    refused_model(inpainting, &["inpainting model"]);
}

/// Rewrites a LoRA file with the values of `change`.
fn rewrite(workspace: &Workspace, change: impl Fn(&str, &mut f32)) -> String {
    let file = SafetensorsFile::open(&workspace.lora()).expect("a LoRA file just written");
    let changed = file.tensors().map(|tensor| {
        let mut values = tensor.to_f32().expect("floats");
        values.iter_mut().for_each(|value| change(tensor.name, value));
        f32_tensor(tensor.name, tensor.shape, &values)
    });
    let path = workspace.path("start.safetensors");
    write_safetensors(&path, changed.collect(), &BTreeMap::new()).expect("the test's folder can be written");
    format!("network_weights={}", path.display())
}

#[test]
fn a_lora_that_overflows_stops_the_run() {
    let workspace = Workspace::new();
    workspace.train(&[]).expect_success();
    let huge = rewrite(&workspace, |name, value| {
        if !name.ends_with(".alpha") {
            *value = 1e30;
        }
    });
    fs::remove_dir_all(workspace.output()).expect("a folder of the test");
    workspace.train(&[&huge]).expect_refusal(&["step 0", "not finite", "to_q", "network_weights"]);
    assert!(workspace.written().iter().all(|file| !file.ends_with(".safetensors")), "{:?}", workspace.written());
}

#[test]
fn a_lora_of_another_rank() {
    let workspace = Workspace::new();
    workspace.train(&[]).expect_success();
    let same = rewrite(&workspace, |_, _| {});
    fs::remove_dir_all(workspace.output()).expect("a folder of the test");
    refused(&workspace, &[&same, "lora_rank=6"], &["rank 4", "set `lora_rank: 4`"]);
}
