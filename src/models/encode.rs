//! The frozen encoders: captions to text embeddings, pictures to latents. Each lives only as long as it is needed.

use std::rc::Rc;

use anyhow::{Result, ensure};

use crate::{
    families::SD_V1,
    gpu::{Gpu, GpuError},
    nn::{Adapters, Builder, Built, Recording, padded},
    size::Size,
    tape::{Input, Plan, Program, Tape},
    weights::PartTensors,
};

use super::{ClipText, ClipTextConfig, Moments, VaeConfig, VaeDecoder, VaeEncoder};

/// log-variances are clamped to this range, as diffusers does.
const LOG_VARIANCE: (f32, f32) = (-30.0, 20.0);

/// CLIP's text encoder, compiled for a number of prompts at once.
pub struct TextEncoder<'a> {
    model: Rc<ClipText<'a>>,
    program: Program,
    embedded: Input,
    batch: usize,
}

impl<'a> TextEncoder<'a> {
    /// Builds, uploads and compiles the frozen encoder.
    ///
    /// # Errors
    /// Missing or misshapen tensors; a failure of the device.
    pub fn new(gpu: &Gpu, tensors: &'a PartTensors, batch: usize) -> Result<Self> {
        Self::adapted(gpu, tensors, batch, |_| Adapters::default())
    }

    /// As [`TextEncoder::new`], with what `record` puts onto the tape.
    ///
    /// # Errors
    /// As [`TextEncoder::new`].
    pub fn adapted(
        gpu: &Gpu,
        tensors: &'a PartTensors,
        batch: usize,
        record: impl FnOnce(&mut Tape) -> Adapters,
    ) -> Result<Self> {
        let builder = Builder::new(tensors);
        let model = ClipText::new(&builder, ClipTextConfig::of(tensors)?);
        builder.finish(SD_V1.name, "text encoder")?.upload(gpu, |_| {})?;
        Ok(Self::over(gpu, Rc::new(model), batch, record)?)
    }

    /// As [`TextEncoder::adapted`], over a model whose weights are on the device already.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn over(
        gpu: &Gpu,
        model: Rc<ClipText<'a>>,
        batch: usize,
        record: impl FnOnce(&mut Tape) -> Adapters,
    ) -> Result<Self, GpuError> {
        let mut tape = Tape::new();
        let embedded = tape.input("embedded", &[batch, model.config.positions, model.config.width]);
        let adapters = record(&mut tape);
        let outputs = model.forward(&mut Recording::adapted(&mut tape, &adapters), embedded.value);
        for (index, context) in outputs.contexts.into_iter().enumerate() {
            tape.keep(&context_name(index + 1), context);
        }
        tape.keep("first_layer", outputs.first_layer);
        let program = Program::compile(gpu, "text encoder", tape)?;
        Ok(Self { model, program, embedded, batch })
    }

    /// Tokens of one embedding.
    pub fn tokens(&self) -> usize {
        self.model.config.positions
    }

    /// Width of one token's embedding.
    pub fn width(&self) -> usize {
        self.model.config.width
    }

    /// Encodes `ids`, (B, tokens) flattened, for the batch the encoder was compiled for; gives the U-Net's context
    /// (B, tokens, width) at `clip_skip`, which counts from 1.
    ///
    /// # Errors
    /// A token outside of the vocabulary; more `clip_skip` than layers; a failure of the device.
    pub fn encode(&self, gpu: &Gpu, ids: &[u32], clip_skip: usize) -> Result<Vec<f32>> {
        assert_eq!(ids.len(), self.batch * self.tokens(), "prompts of a batch");
        let layers = self.model.config.layers;
        ensure!((1..=layers).contains(&clip_skip), "clip_skip {clip_skip}: this text encoder has {layers} layers");
        self.program.write(gpu, self.embedded, &self.embed(ids)?);
        self.program.replay(gpu);
        Ok(self.program.read(gpu, &context_name(clip_skip))?)
    }

    /// Token plus position embeddings of `ids`, (B, tokens, width).
    ///
    /// # Errors
    /// A token outside of the vocabulary.
    pub fn embed(&self, ids: &[u32]) -> Result<Vec<f32>> {
        self.model.embed(ids, self.tokens())
    }

    /// What the first layer gave for the last [`TextEncoder::encode`], (B, tokens, width).
    ///
    /// # Errors
    /// A failure of the device.
    pub fn first_layer(&self, gpu: &Gpu) -> Result<Vec<f32>> {
        Ok(self.program.read(gpu, "first_layer")?)
    }
}

fn context_name(clip_skip: usize) -> String {
    format!("context at clip_skip {clip_skip}")
}

/// Mean and log-variance of one picture's latents, (h, w, latent channels) each.
pub struct LatentMoments {
    pub mean: Vec<f32>,
    pub log_variance: Vec<f32>,
}

