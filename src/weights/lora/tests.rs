use std::collections::BTreeMap;

use anyhow::Result;
use tempfile::TempDir;

use super::*;
use crate::weights::test_files::{f32_tensor, save};
use crate::weights::{OwnedTensor, SafetensorsFile, StorageType, sha256_hex, write_safetensors};

const QUERY: &str = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";
const OUT: &str = "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0";

fn module(part: Part, path: &str, conv: bool) -> Site {
    let kind = if conv { SiteKind::Conv1x1 } else { SiteKind::Linear };
    Site { part, path: path.to_owned(), kind, in_features: 5, out_features: 3 }
}

fn known() -> Vec<Site> {
    vec![
        module(Part::Unet, QUERY, false),
        module(Part::Unet, "mid_block.attentions.0.proj_in", true),
        module(Part::TextEncoder, "text_model.encoder.layers.0.self_attn.q_proj", false),
        module(Part::TextEncoder, "text_model.encoder.layers.0.mlp.fc1", false),
        module(Part::Unet, OUT, false),
    ]
}

/// Rank 2, alpha 3, values that f16 and bf16 hold exactly.
fn lora(module: &Site) -> LoraModule {
    let values = |n: usize| (0..n).map(|i| i as f32 * 0.25 - 1.0).collect();
    LoraModule {
        site: module.clone(),
        rank: 2,
        alpha: 3.0,
        down: values(2 * module.in_features),
        up: values(2 * module.out_features),
    }
}

fn loras() -> Vec<LoraModule> {
    known().iter().map(lora).collect()
}

/// As written.
fn adapters(loras: &[LoraModule]) -> Vec<AdapterModule> {
    loras.iter().cloned().map(AdapterModule::from).collect()
}

fn metadata() -> LoraMetadata {
    LoraMetadata { output_name: "peony".to_owned(), rank: 2, alpha: 3.0, ..LoraMetadata::default() }
}

fn delta_scale(module: &LoraModule) -> Vec<f32> {
    let scale = module.alpha / module.rank as f32;
    module.up.iter().map(|value| value * scale).collect()
}

/// Reads a file of the given tensors.
fn read_tensors(tensors: Vec<OwnedTensor>) -> Result<LoraFileContents> {
    let folder = TempDir::new()?;
    let path = folder.path().join("a.safetensors");
    save(&path, tensors);
    read(&path, &known())
}

fn read_error(names: &[&str], shape: &[usize]) -> String {
    let tensors = names.iter().map(|name| f32_tensor(name, shape)).collect();
    let text = format!("{:#}", read_tensors(tensors).expect_err("an unusable file"));
    assert!(text.contains("a.safetensors"), "{text}");
    text
}

#[test]
fn a_kohya_file_comes_back_as_it_was() -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("peony.safetensors");
    for precision in [FloatType::F32, FloatType::F16, FloatType::BF16] {
        write_kohya(&path, &adapters(&loras()), &metadata(), precision)?;
        let contents = read(&path, &known())?;
        assert_eq!(contents.modules, loras());
        assert!(contents.warnings.is_empty());
        assert_eq!(contents.metadata["ss_network_alpha"], "3.0");
    }
    Ok(())
}

#[test]
fn a_kohya_file_holds_kohya_keys_only() -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("peony.safetensors");
    write_kohya(&path, &adapters(&loras()), &metadata(), FloatType::F16)?;
    let file = SafetensorsFile::open(&path)?;
    assert_eq!(file.tensors().count(), 3 * loras().len());
    for tensor in file.tensors() {
        let known = tensor.name.starts_with("lora_unet_") || tensor.name.starts_with("lora_te_");
        assert!(known, "{}", tensor.name);
    }
    let conv = file.get("lora_unet_mid_block_attentions_0_proj_in.lora_up.weight");
    assert_eq!(conv.expect("written").shape, [3, 2, 1, 1]);
    assert!(!file.metadata().contains_key("lora_adapter_metadata"));
    Ok(())
}

