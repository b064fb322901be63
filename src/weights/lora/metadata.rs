//! What a LoRA file says about its training, in the words and spellings of sd-scripts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    families::SD_V1,
    size::Size,
    weights::{date::iso_date, hashing::ModelHashes},
};

use super::network_metadata::NetworkMetadata;
use super::{
    loss_metadata::LossMetadata,
    python::{python_bool, python_float},
};

/// Pictures of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketCount {
    /// Pixels.
    pub size: Size,
    /// Pictures, each counted as often as it is repeated.
    pub count: usize,
}

/// A folder of training pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatasetDir {
    pub n_repeats: usize,
    pub img_count: usize,
}

/// The facts of a run. Times are seconds since 1970, UTC.
#[derive(Clone, Debug, Default)]
pub struct LoraMetadata {
    /// The file's stem: WebUIs find the LoRA by it.
    pub output_name: String,
    /// The base model's file or folder name.
    pub base_model_name: String,
    pub base_model_hashes: Option<ModelHashes>,
    pub rank: usize,
    pub alpha: f32,
    /// Pixels.
    pub resolution: Size,
    /// Each counted as often as it is repeated.
    pub num_train_images: usize,
    /// Each counted as often as it is repeated.
    pub num_reg_images: usize,
    pub num_batches_per_epoch: usize,
    pub enable_bucket: bool,
    pub buckets: Vec<BucketCount>,
    /// By folder name.
    pub dataset_dirs: BTreeMap<String, DatasetDir>,
    /// By folder name, then by tag.
    pub tag_frequency: BTreeMap<String, BTreeMap<String, usize>>,
    pub started_at: f64,
    pub finished_at: f64,
    /// Epochs and optimizer steps done when the file is written.
    pub epoch: usize,
    pub steps: usize,
    /// Epochs and optimizer steps planned.
    pub num_epochs: usize,
    pub max_train_steps: usize,
    pub learning_rate: f64,
    pub unet_lr: Option<f64>,
    pub text_encoder_lr: Option<f64>,
    /// As sd-scripts prints it: `torch.optim.adamw.AdamW(weight_decay=0.01)`.
    pub optimizer: String,
    pub lr_scheduler: String,
    pub lr_warmup_steps: usize,
    pub seed: u64,
    pub batch_size: usize,
    pub gradient_accumulation_steps: usize,
    /// `no`, `fp16` or `bf16`.
    pub mixed_precision: String,
    pub loss: LossMetadata,
    pub network: NetworkMetadata,
    /// Whether the model predicts velocity instead of noise.
    pub v_prediction: bool,
    pub clip_skip: usize,
    pub author: Option<String>,
    pub description: Option<String>,
    pub license: Option<String>,
    /// Comma-separated.
    pub tags: Option<String>,
    pub trigger_phrase: Option<String>,
}

impl LoraMetadata {
    /// The header entries, without hashes of the tensors.
    pub(super) fn to_header(&self) -> BTreeMap<String, String> {
        let sections =
            [self.sizes(), self.base_model(), self.run(), self.optimization(), self.data(), self.modelspec()];
        let entries = sections.into_iter().flatten().chain(self.loss.entries()).chain(self.network.entries());
        entries.map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn sizes(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ss_v2", python_bool(false)),
            ("ss_base_model_version", SD_V1.labels.base_model_version.to_owned()),
            ("ss_network_dim", self.rank.to_string()),
            ("ss_network_alpha", python_float(f64::from(self.alpha))),
        ]
    }

    fn base_model(&self) -> Vec<(&'static str, String)> {
        let mut entries = vec![("ss_sd_model_name", self.base_model_name.clone())];
        if let Some(hashes) = &self.base_model_hashes {
            entries.push(("ss_sd_model_hash", hashes.legacy.clone()));
            entries.push(("ss_new_sd_model_hash", hashes.sha256.clone()));
        }
        entries
    }

