//! Recorded sampling cases: DDIM with classifier-free guidance from given noise, step by step.

use anyhow::{Context, Result, bail, ensure};

use crate::{
    data::tokenizer::CONTEXT_LENGTH,
    diffusion::{
        NoiseSchedule,
        samplers::{self, Callbacks, ModelCall, Sampler, SamplingPlan, StepReport},
    },
    families::{Prediction, SD_V1},
    gpu::Gpu,
    models::encode::{LatentDecoder, TextEncoder},
    nn::nhwc_to_nchw,
    size::Size,
    weights::{Checkpoint, OwnedTensor, SafetensorsFile, lora::Part},
};

use super::{
    denoiser::{Denoiser, DenoiserShape},
    draw::{decoded, uploaded_unet},
    latents::Latents,
    loras::LoraSet,
};

const LATENT_CHANNELS: usize = SD_V1.latent.channels;

/// What a case gives; everything else in its file is what PyTorch made of it.
pub const GIVEN: [&str; 4] = ["init", "ids_cond", "ids_uncond", "timesteps"];

/// A recorded sampling case.
pub struct SamplingCase {
    steps: usize,
    cfg_scale: f32,
    lora_scale: f32,
    init: Vec<f32>, // (1, 4, H, W)
    size: Size,
    ids_cond: Vec<u32>,
    ids_uncond: Vec<u32>,
    timesteps: Vec<i64>,
}

impl SamplingCase {
    /// Whether `file` says that it is a sampling case.
    pub fn is_one(file: &SafetensorsFile) -> bool {
        file.metadata().get("kind").is_some_and(|kind| kind == "sample")
    }

    /// Reads a case.
    ///
    /// # Errors
    /// A header or a tensor that is missing or something else than expected.
    pub fn read(file: &SafetensorsFile) -> Result<Self> {
        Self::of(file).with_context(|| format!("{} is not a sampling case", file.path().display()))
    }

    fn of(file: &SafetensorsFile) -> Result<Self> {
        let sampler = file.header_text("sampler")?;
        ensure!(sampler == Sampler::Ddim.name(), "its sampler is {sampler:?}; cases are recorded with ddim");
        let init = file.require("init")?;
        let &[1, LATENT_CHANNELS, height, width] = init.shape else { bail!("`init` has the shape {:?}", init.shape) };
        let ids = |name: &str| -> Result<Vec<u32>> {
            let ids: Vec<u32> = file.integers(name)?.into_iter().map(u32::try_from).collect::<Result<_, _>>()?;
            ensure!(ids.len() == CONTEXT_LENGTH, "`{name}` holds {} tokens, not {CONTEXT_LENGTH}", ids.len());
            Ok(ids)
        };
        let (steps, timesteps) = (file.header_number("steps")?, file.integers("timesteps")?);
        ensure!(timesteps.len() == steps, "{steps} steps, but {} timesteps", timesteps.len());
        Ok(Self {
            steps,
            cfg_scale: file.header_number("cfg")?,
            lora_scale: file.header_number("lora_scale")?,
            init: init.to_f32()?,
            size: Size { width, height },
            ids_cond: ids("ids_cond")?,
            ids_uncond: ids("ids_uncond")?,
            timesteps,
        })
    }

