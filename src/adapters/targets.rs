//! Which layers get an adapter.

use crate::{config::LoraTarget, weights::lora::Site};

/// Projections of every attention.
const ATTENTION: [&str; 4] = ["to_q", "to_k", "to_v", "to_out.0"];
/// What WebUI LoRAs adapt besides.
const TRANSFORMER: [&str; 4] = ["ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"];

/// Whether `target` includes the U-Net's `site`.
pub fn is_target(target: LoraTarget, site: &Site) -> bool {
    let ends_with = |names: &[&str]| names.iter().any(|name| site.path.ends_with(&format!(".{name}")));
    let inside = site.path.contains("attentions");
    inside && (ends_with(&ATTENTION) || target == LoraTarget::Transformer && ends_with(&TRANSFORMER))
}
