use super::*;
use crate::weights::test_files::{f32_tensor, save};
use crate::weights::{OwnedTensor, StorageType};

const UNET: &str = "model.diffusion_model.";

/// A few tensors of each network under their original names, with a cross-attention width of 64.
fn original(text_model: &str) -> Vec<OwnedTensor> {
    let text = format!("cond_stage_model.transformer.{text_model}");
    [
        (format!("{UNET}input_blocks.0.0.weight"), &[32, 4, 3, 3][..]),
        (format!("{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"), &[32, 64]),
        (format!("{UNET}middle_block.1.proj_in.weight"), &[64, 64, 1, 1]),
        ("first_stage_model.encoder.mid.attn_1.q.weight".to_owned(), &[32, 32, 1, 1]),
        ("first_stage_model.decoder.conv_in.weight".to_owned(), &[32, 4, 3, 3]),
        (format!("{text}embeddings.token_embedding.weight"), &[10, 64]),
        (format!("{text}embeddings.position_ids"), &[1, 77]),
        ("model_ema.diffusion_modelinput_blocks00weight".to_owned(), &[2]),
        ("alphas_cumprod".to_owned(), &[1000]),
    ]
    .map(|(name, shape)| f32_tensor(&name, shape))
    .into()
}

fn diffusers_unet() -> Vec<OwnedTensor> {
    vec![
        f32_tensor("conv_in.weight", &[32, 4, 3, 3]),
        f32_tensor("mid_block.attentions.0.proj_in.weight", &[64, 64, 1, 1]),
    ]
}

fn old_diffusers_vae() -> Vec<OwnedTensor> {
    vec![
        f32_tensor("encoder.down_blocks.0.resnets.0.conv1.bias", &[32]),
        f32_tensor("encoder.mid_block.attentions.0.query.weight", &[32, 32]),
    ]
}

fn diffusers_text() -> Vec<OwnedTensor> {
    vec![f32_tensor("text_model.final_layer_norm.bias", &[64])]
}

/// Writes a diffusers folder whose component files have the given ending.
fn save_folder(root: &Path, ending: &str) {
    save(&root.join(format!("unet/diffusion_pytorch_model.{ending}")), diffusers_unet());
    save(&root.join(format!("vae/diffusion_pytorch_model.{ending}")), old_diffusers_vae());
    save(&root.join(format!("text_encoder/model.{ending}")), diffusers_text());
}

fn write_text(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a test path has a folder")).expect("test folder");
    std::fs::write(path, text).expect("test file");
}

fn open_tensors(tensors: Vec<OwnedTensor>) -> Result<Checkpoint> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model.safetensors");
    save(&path, tensors);
    Checkpoint::open(&path, None)
}

fn refusal(tensors: Vec<OwnedTensor>) -> String {
    let text = format!("{:#}", open_tensors(tensors).expect_err("not an SD 1.x checkpoint"));
    assert!(text.contains("model.safetensors"), "{text}");
    text
}

#[test]
fn a_single_file_answers_to_diffusers_names() -> Result<()> {
    for text_model in ["text_model.", ""] {
        let checkpoint = open_tensors(original(text_model))?;
        let query = "encoder.mid_block.attentions.0.to_q.weight";
        let tensor = checkpoint.vae.get(query).expect("renamed");
        assert_eq!((tensor.name, tensor.shape), (query, &[32, 32][..]));
        assert_eq!(tensor.to_f32()?[33], 33.0);
        let projection = checkpoint.unet.get("mid_block.attentions.0.proj_in.weight");
        assert_eq!(projection.expect("renamed").shape, [64, 64, 1, 1]);
        assert_eq!(checkpoint.unet.names().count(), 3);
        let text: Vec<&str> = checkpoint.text_encoder.names().collect();
        assert_eq!(text, ["text_model.embeddings.token_embedding.weight"]);
        assert!(checkpoint.warnings().is_empty(), "{:?}", checkpoint.warnings());
    }
    Ok(())
}

#[test]
fn foreign_tensors_inside_a_network_draw_a_warning() -> Result<()> {
    let mut tensors = original("text_model.");
    tensors.push(f32_tensor("model.diffusion_model.extra.weight", &[1]));
    let checkpoint = open_tensors(tensors)?;
    assert!(checkpoint.warnings()[0].contains("model.diffusion_model.extra.weight"));
    Ok(())
}

