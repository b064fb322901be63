//! Configurations for models that are not Stable Diffusion v1, which are refused by the model's name.

use super::{
    theirs::{Theirs, is_off},
    translation::is_hub_id,
};
use anyhow::{Result, bail};
use serde_yaml::Value;

/// A word in the names of models, in lower case, and the family.
const MODELS: &[(&str, &str)] = &[
    ("sdxl", "Stable Diffusion XL"),
    ("stable-diffusion-xl", "Stable Diffusion XL"),
    ("flux", "Flux"),
    ("stable-diffusion-3", "Stable Diffusion 3"),
    ("stable-diffusion-2", "Stable Diffusion 2"),
    ("stable-diffusion-v2", "Stable Diffusion 2"),
];

/// The same in words by which trainers call families.
const FAMILIES: &[(&str, &str)] = &[
    ("inpainting", "Stable Diffusion for inpainting"),
    ("stable_diffusion_xl", "Stable Diffusion XL"),
    ("stable_diffusion_3", "Stable Diffusion 3"),
    ("stable_diffusion_2", "Stable Diffusion 2"),
    ("sd3", "Stable Diffusion 3"),
    ("sd_v2", "Stable Diffusion 2"),
    ("sd_v3", "Stable Diffusion 3"),
    ("lumina", "Lumina"),
    ("hunyuan", "HunyuanVideo or HunyuanImage"),
    ("chroma", "Chroma"),
    ("anima", "Anima"),
    ("pixart", "PixArt"),
    ("sana", "Sana"),
    ("qwen", "Qwen-Image"),
    ("z_image", "Z-Image"),
    ("wuerstchen", "Würstchen"),
    ("stable_cascade", "Stable Cascade"),
];

/// Flags that say the family.
const FLAGS: &[(&str, &str)] = &[
    ("v2", "Stable Diffusion 2"),
    ("sdxl", "Stable Diffusion XL"),
    ("flux1_checkbox", "Flux"),
    ("sd3_checkbox", "Stable Diffusion 3"),
    ("lumina_checkbox", "Lumina"),
    ("hunyuan_image_checkbox", "HunyuanImage"),
    ("anima_checkbox", "Anima"),
];

/// Takes the flags out that say the model's family, and looks at what names it.
///
/// # Errors
/// A family that is not Stable Diffusion v1.
pub(super) fn check(theirs: &mut Theirs) -> Result<()> {
    for (flag, family) in FLAGS {
        if theirs.take(flag).is_some_and(|entry| !is_off(&entry.value) && entry.value != "False") {
            refuse(flag, family)?;
        }
    }
    for name in ["model_train_type", "model_type", "base_model_version", "modelspec.architecture", "network_module"] {
        let said = theirs.get(name).and_then(Value::as_str).unwrap_or_default();
        check_words(name, said, MODELS.iter().chain(FAMILIES))?;
    }
    for name in ["model_type", "base_model_version", "modelspec.architecture"] {
        theirs.take(name);
    }
    for name in ["pretrained_model_name_or_path", "base_model_name"] {
        // A file may have any name; a hub's model is what it is called.
        let said = theirs.get(name).and_then(Value::as_str).filter(|said| is_hub_id(said));
        check_words(name, said.unwrap_or_default(), MODELS.iter())?;
    }
    Ok(())
}

fn check_words<'a>(name: &str, said: &str, mut words: impl Iterator<Item = &'a (&'a str, &'a str)>) -> Result<()> {
    let lower = said.to_lowercase();
    match words.find(|(word, _)| lower.contains(word)) {
        Some((_, family)) => refuse(&format!("{name}: {said}"), family),
        None => Ok(()),
    }
}

fn refuse(what: &str, family: &str) -> Result<()> {
    bail!("this is a configuration for {family} (`{what}`); only the Stable Diffusion v1 family can be trained here")
}