/// The VAE's encoder, compiled for one picture of one size.
pub struct LatentEncoder {
    program: Program,
    image: Input,
    latent_channels: usize,
}

impl LatentEncoder {
    /// Builds, uploads and compiles the encoder for pictures of `size`.
    ///
    /// # Errors
    /// Missing or misshapen tensors; a failure of the device.
    pub fn new(gpu: &Gpu, tensors: &PartTensors, size: Size) -> Result<Self> {
        let builder = Builder::new(tensors);
        let model = VaeEncoder::new(&builder, VaeConfig::of(tensors)?);
        builder.finish(SD_V1.name, "VAE")?.upload(gpu, |_| {})?;
        let mut tape = Tape::new();
        let image = tape.input("image", &[1, size.height, size.width, padded(model.config.image_channels)]);
        let Moments(moments) = model.forward(&mut tape, image.value);
        tape.keep("moments", moments);
        let program = Program::compile(gpu, "VAE encoder", tape)?;
        Ok(Self { program, image, latent_channels: model.config.latent_channels })
    }

    /// Encodes a picture: (H, W, 3) in [−1, 1].
    ///
    /// # Errors
    /// A failure of the device.
    pub fn encode(&self, gpu: &Gpu, image: &[f32]) -> Result<LatentMoments> {
        self.program.write(gpu, self.image, &with_fourth_channel(image));
        self.program.replay(gpu);
        let moments = self.program.read(gpu, "moments")?;
        let channels = self.latent_channels;
        let half = |offset: usize| {
            moments.chunks_exact(2 * channels).flat_map(move |pixel| pixel[offset..offset + channels].iter().copied())
        };
        let (low, high) = LOG_VARIANCE;
        Ok(LatentMoments {
            mean: half(0).collect(),
            log_variance: half(channels).map(|x| x.clamp(low, high)).collect(),
        })
    }
}

/// The VAE's decoder, built but neither uploaded nor compiled.
pub struct BuiltDecoder<'a> {
    model: VaeDecoder,
    built: Built<'a>,
}

impl<'a> BuiltDecoder<'a> {
    /// Builds the decoder.
    ///
    /// # Errors
    /// Missing or misshapen tensors.
    pub fn new(tensors: &'a PartTensors) -> Result<Self> {
        let builder = Builder::new(tensors);
        let model = VaeDecoder::new(&builder, VaeConfig::of(tensors)?);
        Ok(Self { model, built: builder.finish(SD_V1.name, "VAE")? })
    }

    /// Bytes of device memory that the weights take.
    pub fn bytes(&self) -> u64 {
        self.built.bytes()
    }

    /// Uploads the weights.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn upload(&self, gpu: &Gpu) -> Result<()> {
        self.built.upload(gpu, |_| {})
    }

    /// Plans the program for latents of `size`, its input.
    ///
    /// # Errors
    /// A value too large for the device.
    pub fn plan(&self, gpu: &Gpu, size: Size) -> Result<(Plan, Input), GpuError> {
        let mut tape = Tape::new();
        let latents = tape.input("latents", &[1, size.height, size.width, padded(self.model.config.latent_channels)]);
        let image = self.model.forward(&mut tape, latents.value);
        tape.keep("image", image);
        Ok((Plan::new("VAE decoder", tape, gpu.caps())?, latents))
    }
}

/// The VAE's decoder, compiled for one picture of one size.
pub struct LatentDecoder {
    program: Program,
    latents: Input,
}

impl LatentDecoder {
    /// Builds, uploads and compiles the decoder for latents of `size`.
    ///
    /// # Errors
    /// Missing or misshapen tensors; a failure of the device.
    pub fn new(gpu: &Gpu, tensors: &PartTensors, size: Size) -> Result<Self> {
        let decoder = BuiltDecoder::new(tensors)?;
        decoder.upload(gpu)?;
        let (plan, latents) = decoder.plan(gpu, size)?;
        Ok(Self::of(Program::build(gpu, vec![plan])?.remove(0), latents))
    }

    /// Takes the compiled [`BuiltDecoder::plan`].
    pub fn of(program: Program, latents: Input) -> Self {
        Self { program, latents }
    }

    /// Decodes latents (h, w, latent channels) that are already divided by the scaling factor; gives the picture (H, W, 3).
    ///
    /// # Errors
    /// A failure of the device.
    pub fn decode(&self, gpu: &Gpu, latents: &[f32]) -> Result<Vec<f32>> {
        self.program.write(gpu, self.latents, latents);
        self.program.replay(gpu);
        let image = self.program.read(gpu, "image")?;
        Ok(image.chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect())
    }
}

fn with_fourth_channel(rgb: &[f32]) -> Vec<f32> {
    rgb.chunks_exact(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 0.0]).collect()
}