#[test]
fn a_folder_answers_with_its_configuration() -> Result<()> {
    for ending in ["safetensors", "fp16.safetensors"] {
        let folder = tempfile::tempdir()?;
        save_folder(folder.path(), ending);
        write_text(&folder.path().join("unet/config.json"), r#"{"cross_attention_dim": 64}"#);
        let scheduler = folder.path().join("scheduler/scheduler_config.json");
        write_text(&scheduler, r#"{"prediction_type": "v_prediction"}"#);
        let checkpoint = Checkpoint::open(folder.path(), None)?;
        assert!(checkpoint.vae.get("encoder.mid_block.attentions.0.to_q.weight").is_some());
        assert!(checkpoint.text_encoder.get("text_model.final_layer_norm.bias").is_some());
        assert_eq!(checkpoint.unet.config().map(|c| &c["cross_attention_dim"]), Some(&64.into()));
        assert!(checkpoint.vae.config().is_none());
        assert_eq!(checkpoint.prediction_type(), Some("v_prediction"));
        assert!(checkpoint.hashes().is_none());
    }
    Ok(())
}

#[test]
fn shards_are_read_together_and_a_missing_one_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    save_folder(folder.path(), "safetensors");
    let unet = folder.path().join("unet");
    std::fs::remove_file(unet.join("diffusion_pytorch_model.safetensors"))?;
    save(&unet.join("1.safetensors"), vec![diffusers_unet().remove(0)]);
    write_text(
        &unet.join("diffusion_pytorch_model.safetensors.index.json"),
        r#"{"weight_map": {"conv_in.weight": "1.safetensors", "mid_block.attentions.0.proj_in.weight": "2.safetensors"}}"#,
    );
    let error = Checkpoint::open(folder.path(), None).expect_err("the second shard is missing");
    assert!(format!("{error:#}").contains("2.safetensors"), "{error:#}");
    save(&unet.join("2.safetensors"), vec![diffusers_unet().remove(1)]);
    assert_eq!(Checkpoint::open(folder.path(), None)?.unet.names().count(), 2);
    Ok(())
}

#[test]
fn a_separate_vae_replaces_the_one_inside() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let without_vae = original("").into_iter().filter(|t| !t.name.starts_with("first_stage")).collect();
    save(&path("model.safetensors"), without_vae);
    let error = Checkpoint::open(&path("model.safetensors"), None).expect_err("there is no VAE");
    assert!(error.to_string().contains("set `vae`"), "{error}");

    let bare = f32_tensor("encoder.down.0.block.0.norm1.weight", &[7]);
    let prefixed = f32_tensor("first_stage_model.encoder.down.0.block.0.norm1.weight", &[7]);
    let diffusers = f32_tensor("encoder.down_blocks.0.resnets.0.norm1.weight", &[7]);
    save(&path("bare.safetensors"), vec![bare]);
    save(&path("prefixed.safetensors"), vec![prefixed]);
    save(&path("diffusers.safetensors"), vec![diffusers.clone()]);
    save(&path("folder/diffusion_pytorch_model.safetensors"), vec![diffusers.clone()]);
    save(&path("whole/vae/diffusion_pytorch_model.safetensors"), vec![diffusers]);
    for vae in ["bare.safetensors", "prefixed.safetensors", "diffusers.safetensors", "folder", "whole"] {
        let checkpoint = Checkpoint::open(&path("model.safetensors"), Some(&path(vae)))?;
        let name = "encoder.down_blocks.0.resnets.0.norm1.weight";
        assert_eq!(checkpoint.vae.get(name).expect(vae).shape, [7]);
    }
    Ok(())
}

#[test]
fn vaes_of_other_families_are_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model.safetensors");
    save(&model, original(""));
    save_folder(&folder.path().join("xl"), "safetensors");
    write_text(&folder.path().join("xl/vae/config.json"), r#"{"scaling_factor": 0.13025}"#);
    let error = Checkpoint::open(&model, Some(&folder.path().join("xl"))).expect_err("SDXL's VAE");
    assert!(error.to_string().contains("XL"), "{error}");

    let flux = folder.path().join("ae.safetensors");
    let tensors = ["encoder.down.0.block.0.norm1.weight", "decoder.conv_in.weight"];
    save(&flux, tensors.map(|name| f32_tensor(name, &[8, 16, 3, 3])).into());
    let error = Checkpoint::open(&model, Some(&flux)).expect_err("Flux's VAE");
    assert!(error.to_string().contains("16 latent channels"), "{error}");
    Ok(())
}

