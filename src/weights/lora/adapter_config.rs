//! Where files without alpha tensors state their alpha: diffusers' header entry, PEFT's file beside the weights.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::Part;
use crate::weights::json_file::read_json;
use crate::weights::safetensors_file::SafetensorsFile;

/// The header entry that diffusers' readers look for.
pub(super) const HEADER_KEY: &str = "lora_adapter_metadata";

/// A LoRA's PEFT configuration, one flat table: `unet.lora_alpha`, or `lora_alpha` where the file has one network.
#[derive(Debug)]
pub(super) struct AdapterConfig(Map<String, Value>);

impl AdapterConfig {
    /// The configuration that goes with a file, if there is one.
    ///
    /// # Errors
    /// A configuration that is no JSON object.
    pub(super) fn of(file: &SafetensorsFile) -> Result<Option<Self>> {
        let value = match file.metadata().get(HEADER_KEY) {
            Some(text) => {
                Some(serde_json::from_str(text).with_context(|| format!("its {HEADER_KEY} is not valid JSON"))?)
            }
            None => beside(file.path())?,
        };
        match value {
            Some(Value::Object(table)) => Ok(Some(Self(table))),
            Some(_) => anyhow::bail!("its adapter configuration is not a JSON object"),
            None => Ok(None),
        }
    }

    /// The alpha of a module such that ΔW = (alpha / rank) · up · down.
    pub(super) fn alpha(&self, part: Part, path: &str, rank: usize) -> Option<f32> {
        let alpha = self.pattern(part, path).or_else(|| self.get(part, "lora_alpha")?.as_f64())? as f32;
        let rank_stabilised = self.get(part, "use_rslora").and_then(Value::as_bool).unwrap_or(false);
        // rsLoRA scales by alpha / √rank: https://arxiv.org/abs/2312.03732
        Some(if rank_stabilised { alpha * (rank as f32).sqrt() } else { alpha })
    }

    /// `alpha_pattern` gives single modules an alpha of their own, by the end of their path.
    fn pattern(&self, part: Part, path: &str) -> Option<f64> {
        let patterns = self.get(part, "alpha_pattern")?.as_object()?;
        let matches = |end: &str| path == end || path.strip_suffix(end).is_some_and(|rest| rest.ends_with('.'));
        patterns.iter().find(|(end, _)| matches(end))?.1.as_f64()
    }

    fn get(&self, part: Part, key: &str) -> Option<&Value> {
        let prefix = match part {
            Part::Unet => "unet",
            Part::TextEncoder => "text_encoder",
        };
        self.0.get(&format!("{prefix}.{key}")).or_else(|| self.0.get(key))
    }
}

/// PEFT saves `adapter_model.safetensors` and `adapter_config.json` together.
fn beside(path: &Path) -> Result<Option<Value>> {
    if path.file_name().is_some_and(|name| name == "adapter_model.safetensors") {
        read_json(&path.with_file_name("adapter_config.json"))
    } else {
        Ok(None)
    }
}
