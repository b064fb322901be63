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
        let mut drawing = CaseDrawing { case: self, gpu, checkpoint, loras, recorded: Vec::new() };
        let [cond, uncond] = drawing.encode()?;
        let latents = drawing.denoise([&cond, &uncond], &mut progress)?;
        drawing.decode(&latents)?;
        Ok(drawing.recorded)
    }
}

/// A case that is being drawn.
struct CaseDrawing<'a> {
    case: &'a SamplingCase,
    gpu: &'a Gpu,
    checkpoint: &'a Checkpoint,
    loras: &'a LoraSet,
    /// What the format names, so far.
    recorded: Vec<OwnedTensor>,
}

impl CaseDrawing<'_> {
    /// Text embeddings of prompt and negative prompt.
    fn encode(&mut self) -> Result<[Vec<f32>; 2]> {
        let Self { case, gpu, .. } = *self;
        let stack = self.loras.stack(Part::TextEncoder);
        let strengths = self.loras.all_at(case.lora_scale);
        let tensors = self.loras.materialized(Part::TextEncoder, &self.checkpoint.text_encoder, &strengths)?;
        let encoder = TextEncoder::adapted(gpu, &tensors, 1, |tape| stack.record(tape))?;
        stack.upload(gpu);
        stack.set_strengths(gpu, &strengths);
        let shape = [1, encoder.tokens(), encoder.width()];
        let mut encode = |name: &str, ids: &[u32]| -> Result<Vec<f32>> {
            let states = encoder.encode(gpu, ids, 1)?;
            self.recorded.push(OwnedTensor::f32(name, &states, &shape));
            Ok(states)
        };
        Ok([encode("cond", &case.ids_cond)?, encode("uncond", &case.ids_uncond)?])
    }

    /// The U-Net under the LoRAs, compiled for the case.
    fn denoiser(&self) -> Result<Denoiser> {
        let Self { case, gpu, .. } = *self;
        let strengths = self.loras.all_at(case.lora_scale);
        let unet = uploaded_unet(gpu, &self.loras.materialized(Part::Unet, &self.checkpoint.unet, &strengths)?)?;
        let stack = self.loras.stack(Part::Unet);
        let tokens = case.ids_cond.len();
        let denoiser = Denoiser::compile(gpu, &unet, &stack, DenoiserShape { size: case.size, tokens, guided: true })?;
        stack.upload(gpu);
        stack.set_strengths(gpu, &strengths);
        Ok(denoiser)
    }

    fn denoise(&mut self, [cond, uncond]: [&[f32]; 2], progress: &mut dyn FnMut(usize)) -> Result<Latents> {
        let Self { case, gpu, .. } = *self;
        let denoiser = self.denoiser()?;
        denoiser.set_context(gpu, cond, uncond);
        let schedule = NoiseSchedule::stable_diffusion();
        let plan = SamplingPlan::new(Sampler::Ddim, &schedule, Prediction::Epsilon, case.steps, 1.0)?;
        let shape = [1, LATENT_CHANNELS, case.size.height, case.size.width];
        let (mut predictions, mut steps) = (Vec::new(), Vec::new());
        let mut values = case.init.clone();
        let mut callbacks = Callbacks {
            model: &mut |call: &ModelCall| {
                let (ours, recorded) = (call.timestep, case.timesteps[call.index]);
                ensure!(ours == recorded as f64, "step {}: timestep {ours}, recorded {recorded}", call.index);
                let predicted = denoiser.predict(gpu, call.input, call.timestep)?;
                let without = predicted.unconditional.as_deref().expect("a guided denoiser");
                for (name, values) in [("eps_uncond", without), ("eps_cond", &predicted.conditional)] {
                    predictions.push(OwnedTensor::f32(&format!("step{}/{name}", call.index), values, &shape));
                }
                Ok(predicted.guided(case.cfg_scale))
            },
            noise: &mut |_| unreachable!("DDIM draws no noise"),
            on_step: &mut |report: StepReport| {
                progress(report.index);
                steps.push(OwnedTensor::f32(&format!("step{}/latents", report.index), report.latents, &shape));
                Ok(())
            },
        };
        samplers::run(&plan, None, &mut values, &mut callbacks)?;
        self.recorded.extend(predictions.into_iter().chain(steps));
        self.recorded.push(OwnedTensor::f32("latents", &values, &shape));
        Ok(Latents { values, size: case.size })
    }

    fn decode(&mut self, latents: &Latents) -> Result<()> {
        let decoder = LatentDecoder::new(self.gpu, &self.checkpoint.vae, latents.size)?;
        let image = decoded(self.gpu, &decoder, latents)?;
        let pixels = latents.size.pixels(SD_V1.latent.cell);
        let image = nhwc_to_nchw(&image, 3, pixels.area());
        self.recorded.push(OwnedTensor::f32("image", &image, &[1, 3, pixels.height, pixels.width]));
        Ok(())
    }
}
