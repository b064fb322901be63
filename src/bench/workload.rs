//! What is measured.

use crate::{
    adapters::{AdapterSet, Group, Kind, SitePlan, is_target},
    config::{LoraTarget, OptimizerSettings, TrainConfig},
    families::{Prediction, SD_V1},
    optim::Optimizer,
    size::Size,
    tape::{Checkpointing, DType},
    train::{
        engine::LossScale,
        tasks::diffusion::{
            Batch, Objective, Trained, activations, checkpointing,
            step::{Dropouts, StepOptions, StepShape},
        },
    },
    weights::{
        StorageType,
        lora::{Part, Site},
    },
};

/// Tokens of a text embedding.
const TOKENS: usize = 77;

/// Sizes and settings of a training step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Pixels: whole cells of a latent along both sides.
    pub size: Size,
    pub batch: usize,
    pub rank: usize,
    pub target: LoraTarget,
    /// How the frozen weights are stored.
    pub weights: StorageType,
    pub checkpointing: Checkpointing,
    /// How activations are stored.
    pub activations: DType,
    /// Micro-batches of an update.
    pub accumulation: usize,
}

impl Workload {
    /// What a configuration trains, on weights stored as `weights`.
    pub fn of(config: &TrainConfig, weights: StorageType) -> Self {
        Self {
            size: config.resolution,
            batch: config.batch_size as usize,
            rank: config.lora_rank as usize,
            target: config.lora_target,
            weights,
            checkpointing: checkpointing(config),
            activations: activations(config),
            accumulation: config.gradient_accumulation_steps as usize,
        }
    }

    pub(super) fn shape(&self) -> StepShape {
        StepShape { batch: self.batch, size: self.size.cells(SD_V1.latent.cell), tokens: TOKENS }
    }

    /// Adapters on those of `sites` that are targeted, with AdamW.
    pub(super) fn trained(&self, max_binding: u64, sites: &[Site]) -> Trained {
        let sites = sites.iter().filter(|site| is_target(self.target, site));
        let plans = sites.map(|site| SitePlan::plain(site.clone(), self.rank, self.rank as f32)).collect();
        let groups = vec![Group { part: Part::Unet, rate: 1e-4 }];
        let adapters = AdapterSet::new(Kind::Lora, plans, max_binding, self.accumulation > 1);
        let optimizer = Optimizer::new(&OptimizerSettings::default());
        Trained::new(adapters, groups, optimizer, LossScale::for_activations(self.activations))
    }

    pub(super) fn options(&self) -> StepOptions {
        StepOptions {
            objective: Objective::mse(Prediction::Epsilon),
            checkpointing: self.checkpointing,
            activations: self.activations,
            dropouts: Dropouts::default(),
            observed: Vec::new(),
        }
    }

    /// A micro-batch of numbers like latents, noise and text embeddings of `context_width` channels.
    pub(super) fn batch(&self, context_width: usize) -> Batch {
        let wave = |count: usize, pace: f32| (0..count).map(|i| (i as f32 * pace).sin()).collect::<Vec<f32>>();
        let StepShape { batch, size, tokens } = self.shape();
        Batch {
            latents: wave(batch * size.area() * SD_V1.latent.channels, 0.37),
            noise: wave(batch * size.area() * SD_V1.latent.channels, 1.91),
            timesteps: vec![500; batch],
            text: wave(batch * tokens * context_width, 0.73),
            weights: vec![1.0 / (batch * self.accumulation) as f32; batch],
            ..Batch::default()
        }
    }
}
