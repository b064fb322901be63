//! The file format of a recorded training case.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::{
    adapters::TensorSpec,
    config::{LoraTarget, OptimizerKind, OptimizerSettings},
    diffusion::Prediction,
    nn::nchw_to_nhwc,
    train::tasks::diffusion::recording::StepShape,
    weights::{
        SafetensorsFile,
        lora::{DOWN, Part, Site, UP},
    },
};

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

/// AdamW with the header's arguments.
fn optimizer(file: &SafetensorsFile) -> Result<OptimizerSettings> {
    let mut optimizer = OptimizerSettings::new(OptimizerKind::AdamW);
    let betas = format!("{},{}", file.header_text("beta1")?, file.header_text("beta2")?);
    optimizer.set("betas", &betas.into())?;
    for name in ["weight_decay", "eps"] {
        optimizer.set(name, &file.header_text(name)?.into())?;
    }
    Ok(optimizer)
}

/// A recorded training case.
pub struct TrainingCase {
    file: SafetensorsFile,
    pub rank: usize,
    pub alpha: f32,
    pub learning_rate: f64,
    pub optimizer: OptimizerSettings,
    /// 0: not clipped.
    pub max_grad_norm: f64,
    pub target: LoraTarget,
    pub prediction: Prediction,
    pub min_snr_gamma: Option<f64>,
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
        let gamma: f64 = file.header_number("snr_gamma")?;
        let target = match file.header_text("targets")? {
            "attn" => LoraTarget::Attention,
            "kohya" => LoraTarget::Transformer,
            other => bail!("`targets` is {other:?}, not attn or kohya"),
        };
        let prediction = match file.header_text("prediction")? {
            "epsilon" => Prediction::Epsilon,
            "v_prediction" => Prediction::VPrediction,
            other => bail!("`prediction` is {other:?}, not epsilon or v_prediction"),
        };
        Ok(Self {
            rank: file.header_number("rank")?,
            alpha: file.header_number("alpha")?,
            learning_rate: file.header_number("lr")?,
            optimizer: optimizer(&file)?,
            max_grad_norm: file.header_number("max_grad_norm")?,
            target,
            prediction,
            min_snr_gamma: (gamma > 0.0).then_some(gamma),
            steps,
            batch,
            height,
            width,
            file,
        })
    }

    /// Sizes of a step with `tokens` tokens of text.
    pub fn shape(&self, tokens: usize) -> StepShape {
        StepShape { batch: self.batch, height: self.height, width: self.width, tokens }
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
        let pixels = self.height * self.width;
        let length = self.batch * 4 * pixels;
        Ok(nchw_to_nhwc(&all[step * length..][..length], 4, pixels))
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>> {
        self.file.require(name)?.to_f32()
    }
}
