//! Which kind of model a file is, so that a wrong one is refused by its name and not by a missing tensor.

use anyhow::{Result, bail};

use crate::families::SD_V1;

use super::part_tensors::PartTensors;
use super::safetensors_file::SafetensorsFile;

/// Names that only one other kind of file has, and what it is. Looked through in order. `{family}` is the one that is
/// trained here.
const OTHER_KINDS: [(&str, &str); 23] = [
    (SD_V1.lora_prefixes.unet, LORA),
    ("lora_te", LORA),
    (".lora_A.", LORA),
    (".lora.down.", LORA),
    ("_lora.down.", LORA),
    (".lora_linear_layer.", LORA),
    ("conditioner.embedders.", SDXL),
    ("model.diffusion_model.label_emb.", SDXL),
    ("joint_blocks.", NEWER),
    ("double_blocks.", NEWER),
    ("single_transformer_blocks.", NEWER),
    ("cond_stage_model.model.", SD2),
    ("control_model.", "a ControlNet checkpoint; give a plain {family} model"),
    ("controlnet_cond_embedding.", "a ControlNet; give a plain {family} model"),
    ("motion_modules.", "an AnimateDiff motion module; give a {family} model"),
    ("emb_params", "a textual inversion embedding; give a {family} model"),
    ("model.diffusion_model.input_blocks.", SINGLE_FILE),
    ("first_stage_model.", VAE),
    ("encoder.down.0.", VAE),
    ("encoder.down_blocks.", VAE),
    ("down_blocks.0.", COMPONENT),
    ("input_blocks.0.", "a bare U-Net without its text encoder and VAE; give the full checkpoint"),
    ("text_model.", COMPONENT),
];

const CHANNELS: usize = SD_V1.latent.channels;

const LORA: &str = "a LoRA, not a base model; to continue training it set `network_weights`";
const SDXL: &str = "a Stable Diffusion XL model; only {family} can be trained here";
const SD2: &str = "a Stable Diffusion 2.x model; only {family} can be trained here";
const NEWER: &str = "a transformer model (SD3, Flux or alike); only {family} can be trained here";
const VAE: &str = "a VAE, not a base model; set it as `vae` and give a full checkpoint as `base_model`";
const COMPONENT: &str = "one component of a diffusers folder; give the folder that holds unet/, vae/ and text_encoder/";
const SINGLE_FILE: &str = "a Stable Diffusion checkpoint";

/// Checks that a single file is in the original layout of Stable Diffusion v1.x or close to it.
///
/// # Errors
/// Names the kind of model that the file is.
pub(super) fn require_single_file(file: &SafetensorsFile) -> Result<()> {
    let path = file.path().display();
    match kind_of(file) {
        Some(SINGLE_FILE) => Ok(()),
        Some(kind) => bail!("{path} is {}", named(kind)),
        None => {
            let names: Vec<&str> = file.tensors().map(|tensor| tensor.name).take(3).collect();
            bail!("{path} is not a Stable Diffusion checkpoint; its first tensors are: {}", names.join(", "))
        }
    }
}

fn named(kind: &str) -> String {
    kind.replace("{family}", SD_V1.name)
}

fn kind_of(file: &SafetensorsFile) -> Option<&'static str> {
    OTHER_KINDS.iter().find(|(mark, _)| file.tensors().any(|tensor| tensor.name.contains(mark))).map(|(_, kind)| *kind)
}

/// Checks the U-Net's widths that tell families apart. Every other width is free.
///
/// # Errors
/// Inpainting and other models with more input channels, SD 2.x, SDXL.
pub(super) fn require_sd1_unet(path: &str, unet: &PartTensors) -> Result<()> {
    match unet.width("conv_in.weight", 1) {
        None | Some(CHANNELS) => {}
        Some(9) => bail!(
            "{path} is an inpainting model (9 input channels); train on the normal model, \
             the LoRA also works on its inpainting variant"
        ),
        Some(8) => bail!("{path} is an image-editing model (8 input channels, InstructPix2Pix); give a normal model"),
        Some(channels) => {
            bail!("{path}: the U-Net has {channels} input channels, {} has {CHANNELS}", SD_V1.name)
        }
    }
    match context_width(unet) {
        Some(1024) => bail!("{path} is {}", named(SD2)),
        Some(1280 | 2048) => bail!("{path} is {}", named(SDXL)),
        _ => Ok(()),
    }
}

/// The width of the text encoder's output that the cross-attention expects.
fn context_width(unet: &PartTensors) -> Option<usize> {
    unet.width("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight", 1)
        .or_else(|| unet.width("down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight", 1))
}

/// Checks that the VAE makes latents of as many channels as the U-Net reads.
///
/// # Errors
/// VAEs of newer models.
pub(super) fn require_sd1_vae(path: &str, vae: &PartTensors) -> Result<()> {
    match vae.width("decoder.conv_in.weight", 1) {
        None | Some(CHANNELS) => Ok(()),
        Some(channels) => {
            let family = SD_V1.name;
            bail!("{path}: this VAE has {channels} latent channels (SD3, Flux or alike), {family} has {CHANNELS}")
        }
    }
}
