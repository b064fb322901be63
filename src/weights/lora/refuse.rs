//! LoRA files that cannot be used here, told by their keys.

use anyhow::{Result, bail};

use crate::families::SD_V1;

const SDXL: &str = "Stable Diffusion XL";
const NEWER: &str = "a transformer model (SD3, Flux or alike)";

/// Parts of keys that only LoRAs for other base models have.
const OTHER_FAMILIES: [(&str, &str); 12] = [
    ("lora_te1_", SDXL),
    ("lora_te2_", SDXL),
    ("text_encoder_2.", SDXL),
    ("lora_unet_input_blocks_", SDXL),
    ("lora_unet_middle_block_", SDXL),
    ("lora_unet_output_blocks_", SDXL),
    // SD 1.x has one transformer block per attention, SDXL up to ten.
    ("_transformer_blocks_1_", SDXL),
    (".transformer_blocks.1.", SDXL),
    ("double_blocks", NEWER),
    ("joint_blocks", NEWER),
    ("lora_transformer_", NEWER),
    ("single_transformer_blocks.", NEWER),
];

/// Parts of keys of adapters that can be drawn with, though they are no plain LoRA.
const NOT_PLAIN: [(&str, &str); 5] = [
    (".hada_w", "LoHa"),
    (".lokr_w", "LoKr"),
    (".dora_scale", "DoRA"),
    ("lora_magnitude_vector", "DoRA"),
    (".lora_mid.", "LoCon with Tucker decomposition"),
];

/// Parts of keys of adapters that cannot be used at all.
const UNKNOWN: [(&str, &str); 1] = [(".oft_", "OFT")];

/// Ends of keys of the same kind.
const UNKNOWN_ENDS: [&str; 2] = [".diff", ".diff_b"];

/// # Errors
/// The base model's family, or the kind of adapter, with the key that shows it.
pub(super) fn other_families<'a>(keys: impl Iterator<Item = &'a str>) -> Result<()> {
    for key in keys {
        if let Some(family) = find(&OTHER_FAMILIES, key) {
            bail!("it is a LoRA for {family}, not for {} ({key})", SD_V1.name);
        }
        if let Some(adapter) = find(&UNKNOWN, key) {
            bail!("it holds {adapter} ({key}), which cannot be used");
        }
        if UNKNOWN_ENDS.iter().any(|end| key.ends_with(end)) {
            bail!("it holds full difference weights ({key}), which cannot be used");
        }
    }
    Ok(())
}

/// # Errors
/// The kind of adapter, with the key that shows it.
pub(super) fn not_plain<'a>(keys: impl Iterator<Item = &'a str>) -> Result<()> {
    for key in keys {
        if let Some(adapter) = find(&NOT_PLAIN, key) {
            bail!("it holds {adapter} ({key}); only plain LoRA can be trained on from");
        }
    }
    Ok(())
}

fn find(table: &[(&str, &'static str)], key: &str) -> Option<&'static str> {
    table.iter().find(|(mark, _)| key.contains(mark)).map(|(_, kind)| *kind)
}
