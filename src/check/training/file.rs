//! The file format of a recorded training case.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_yaml::Value;

use crate::{
    adapters::TensorSpec,
    config::{OptimizerKind, OptimizerSettings},
    families::SD_V1,
    nn::{nchw_to_nhwc, padded},
    size::Size,
    train::tasks::diffusion::{Objective, step::StepShape},
    weights::{
        SafetensorsFile,
        lora::{DOWN, Part, Site, UP},
    },
};

use super::{header::Adapted, objective};

/// The tensor of masks.
const MASK: &str = "mask";
/// Pixels of a latent's, along each side.
const CELL: usize = SD_V1.latent.cell;
const CHANNELS: usize = SD_V1.latent.channels;

/// AdamW with the arguments in a header.
fn adamw(file: &SafetensorsFile) -> Result<OptimizerSettings> {
    let number = |name: &str| file.header_number::<f64>(name);
    let mut settings = OptimizerSettings::new(OptimizerKind::AdamW);
    settings.set("betas", &Value::from(vec![number("beta1")?, number("beta2")?]))?;
    for name in ["weight_decay", "eps"] {
        settings.set(name, &number(name)?.into())?;
    }
    Ok(settings)
}

/// Where a case keeps a network's adapter.
fn prefix(part: Part) -> &'static str {
    match part {
        Part::Unet => "lora/",
        Part::TextEncoder => "lora_te/",
    }
}

/// PEFT's name of an adapter's tensor, which cases use.
pub(super) fn tensor_name(path: &str, name: &str) -> String {
    match name {
        DOWN => format!("{path}.lora_A.weight"),
        UP => format!("{path}.lora_B.weight"),
        name => format!("{path}.{name}"),
    }
}

/// A recorded training case.
pub struct TrainingCase {
    file: SafetensorsFile,
    pub optimizer: OptimizerSettings,
    /// 0: not clipped.
    pub max_grad_norm: f64,
    pub(super) adapted: Adapted,
    pub objective: Objective,
    pub steps: usize,
    pub batch: usize,
    /// Of the latents.
    pub size: Size,
}

impl TrainingCase {
    /// Opens a case and reads its header.
    ///
    /// # Errors
    /// A file that is no training case, or a header that lacks a key or holds something else than expected.
    pub fn open(path: &Path) -> Result<Self> {
        let file = SafetensorsFile::open(path)?;
        Self::read(file).with_context(|| format!("{} is not a training case", path.display()))
    }

    fn read(file: SafetensorsFile) -> Result<Self> {
        let latents = file.require("latents")?.shape.to_vec();
        let &[steps, batch, CHANNELS, height, width] = &latents[..] else {
            bail!("`latents` has the shape {latents:?}")
        };
        Ok(Self {
            optimizer: adamw(&file)?,
            max_grad_norm: file.header_number("max_grad_norm")?,
            adapted: Adapted::read(&file)?,
            objective: objective::read(&file, MASK)?,
            steps,
            batch,
            size: Size { width, height },
            file,
        })
    }

    /// Sizes of a step with `tokens` tokens of text.
    pub fn shape(&self, tokens: usize) -> StepShape {
        StepShape { batch: self.batch, size: self.size, tokens }
    }

    /// Latents of one step, (B, H, W, 4).
    pub fn latents(&self, step: usize) -> Result<Vec<f32>> {
        self.channels_last("latents", step)
    }

    /// Noise of one step, (B, H, W, 4).
    pub fn noise(&self, step: usize) -> Result<Vec<f32>> {
        self.channels_last("noise", step)
    }

    /// The picture for the VAE, (H, W, 3).
    pub fn image(&self) -> Result<Vec<f32>> {
        let values = self.floats("image")?;
        Ok(nchw_to_nhwc(&values, 3, self.size.pixels(CELL).area()))
    }

    pub fn timesteps(&self, step: usize) -> Result<Vec<usize>> {
        let all = self.file.integers("timesteps")?;
        Ok(all[step * self.batch..][..self.batch].iter().map(|&timestep| timestep as usize).collect())
    }

