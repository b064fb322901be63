//! Stable Diffusion's networks that adapters stand on, with their weights and sites. Nothing is uploaded.

use anyhow::Result;

use crate::{
    families::SD_V1,
    nn::{Builder, Built},
    weights::{
        Checkpoint,
        lora::{Part, Site},
    },
};

use super::{ClipText, ClipTextConfig, UNet, UNetConfig};

/// # Errors
/// Missing or misshapen tensors.
pub fn unet(checkpoint: &Checkpoint) -> Result<(UNet, Built<'_>)> {
    let builder = Builder::adaptable(&checkpoint.unet, Part::Unet);
    let unet = UNet::new(&builder, UNetConfig::of(&checkpoint.unet)?);
    Ok((unet, builder.finish(SD_V1.name, "U-Net")?))
}

/// # Errors
/// Missing or misshapen tensors.
pub fn text_encoder(checkpoint: &Checkpoint) -> Result<(ClipText<'_>, Built<'_>)> {
    let builder = Builder::adaptable(&checkpoint.text_encoder, Part::TextEncoder);
    let text_encoder = ClipText::new(&builder, ClipTextConfig::of(&checkpoint.text_encoder)?);
    Ok((text_encoder, builder.finish(SD_V1.name, "text encoder")?))
}

/// The layers of both, the U-Net's first.
///
/// # Errors
/// Missing or misshapen tensors.
pub fn sites(checkpoint: &Checkpoint) -> Result<Vec<Site>> {
    Ok([unet(checkpoint)?.1.sites, text_encoder(checkpoint)?.1.sites].concat())
}
