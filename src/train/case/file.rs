//! The file format of a recorded training case.

use std::{path::Path, str::FromStr};

use anyhow::{Context, Result, bail, ensure};
use safetensors::Dtype;

use crate::{
    config::{AdamW, LoraTarget},
    diffusion::Prediction,
    nn::{Module, nchw_to_nhwc},
    weights::{
        SafetensorsFile, StorageType,
        lora::{LoraModule, Part},
    },
};

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
        let header = Header(&file);
        let latents = file.get("latents").context("there is no tensor `latents`")?.shape.to_vec();
        let &[steps, batch, 4, height, width] = &latents[..] else { bail!("`latents` has the shape {latents:?}") };
        let gamma: f64 = header.number("snr_gamma")?;
        let target = match header.text("targets")? {
            "attn" => LoraTarget::Attention,
            "kohya" => LoraTarget::Transformer,
            other => bail!("`targets` is {other:?}, not attn or kohya"),
        };
        let prediction = match header.text("prediction")? {
            "epsilon" => Prediction::Epsilon,
            "v_prediction" => Prediction::VPrediction,
            other => bail!("`prediction` is {other:?}, not epsilon or v_prediction"),
        };
        Ok(Self {
            rank: header.number("rank")?,
            alpha: header.number("alpha")?,
            learning_rate: header.number("lr")?,
            adamw: AdamW {
                betas: (header.number("beta1")?, header.number("beta2")?),
                weight_decay: header.number("weight_decay")?,
                eps: header.number("eps")?,
            },
            max_grad_norm: header.number("max_grad_norm")?,
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
        let all = self.integers("timesteps")?;
        Ok(all[step * self.batch..][..self.batch].iter().map(|&timestep| timestep as usize).collect())
    }

    /// Token ids of one step, (B, tokens) flattened.
    pub fn input_ids(&self, step: usize) -> Result<Vec<u32>> {
        let all = self.integers("input_ids")?;
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
        self.file.get(name).with_context(|| format!("there is no tensor `{name}`"))?.to_f32()
    }

    fn integers(&self, name: &str) -> Result<Vec<i64>> {
        let tensor = self.file.get(name).with_context(|| format!("there is no tensor `{name}`"))?;
        ensure!(tensor.dtype == StorageType::Other(Dtype::I64), "`{name}` is stored as {}, not I64", tensor.dtype);
        Ok(bytemuck::pod_collect_to_vec(tensor.bytes))
    }
}

struct Header<'a>(&'a SafetensorsFile);

impl Header<'_> {
    fn text(&self, key: &str) -> Result<&str> {
        self.0.metadata().get(key).map(String::as_str).with_context(|| format!("the header lacks `{key}`"))
    }

    fn number<T: FromStr>(&self, key: &str) -> Result<T> {
        let text = self.text(key)?;
        text.parse().ok().with_context(|| format!("the header's `{key}` is {text:?}, not a number"))
    }
}