    /// What the loss of each sample of one step is multiplied by, besides what depends on its timestep.
    pub fn sample_weights(&self, step: usize) -> Result<Vec<f32>> {
        match self.file.get("sample_weight") {
            Some(weights) => Ok(weights.to_f32()?[step * self.batch..][..self.batch].to_vec()),
            None => Ok(vec![1.0; self.batch]),
        }
    }

    /// What the ranks of a module of one step are multiplied by, (B, padded rank): the case's mask, and what makes up for
    /// the ranks that are left out on average.
    ///
    /// # Errors
    /// A mask that is missing or of another size.
    pub fn rank_mask(&self, path: &str, rank: usize, step: usize) -> Result<Vec<f32>> {
        let name = format!("rank_mask/{path}");
        let (all, length) = (self.floats(&name)?, self.batch * rank);
        ensure!(all.len() == self.steps * length, "`{name}` holds {} values", all.len());
        let factor = 1.0 / (1.0 - self.adapted.dropouts.rank);
        let row = |row: &[f32]| {
            let mut row: Vec<f32> = row.iter().map(|mask| mask * factor).collect();
            row.resize(padded(rank), 0.0);
            row
        };
        Ok(all[step * length..][..length].chunks_exact(rank).flat_map(row).collect())
    }

    /// Masks of one step at the latent's size, (B, H, W); none where the case has none. A latent pixel gets the mean over
    /// its pixels.
    pub fn masks(&self, step: usize) -> Result<Vec<f32>> {
        let Some(masks) = self.file.get(MASK) else { return Ok(Vec::new()) };
        let Size { width: columns, height: rows } = self.size.pixels(CELL);
        let wanted = [self.steps, self.batch, rows, columns];
        ensure!(masks.shape == wanted, "`{MASK}` has the shape {:?}, not {wanted:?}", masks.shape);
        let length = self.batch * rows * columns;
        let step = &masks.to_f32()?[step * length..][..length];
        let pixels =
            (0..self.batch * self.size.height).flat_map(|row| (0..self.size.width).map(move |column| (row, column)));
        let mean = |(row, column): (usize, usize)| {
            let cells = (0..CELL).flat_map(|y| &step[(CELL * row + y) * columns + CELL * column..][..CELL]);
            cells.sum::<f32>() / (CELL * CELL) as f32
        };
        Ok(pixels.map(mean).collect())
    }

    /// Token ids of one step, (B, tokens) flattened.
    pub fn input_ids(&self, step: usize) -> Result<Vec<u32>> {
        let all = self.file.integers("input_ids")?;
        let count = all.len() / self.steps;
        Ok(all[step * count..][..count].iter().map(|&id| id as u32).collect())
    }

    /// The first values of one of an adapter's tensors.
    ///
    /// # Errors
    /// A tensor that is missing or of another size.
    pub fn adapter_tensor(&self, site: &Site, spec: &TensorSpec) -> Result<Vec<f32>> {
        let name = format!("{}{}", prefix(site.part), tensor_name(&site.path, spec.name));
        let values = self.floats(&name)?;
        let length = spec.shape.elements();
        ensure!(values.len() == length, "`{name}` holds {} values, not {length}", values.len());
        Ok(values)
    }

    /// How many tensors of adapters the case holds.
    pub fn adapter_tensor_count(&self) -> usize {
        let given = |name: &str| [Part::Unet, Part::TextEncoder].iter().any(|part| name.starts_with(prefix(*part)));
        self.file.tensors().filter(|tensor| given(tensor.name)).count()
    }

    fn channels_last(&self, name: &str, step: usize) -> Result<Vec<f32>> {
        let all = self.floats(name)?;
        let pixels = self.size.area();
        let length = self.batch * CHANNELS * pixels;
        Ok(nchw_to_nhwc(&all[step * length..][..length], CHANNELS, pixels))
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>> {
        self.file.require(name)?.to_f32()
    }
}
