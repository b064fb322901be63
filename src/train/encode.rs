//! The frozen encoders: captions to text embeddings, pictures to latents. Each lives only as long as it is needed.

use anyhow::Result;

use crate::{
    gpu::Gpu,
    models::{ClipText, ClipTextConfig, Moments, VaeConfig, VaeDecoder, VaeEncoder},
    nn::{Builder, padded, upload},
    tape::{Program, Tape},
    weights::PartTensors,
};

/// log-variances are clamped to this range, as diffusers does.
const LOG_VARIANCE: (f32, f32) = (-30.0, 20.0);

/// CLIP's text encoder, compiled for a number of prompts at once.
pub struct TextEncoder<'a> {
    model: ClipText<'a>,
    program: Program,
    batch: usize,
}

/// Text embeddings of a batch, each (B, tokens, width).
pub struct TextStates {
    pub last: Vec<f32>,
    pub skip2: Vec<f32>,
    pub first_layer: Vec<f32>,
    pub embedded: Vec<f32>,
}

impl<'a> TextEncoder<'a> {
    /// Builds, uploads and compiles the encoder.
    ///
    /// # Errors
    /// Missing or misshapen tensors; a failure of the device.
    pub fn new(gpu: &Gpu, tensors: &'a PartTensors, batch: usize) -> Result<Self> {
        let builder = Builder::new(tensors);
        let model = ClipText::new(&builder, ClipTextConfig::of(tensors)?);
        upload(gpu, &builder.finish("text encoder")?.uploads, |_| {})?;
        let mut tape = Tape::new();
        let embedded = tape.input("embedded", &[batch, model.config.positions, model.config.width]);
        let outputs = model.forward(&mut tape, embedded);
        tape.keep("last", outputs.last);
        tape.keep("skip2", outputs.skip2);
        tape.keep("first_layer", outputs.first_layer);
        let program = Program::compile(gpu, "text encoder", tape)?;
        Ok(Self { model, program, batch })
    }

    /// Tokens of one embedding.
    pub fn tokens(&self) -> usize {
        self.model.config.positions
    }

    /// Width of one token's embedding.
    pub fn width(&self) -> usize {
        self.model.config.width
    }

    /// Encodes `ids`, (B, tokens) flattened, for the batch the encoder was compiled for.
    ///
    /// # Errors
    /// A token outside of the vocabulary; a failure of the device.
    pub fn encode(&self, gpu: &Gpu, ids: &[u32]) -> Result<TextStates> {
        assert_eq!(ids.len(), self.batch * self.tokens(), "prompts of a batch");
        let embedded = self.model.embed(ids)?;
        self.program.write(gpu, "embedded", &embedded);
        self.program.replay(gpu);
        Ok(TextStates {
            last: self.program.read(gpu, "last")?,
            skip2: self.program.read(gpu, "skip2")?,
            first_layer: self.program.read(gpu, "first_layer")?,
            embedded,
        })
    }
}

/// Mean and log-variance of one picture's latents, (h, w, 4) each.
pub struct LatentMoments {
    pub mean: Vec<f32>,
    pub log_variance: Vec<f32>,
}

/// The VAE's encoder, compiled for one picture of one size.
pub struct LatentEncoder {
    program: Program,
    latent_channels: usize,
}

impl LatentEncoder {
    /// Builds, uploads and compiles the encoder for pictures of `width` by `height` pixels.
    ///
    /// # Errors
    /// Missing or misshapen tensors; a failure of the device.
    pub fn new(gpu: &Gpu, tensors: &PartTensors, width: usize, height: usize) -> Result<Self> {
        let builder = Builder::new(tensors);
        let model = VaeEncoder::new(&builder, VaeConfig::of(tensors)?);
        upload(gpu, &builder.finish("VAE")?.uploads, |_| {})?;
        let mut tape = Tape::new();
        let image = tape.input("image", &[1, height, width, padded(model.config.image_channels)]);
        let Moments(moments) = model.forward(&mut tape, image);
        tape.keep("moments", moments);
        let program = Program::compile(gpu, "VAE encoder", tape)?;
        Ok(Self { program, latent_channels: model.config.latent_channels })
    }

    /// Encodes a picture: (H, W, 3) in [−1, 1].
    ///
    /// # Errors
    /// A failure of the device.
    pub fn encode(&self, gpu: &Gpu, image: &[f32]) -> Result<LatentMoments> {
        self.program.write(gpu, "image", &with_fourth_channel(image));
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

/// The VAE's decoder, compiled for one picture of one size.
pub struct LatentDecoder {
    program: Program,
}

impl LatentDecoder {
    /// Builds, uploads and compiles the decoder for latents of `width` by `height`.
    ///
    /// # Errors
    /// Missing or misshapen tensors; a failure of the device.
    pub fn new(gpu: &Gpu, tensors: &PartTensors, width: usize, height: usize) -> Result<Self> {
        let builder = Builder::new(tensors);
        let model = VaeDecoder::new(&builder, VaeConfig::of(tensors)?);
        upload(gpu, &builder.finish("VAE")?.uploads, |_| {})?;
        let mut tape = Tape::new();
        let latents = tape.input("latents", &[1, height, width, padded(model.config.latent_channels)]);
        let image = model.forward(&mut tape, latents);
        tape.keep("image", image);
        Ok(Self { program: Program::compile(gpu, "VAE decoder", tape)? })
    }

    /// Decodes latents (h, w, 4) that are already divided by the scaling factor; gives (8h, 8w, 3).
    ///
    /// # Errors
    /// A failure of the device.
    pub fn decode(&self, gpu: &Gpu, latents: &[f32]) -> Result<Vec<f32>> {
        self.program.write(gpu, "latents", latents);
        self.program.replay(gpu);
        let image = self.program.read(gpu, "image")?;
        Ok(image.chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect())
    }
}

fn with_fourth_channel(rgb: &[f32]) -> Vec<f32> {
    rgb.chunks_exact(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 0.0]).collect()
}