    /// Draws the case on `checkpoint`, with `loras` at the case's strength, and returns what the format names.
    /// `progress` hears of each step.
    ///
    /// # Errors
    /// A checkpoint or a LoRA that the case does not fit; a failure of the device.
    pub fn run(
        &self,
        gpu: &Gpu,
        checkpoint: &Checkpoint,
        loras: &LoraSet,
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<OwnedTensor>> {
        let mut recorded = Vec::new();
        let [cond, uncond] = self.encode(gpu, checkpoint, loras, &mut recorded)?;
        let latents = self.denoise(gpu, checkpoint, loras, [&cond, &uncond], &mut recorded, &mut progress)?;
        self.decode(gpu, checkpoint, &latents, &mut recorded)?;
        Ok(recorded)
    }

    fn encode(
        &self,
        gpu: &Gpu,
        checkpoint: &Checkpoint,
        loras: &LoraSet,
        recorded: &mut Vec<OwnedTensor>,
    ) -> Result<[Vec<f32>; 2]> {
        let stack = loras.stack(Part::TextEncoder);
        let strengths = loras.all_at(self.lora_scale);
        let tensors = loras.materialized(Part::TextEncoder, &checkpoint.text_encoder, &strengths)?;
        let encoder = TextEncoder::adapted(gpu, &tensors, 1, |tape| stack.record(tape))?;
        stack.upload(gpu);
        stack.set_strengths(gpu, &strengths);
        let shape = [1, encoder.tokens(), encoder.width()];
        let mut encode = |name: &str, ids: &[u32]| -> Result<Vec<f32>> {
            let states = encoder.encode(gpu, ids, 1)?;
            recorded.push(OwnedTensor::f32(name, &states, &shape));
            Ok(states)
        };
        Ok([encode("cond", &self.ids_cond)?, encode("uncond", &self.ids_uncond)?])
    }

    fn denoise(
        &self,
        gpu: &Gpu,
        checkpoint: &Checkpoint,
        loras: &LoraSet,
        [cond, uncond]: [&[f32]; 2],
        recorded: &mut Vec<OwnedTensor>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Latents> {
        let strengths = loras.all_at(self.lora_scale);
        let unet = uploaded_unet(gpu, &loras.materialized(Part::Unet, &checkpoint.unet, &strengths)?)?;
        let stack = loras.stack(Part::Unet);
        let tokens = self.ids_cond.len();
        let denoiser = Denoiser::compile(gpu, &unet, &stack, DenoiserShape { size: self.size, tokens, guided: true })?;
        stack.upload(gpu);
        stack.set_strengths(gpu, &strengths);
        denoiser.set_context(gpu, cond, uncond);
        let schedule = NoiseSchedule::stable_diffusion();
        let plan = SamplingPlan::new(Sampler::Ddim, &schedule, Prediction::Epsilon, self.steps, 1.0)?;
        let shape = [1, LATENT_CHANNELS, self.size.height, self.size.width];
        let (mut predictions, mut steps) = (Vec::new(), Vec::new());
        let mut values = self.init.clone();
        let mut callbacks = Callbacks {
            model: &mut |call: &ModelCall| {
                let (ours, recorded) = (call.timestep, self.timesteps[call.index]);
                ensure!(ours == recorded as f64, "step {}: timestep {ours}, recorded {recorded}", call.index);
                let predicted = denoiser.predict(gpu, call.input, call.timestep)?;
                let without = predicted.unconditional.as_deref().expect("a guided denoiser");
                for (name, values) in [("eps_uncond", without), ("eps_cond", &predicted.conditional)] {
                    predictions.push(OwnedTensor::f32(&format!("step{}/{name}", call.index), values, &shape));
                }
                Ok(predicted.guided(self.cfg_scale))
            },
            noise: &mut |_| unreachable!("DDIM draws no noise"),
            on_step: &mut |report: StepReport| {
                progress(report.index);
                steps.push(OwnedTensor::f32(&format!("step{}/latents", report.index), report.latents, &shape));
                Ok(())
            },
        };
        samplers::run(&plan, None, &mut values, &mut callbacks)?;
        recorded.extend(predictions.into_iter().chain(steps));
        recorded.push(OwnedTensor::f32("latents", &values, &shape));
        Ok(Latents { values, size: self.size })
    }

    fn decode(
        &self,
        gpu: &Gpu,
        checkpoint: &Checkpoint,
        latents: &Latents,
        recorded: &mut Vec<OwnedTensor>,
    ) -> Result<()> {
        let decoder = LatentDecoder::new(gpu, &checkpoint.vae, latents.size)?;
        let image = decoded(gpu, &decoder, latents)?;
        let pixels = latents.size.pixels(SD_V1.latent.cell);
        let image = nhwc_to_nchw(&image, 3, pixels.area());
        recorded.push(OwnedTensor::f32("image", &image, &[1, 3, pixels.height, pixels.width]));
        Ok(())
    }
}