    fn run(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ss_output_name", self.output_name.clone()),
            ("ss_training_started_at", python_float(self.started_at)),
            ("ss_training_finished_at", python_float(self.finished_at)),
            ("ss_epoch", self.epoch.to_string()),
            ("ss_num_epochs", self.num_epochs.to_string()),
            ("ss_steps", self.steps.to_string()),
            ("ss_max_train_steps", self.max_train_steps.to_string()),
            ("ss_seed", self.seed.to_string()),
            ("ss_mixed_precision", self.mixed_precision.clone()),
            ("ss_clip_skip", self.clip_skip.to_string()),
        ]
    }

    fn optimization(&self) -> Vec<(&'static str, String)> {
        let rate = |rate: Option<f64>| rate.map_or_else(|| "None".to_owned(), python_float);
        vec![
            ("ss_learning_rate", python_float(self.learning_rate)),
            ("ss_unet_lr", rate(self.unet_lr)),
            ("ss_text_encoder_lr", rate(self.text_encoder_lr)),
            ("ss_optimizer", self.optimizer.clone()),
            ("ss_lr_scheduler", self.lr_scheduler.clone()),
            ("ss_lr_warmup_steps", self.lr_warmup_steps.to_string()),
            ("ss_batch_size_per_device", self.batch_size.to_string()),
            ("ss_total_batch_size", (self.batch_size * self.gradient_accumulation_steps).to_string()),
            ("ss_gradient_accumulation_steps", self.gradient_accumulation_steps.to_string()),
        ]
    }

    fn data(&self) -> Vec<(&'static str, String)> {
        let Size { width, height } = self.resolution;
        vec![
            ("ss_resolution", format!("({width}, {height})")),
            ("ss_num_train_images", self.num_train_images.to_string()),
            ("ss_num_reg_images", self.num_reg_images.to_string()),
            ("ss_num_batches_per_epoch", self.num_batches_per_epoch.to_string()),
            ("ss_enable_bucket", python_bool(self.enable_bucket)),
            ("ss_bucket_info", self.bucket_info().to_string()),
            ("ss_dataset_dirs", self.dataset_dirs_json().to_string()),
            ("ss_tag_frequency", json!(self.tag_frequency).to_string()),
        ]
    }

    fn bucket_info(&self) -> Value {
        let bucket = |(index, bucket): (usize, &BucketCount)| {
            let entry = json!({"resolution": [bucket.size.width, bucket.size.height], "count": bucket.count});
            (index.to_string(), entry)
        };
        let buckets: serde_json::Map<String, Value> = self.buckets.iter().enumerate().map(bucket).collect();
        json!({ "buckets": buckets })
    }

    fn dataset_dirs_json(&self) -> Value {
        self.dataset_dirs
            .iter()
            .map(|(name, dir)| {
                let entry = json!({"n_repeats": dir.n_repeats, "img_count": dir.img_count});
                (name.clone(), entry)
            })
            .collect()
    }

    /// <https://github.com/Stability-AI/ModelSpec>, as sd-scripts fills it for such a LoRA.
    fn modelspec(&self) -> Vec<(&'static str, String)> {
        let Size { width, height } = self.resolution;
        let prediction_type = if self.v_prediction { "v" } else { "epsilon" };
        let mut entries = vec![
            ("modelspec.sai_model_spec", "1.0.1".to_owned()),
            ("modelspec.architecture", format!("{}/lora", SD_V1.labels.architecture)),
            ("modelspec.implementation", "diffusers".to_owned()),
            ("modelspec.title", self.output_name.clone()),
            ("modelspec.resolution", format!("{width}x{height}")),
            ("modelspec.date", iso_date(self.finished_at)),
            ("modelspec.prediction_type", prediction_type.to_owned()),
            ("modelspec.encoder_layer", self.clip_skip.to_string()),
            ("modelspec.timestep_range", self.loss.timestep_range()),
        ];
        let optional = [
            ("modelspec.author", &self.author),
            ("modelspec.description", &self.description),
            ("modelspec.license", &self.license),
            ("modelspec.tags", &self.tags),
            ("modelspec.trigger_phrase", &self.trigger_phrase),
        ];
        entries.extend(optional.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))));
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_told_in_sd_scripts_json() {
        let metadata = LoraMetadata {
            resolution: Size::new(512, 768),
            buckets: vec![BucketCount { size: Size::new(512, 768), count: 3 }],
            dataset_dirs: [("5_peony".to_owned(), DatasetDir { n_repeats: 5, img_count: 2 })].into(),
            tag_frequency: [("5_peony".to_owned(), [("peony".to_owned(), 2)].into())].into(),
            text_encoder_lr: Some(1e-5),
            ..LoraMetadata::default()
        };
        let header = metadata.to_header();
        let expected = [
            ("ss_resolution", "(512, 768)"),
            ("ss_bucket_info", r#"{"buckets":{"0":{"resolution":[512,768],"count":3}}}"#),
            ("ss_dataset_dirs", r#"{"5_peony":{"n_repeats":5,"img_count":2}}"#),
            ("ss_tag_frequency", r#"{"5_peony":{"peony":2}}"#),
            ("ss_enable_bucket", "False"),
            ("ss_unet_lr", "None"),
            ("ss_text_encoder_lr", "1e-05"),
            ("modelspec.resolution", "512x768"),
            ("modelspec.prediction_type", "epsilon"),
        ];
        for (key, value) in expected {
            assert_eq!(header[key], value, "{key}");
        }
        assert!(!header.contains_key("modelspec.author"));
    }
}
