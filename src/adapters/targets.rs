//! Which layers get an adapter.

use crate::{
    config::LoraTarget,
    weights::lora::{Part, Site},
};

/// Projections of every attention.
const ATTENTION: [&str; 4] = ["to_q", "to_k", "to_v", "to_out.0"];
/// What WebUI LoRAs adapt besides.
const TRANSFORMER: [&str; 4] = ["ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"];

/// Whether `target` includes the U-Net's `site`.
pub fn is_target(target: LoraTarget, site: &Site) -> bool {
    let ends_with = |names: &[&str]| names.iter().any(|name| site.path.ends_with(&format!(".{name}")));
    let inside = site.part == Part::Unet && site.path.contains("attentions");
    inside && (ends_with(&ATTENTION) || target == LoraTarget::Transformer && ends_with(&TRANSFORMER))
}

/// Whether the U-Net's `site` lies in a resnet or a sampler, which kohya's `conv_dim` adds.
pub fn is_convolutional(site: &Site) -> bool {
    site.part == Part::Unet && ["resnets.", "samplers."].iter().any(|name| site.path.contains(name))
}

/// Whether the text encoder's `site` is one of a layer's linear ones.
pub fn is_text_target(site: &Site) -> bool {
    site.part == Part::TextEncoder && site.path.contains("encoder.layers.")
}
