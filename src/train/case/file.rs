//! The file format of a recorded training case.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::{
    config::{AdamW, LoraTarget},
    nn::{Module, nchw_to_nhwc},
    train::objective::Objective,
    weights::{
        SafetensorsFile,
        lora::{LoraModule, Part},
    },
};

use super::objective;

/// The tensor of masks.
const MASK: &str = "mask";
/// Pixels of a latent's, along each side.
const CELL: usize = 8;

/// A recorded training case.
pub struct TrainingCase {
    file: SafetensorsFile,
    pub rank: usize,
    pub alpha: f32,
    pub learning_rate: f64,
    pub adamw: AdamW,
    /// 0: not clipped.
    pub max_grad_norm: f64,
    pub target: LoraTarget,
    pub objective: Objective,
    pub steps: usize,
    pub batch: usize,
    /// Latent rows and columns.
    pub height: usize,
    pub width: usize,
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
        let &[steps, batch, 4, height, width] = &latents[..] else { bail!("`latents` has the shape {latents:?}") };
        let target = match file.header_text("targets")? {
            "attn" => LoraTarget::Attention,
            "kohya" => LoraTarget::Transformer,
            other => bail!("`targets` is {other:?}, not attn or kohya"),
        };
        Ok(Self {
            rank: file.header_number("rank")?,
            alpha: file.header_number("alpha")?,
            learning_rate: file.header_number("lr")?,
            adamw: AdamW {
                betas: (file.header_number("beta1")?, file.header_number("beta2")?),
                weight_decay: file.header_number("weight_decay")?,
                eps: file.header_number("eps")?,
            },
            max_grad_norm: file.header_number("max_grad_norm")?,
            target,
            objective: objective::read(&file, MASK)?,
            steps,
            batch,
            height,
            width,
            file,
        })
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
        Ok(nchw_to_nhwc(&values, 3, 64 * self.height * self.width))
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

    /// Masks of one step at the latent's size, (B, H, W); none where the case has none. A latent pixel gets the mean over
    /// its 8×8 pixels.
    pub fn masks(&self, step: usize) -> Result<Vec<f32>> {
        let Some(masks) = self.file.get(MASK) else { return Ok(Vec::new()) };
        let (rows, columns) = (CELL * self.height, CELL * self.width);
        let wanted = [self.steps, self.batch, rows, columns];
        ensure!(masks.shape == wanted, "`{MASK}` has the shape {:?}, not {wanted:?}", masks.shape);
        let length = self.batch * rows * columns;
        let step = &masks.to_f32()?[step * length..][..length];
        let pixels = (0..self.batch * self.height).flat_map(|row| (0..self.width).map(move |column| (row, column)));
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

    /// The initial LoRA on `modules`.
    pub fn lora(&self, modules: &[Module]) -> Result<Vec<LoraModule>> {
        modules.iter().map(|module| self.lora_module(module)).collect()
    }

    /// How many LoRA tensors the case holds.
    pub fn lora_tensor_count(&self) -> usize {
        self.file.tensors().filter(|tensor| tensor.name.starts_with("lora/")).count()
    }

    fn lora_module(&self, module: &Module) -> Result<LoraModule> {
        let matrix = |letter: &str, length: usize| {
            let name = format!("lora/{}.lora_{letter}.weight", module.path);
            let values = self.floats(&name)?;
            ensure!(values.len() == length, "`{name}` holds {} values, not {length}", values.len());
            Ok(values)
        };
        Ok(LoraModule {
            part: Part::Unet,
            path: module.path.clone(),
            conv: module.conv,
            rank: self.rank,
            in_features: module.in_features,
            out_features: module.out_features,
            alpha: self.alpha,
            down: matrix("A", self.rank * module.in_features)?,
            up: matrix("B", self.rank * module.out_features)?,
        })
    }

    fn channels_last(&self, name: &str, step: usize) -> Result<Vec<f32>> {
        let all = self.floats(name)?;
        let pixels = self.height * self.width;
        let length = self.batch * 4 * pixels;
        Ok(nchw_to_nhwc(&all[step * length..][..length], 4, pixels))
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>> {
        self.file.require(name)?.to_f32()
    }
}