#[test]
fn hashes_cover_tensors_and_training_metadata_only() -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("peony.safetensors");
    // Wide enough to fill the legacy hash's window, which begins after the first MiB.
    let wide = lora(&Site { in_features: 150_000, ..module(Part::Unet, QUERY, false) });
    let written = |metadata: LoraMetadata| -> Result<SafetensorsFile> {
        write_kohya(&path, &[wide.clone().into()], &metadata, FloatType::F32)?;
        SafetensorsFile::open(&path)
    };
    let file = written(metadata())?;
    let data: usize = file.tensors().map(|tensor| tensor.bytes.len()).sum();
    let data = &file.bytes()[file.bytes().len() - data..];
    let legacy = &file.metadata()["sshs_legacy_hash"];
    assert_eq!(file.metadata()["sshs_model_hash"], sha256_hex(data));

    let retitled = written(LoraMetadata { author: Some("a museum".to_owned()), ..metadata() })?;
    assert_eq!(&retitled.metadata()["sshs_legacy_hash"], legacy);
    let retrained = written(LoraMetadata { optimizer: "Lion, with a longer name".to_owned(), ..metadata() })?;
    assert_ne!(&retrained.metadata()["sshs_legacy_hash"], legacy);
    Ok(())
}

#[test]
fn a_diffusers_file_has_alpha_folded_in() -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("pytorch_lora_weights.safetensors");
    write_diffusers(&path, &adapters(&loras()), FloatType::F32)?;
    let contents = read(&path, &known())?;
    assert!(contents.warnings.is_empty(), "{:?}", contents.warnings);
    for (read, original) in contents.modules.iter().zip(loras()) {
        assert_eq!(read.alpha, 2.0);
        assert_eq!(read.down, original.down);
        assert_eq!(read.up, delta_scale(&original));
    }
    let adapter: serde_json::Value = serde_json::from_str(&contents.metadata["lora_adapter_metadata"])?;
    assert_eq!((&adapter["unet.r"], &adapter["unet.lora_alpha"]), (&2.into(), &2.into()));
    assert_eq!(
        adapter["text_encoder.target_modules"],
        serde_json::json!(["encoder.layers.0.mlp.fc1", "encoder.layers.0.self_attn.q_proj"])
    );
    Ok(())
}

#[test]
fn old_processor_files_are_read_with_alpha_as_rank() -> Result<()> {
    let attention = OUT.trim_end_matches(".to_out.0");
    let key = |matrix| format!("unet.{attention}.processor.to_out_lora.{matrix}.weight");
    let contents = read_tensors(vec![f32_tensor(&key("down"), &[2, 5]), f32_tensor(&key("up"), &[3, 2])])?;
    assert_eq!(contents.modules.len(), 1);
    assert_eq!((contents.modules[0].site.path.as_str(), contents.modules[0].alpha), (OUT, 2.0));
    assert!(contents.warnings[0].contains("state no alpha"));
    Ok(())
}