#[test]
fn other_kinds_of_files_are_named() {
    let of_names = |names: &[&str]| refusal(names.iter().map(|name| f32_tensor(name, &[2])).collect());
    let cases: [(&[&str], &str); 10] = [
        (&["lora_unet_mid_block_attentions_0_proj_in.lora_up.weight"], "LoRA"),
        (&["unet.mid_block.attentions.0.proj_in.lora_A.weight"], "LoRA"),
        (&["model.diffusion_model.input_blocks.0.0.bias", "conditioner.embedders.0.x"], "XL"),
        (&["model.diffusion_model.input_blocks.0.0.bias", "cond_stage_model.model.x"], "2.x"),
        (&["model.diffusion_model.joint_blocks.0.x"], "SD3"),
        (&["double_blocks.0.img_attn.proj.weight"], "Flux"),
        (&["encoder.down.0.block.0.norm1.weight", "decoder.conv_in.bias"], "`vae`"),
        (&["first_stage_model.encoder.conv_in.bias"], "`vae`"),
        (&["down_blocks.0.resnets.0.conv1.bias"], "give the folder"),
        (&["layer.0.weight"], "first tensors are: layer.0.weight"),
    ];
    for (names, expected) in cases {
        let text = of_names(names);
        assert!(text.contains(expected), "{names:?}: {text}");
    }
}

#[test]
fn widths_that_betray_another_family_are_refused() {
    let with_shape = |name: &str, shape: &[usize]| {
        let mut tensors = original("text_model.");
        let name = format!("{UNET}{name}");
        tensors.retain(|tensor| tensor.name != name);
        tensors.push(f32_tensor(&name, shape));
        refusal(tensors)
    };
    let input = "input_blocks.0.0.weight";
    assert!(with_shape(input, &[32, 9, 3, 3]).contains("inpainting"));
    assert!(with_shape(input, &[32, 8, 3, 3]).contains("InstructPix2Pix"));
    assert!(with_shape(input, &[32, 5, 3, 3]).contains("5 input channels"));
    let key = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight";
    assert!(with_shape(key, &[32, 1024]).contains("2.x"));
}

#[test]
fn a_missing_text_encoder_is_named() {
    let mut tensors = original("text_model.");
    tensors.retain(|tensor| !tensor.name.starts_with("cond_stage_model"));
    assert!(refusal(tensors).contains("lacks the text encoder"));
}

#[test]
fn fp8_and_other_storage_is_refused() {
    for (dtype, expected) in [(safetensors::Dtype::F8_E4M3, "fp8"), (safetensors::Dtype::I8, "stored as I8")] {
        let mut tensors = original("text_model.");
        tensors.push(OwnedTensor {
            name: format!("{UNET}out.2.bias"),
            dtype: StorageType::Other(dtype),
            shape: vec![4],
            bytes: vec![0; 4],
        });
        let text = refusal(tensors);
        assert!(text.contains(expected) && text.contains("out.2.bias"), "{text}");
    }
}

#[test]
fn folders_that_are_no_sd1_folder_are_explained() -> Result<()> {
    let open_error = |path: &Path| format!("{:#}", Checkpoint::open(path, None).expect_err("no SD 1.x folder"));
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    assert!(open_error(&path("nothing")).contains("does not exist"));
    save(&path("models/a.safetensors"), original(""));
    assert!(open_error(&path("models")).contains("a.safetensors"));
    std::fs::create_dir_all(path("flux/transformer"))?;
    assert!(open_error(&path("flux")).contains("Flux"));
    std::fs::create_dir_all(path("xl/text_encoder_2"))?;
    assert!(open_error(&path("xl")).contains("XL"));
    write_text(&path("old/unet/diffusion_pytorch_model.bin"), "");
    let text = open_error(&path("old"));
    assert!(text.contains("diffusion_pytorch_model.bin") && text.contains("pickle"), "{text}");
    Ok(())
}

#[test]
fn a_single_file_has_the_hashes_of_its_bytes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model.safetensors");
    save(&path, original(""));
    let checkpoint = Checkpoint::open(&path, None)?;
    let hashes = checkpoint.hashes().expect("a single file");
    assert_eq!(hashes.sha256, crate::weights::sha256_hex(&std::fs::read(&path)?));
    Ok(())
}