#[test]
fn peft_configuration_beside_the_file_gives_alpha() -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("adapter_model.safetensors");
    let key = |matrix| format!("base_model.model.{QUERY}.lora_{matrix}.weight");
    save(&path, vec![f32_tensor(&key("A"), &[4, 5]), f32_tensor(&key("B"), &[3, 4])]);
    let alpha_with = |config: &str| -> Result<f32> {
        std::fs::write(folder.path().join("adapter_config.json"), config)?;
        Ok(read(&path, &known())?.modules[0].alpha)
    };
    assert_eq!(alpha_with(r#"{"lora_alpha": 16}"#)?, 16.0);
    assert_eq!(alpha_with(r#"{"lora_alpha": 16, "alpha_pattern": {"attn1.to_q": 6}}"#)?, 6.0);
    assert_eq!(alpha_with(r#"{"lora_alpha": 16, "use_rslora": true}"#)?, 32.0);
    Ok(())
}

#[test]
fn values_that_are_not_numbers_are_never_written() -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("peony.safetensors");
    for (value, precision, expected) in [
        (f32::NAN, FloatType::F32, "holds NaN at element 4"),
        (7e4, FloatType::F16, "70000 at element 4, too large for F16"),
        (f32::MAX, FloatType::BF16, "too large for BF16"),
    ] {
        let mut loras = loras();
        loras[1].up[4] = value;
        let error = write_kohya(&path, &adapters(&loras), &metadata(), precision).expect_err("a bad value");
        let text = format!("{error:#}");
        assert!(text.contains(expected) && text.contains("proj_in.lora_up.weight"), "{text}");
        assert!(write_diffusers(&path, &adapters(&loras), precision).is_err());
        assert!(!path.exists());
    }
    Ok(())
}

#[test]
fn a_non_finite_value_in_a_file_is_refused() -> Result<()> {
    let mut up = f32_tensor(&format!("unet.{QUERY}.lora_B.weight"), &[3, 2]);
    up.bytes[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
    let down = f32_tensor(&format!("unet.{QUERY}.lora_A.weight"), &[2, 5]);
    let error = read_tensors(vec![down, up]).expect_err("a NaN");
    assert!(format!("{error:#}").contains("at element 2"), "{error:#}");
    Ok(())
}

#[test]
fn loras_for_other_models_are_named() {
    assert!(read_error(&["lora_te1_text_model_x.alpha"], &[1]).contains("XL"));
    let many_blocks = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_1_attn1_to_q.alpha";
    assert!(read_error(&[many_blocks], &[1]).contains("XL"));
    assert!(read_error(&["lora_unet_double_blocks_0_x.alpha"], &[1]).contains("Flux"));
    let query = [&*format!("unet.{QUERY}.lora_A.weight"), &*format!("unet.{QUERY}.lora_B.weight")];
    let text = read_error(&query, &[2, 1024]);
    assert!(text.contains("expected [2, 5]") && text.contains("2.x"), "{text}");
}

#[test]
fn other_adapters_are_named() {
    for (end, kind) in [("hada_w1_a", "LoHa"), ("lokr_w1", "LoKr"), ("dora_scale", "DoRA"), ("diff", "difference")] {
        let text = read_error(&[&format!("lora_unet_mid_block_attentions_0_proj_in.{end}")], &[1]);
        assert!(text.contains(kind), "{text}");
    }
}

#[test]
fn keys_without_a_module_are_listed() {
    let conv = "lora_unet_down_blocks_0_resnets_0_conv1.lora_up.weight";
    let text = read_error(&[conv], &[3, 2, 3, 3]);
    assert!(text.contains("none of its tensors") && text.contains(conv), "{text}");
    let known = "lora_unet_mid_block_attentions_0_proj_in.lora_up.weight";
    assert!(read_error(&[conv, known], &[3, 2]).contains("1 of its tensors"));
    assert!(read_error(&[known], &[3, 2]).contains("no counterpart"));
}

#[test]
fn one_tensor_under_two_names_is_refused() {
    let names = [format!("unet.{QUERY}.lora_A.weight"), format!("unet.{QUERY}.lora.down.weight")];
    let text = read_error(&[&names[0], &names[1]], &[2, 5]);
    assert!(text.contains("the same tensor"), "{text}");
}

#[test]
fn alpha_may_be_stored_with_one_axis() -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("a.safetensors");
    let name = "lora_unet_mid_block_attentions_0_proj_in";
    let alpha = OwnedTensor {
        name: format!("{name}.alpha"),
        dtype: StorageType::F16,
        shape: vec![1],
        bytes: half::f16::from_f32(0.5).to_le_bytes().to_vec(),
    };
    let tensors = vec![
        f32_tensor(&format!("{name}.lora_down.weight"), &[2, 5, 1, 1]),
        f32_tensor(&format!("{name}.lora_up.weight"), &[3, 2, 1, 1]),
        alpha,
    ];
    write_safetensors(&path, tensors, &BTreeMap::new())?;
    assert_eq!(read(&path, &known())?.modules[0].alpha, 0.5);
    Ok(())
}

#[test]
fn magnitudes_have_pefts_shapes_in_diffusers_layout_and_come_back() {
    let mut modules = adapters(&loras());
    for module in &mut modules {
        let shape = [&[module.site.out_features, 1], module.site.kind.ones()].concat();
        module.tensors.push(AdapterTensor { name: MAGNITUDE, shape, values: vec![1.0, 2.0, 3.0] });
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pytorch_lora_weights.safetensors");
    write_diffusers(&path, &modules, FloatType::F32).unwrap();
    let file = SafetensorsFile::open(&path).unwrap();
    let shape = |module: &str| file.get(&format!("unet.{module}.lora_magnitude_vector")).unwrap().shape.to_vec();
    assert_eq!((shape(QUERY), shape("mid_block.attentions.0.proj_in")), (vec![3], vec![1, 3, 1, 1]));
    for module in &read_adapters(&path, &known()).unwrap().modules {
        let written = modules.iter().find(|written| written.site == module.site).unwrap();
        assert_eq!(module.tensor(MAGNITUDE), written.tensor(MAGNITUDE));
    }
}
