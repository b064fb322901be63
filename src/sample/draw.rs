//! From prompts to pictures, in phases: each network is on the device only while it is used.

use std::{
    collections::{HashMap, hash_map::Entry},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use image::RgbImage;

use crate::{
    data::{
        image::{load_at_size, to_model_input},
        tokenizer::ClipTokenizer,
    },
    diffusion::{
        NoiseSource, Rng,
        samplers::{self, Callbacks, ModelCall},
    },
    families::{LatentSpace, SD_V1},
    gpu::Gpu,
    models::{
        UNet, UNetConfig,
        encode::{LatentDecoder, LatentEncoder},
    },
    nn::{Builder, nchw_to_nhwc, nhwc_to_nchw},
    size::Size,
    weights::{Checkpoint, PartTensors, lora::Part},
};

use super::{
    animation::slerp,
    denoiser::{Denoiser, DenoiserShape},
    drawing::Pass,
    latents::Latents,
    lora_stack::LoraStack,
    loras::LoraSet,
    text::{Guide, encode_prompts},
};

pub use super::drawing::{Drawing, Redraw, Settings, Toward};

const LATENT: LatentSpace = SD_V1.latent;

/// A picture, and what its infotext says of its making.
pub struct Drawn {
    pub picture: RgbImage,
    /// Whether prompt or negative prompt got empty chunks to be as long as the other.
    pub padded: bool,
}

/// Draws with `loras`, which hold every LoRA that the drawings name. `on_step` hears of every step of every picture, and may
/// end it all.
///
/// # Errors
/// A picture that is none; a sampler that cannot run so many steps; missing tensors; a failure of the device.
pub fn draw(
    gpu: &Gpu,
    checkpoint: &Checkpoint,
    drawings: &[Drawing],
    loras: &LoraSet,
    on_step: &mut dyn FnMut() -> Result<()>,
) -> Result<Vec<Drawn>> {
    let guides = encode_prompts(gpu, checkpoint, &ClipTokenizer::new()?, loras, drawings)?;
    let starts = encode_starts(gpu, checkpoint, drawings)?;
    let latents = denoise(LoadedUNet::new(gpu, checkpoint, loras), drawings, &guides, starts, on_step)?;
    let pictures = decode(gpu, checkpoint, &latents)?;
    Ok(pictures.into_iter().zip(guides).map(|(picture, guide)| Drawn { picture, padded: guide.padded }).collect())
}

/// Latents of the pictures that drawings start from, each encoded once.
fn encode_starts(gpu: &Gpu, checkpoint: &Checkpoint, drawings: &[Drawing]) -> Result<Vec<Option<Latents>>> {
    let mut encoded: HashMap<(&Path, Size), Latents> = HashMap::new();
    let mut starts = Vec::with_capacity(drawings.len());
    for Drawing { size, settings, .. } in drawings {
        let Some(init) = &settings.init_image else {
            starts.push(None);
            continue;
        };
        let latents = match encoded.entry((&init.from, *size)) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => place.insert(encode_picture(gpu, checkpoint, &init.from, *size)?).clone(),
        };
        starts.push(Some(latents));
    }
    Ok(starts)
}

/// Scaled latents of a picture, resized and cropped to `size`.
fn encode_picture(gpu: &Gpu, checkpoint: &Checkpoint, path: &Path, size: Size) -> Result<Latents> {
    let picture = load_at_size(path, size)?;
    let encoder = LatentEncoder::new(gpu, &checkpoint.vae, size)?;
    let mean = encoder.encode(gpu, &to_model_input(&picture))?.mean;
    let size = size.cells(LATENT.cell);
    let scaled: Vec<f32> = mean.iter().map(|value| value * LATENT.scale).collect();
    Ok(Latents { values: nhwc_to_nchw(&scaled, LATENT.channels, size.area()), size })
}

/// The finished latents of every drawing.
fn denoise(
    mut unet: LoadedUNet,
    drawings: &[Drawing],
    guides: &[Guide],
    starts: Vec<Option<Latents>>,
    on_step: &mut dyn FnMut() -> Result<()>,
) -> Result<Vec<Latents>> {
    let all = drawings.iter().zip(guides).zip(starts);
    all.map(|((drawing, guide), start)| unet.denoise(drawing, guide, start, on_step)).collect()
}

/// The U-Net, and its program for the latest size.
struct LoadedUNet<'a> {
    gpu: &'a Gpu,
    tensors: &'a PartTensors,
    loras: &'a LoraSet,
    lora: LoraStack,
    /// With the strengths that are worked into its weights.
    unet: Option<(Vec<f32>, UNet)>,
    denoiser: Option<Denoiser>,
}

impl<'a> LoadedUNet<'a> {
    fn new(gpu: &'a Gpu, checkpoint: &'a Checkpoint, loras: &'a LoraSet) -> Self {
        let lora = loras.stack(Part::Unet);
        lora.upload(gpu);
        Self { gpu, tensors: &checkpoint.unet, loras, lora, unet: None, denoiser: None }
    }

    /// Sets the strength of each LoRA; what is no plain LoRA needs the U-Net built anew.
    fn set_strengths(&mut self, strengths: Vec<f32>) -> Result<()> {
        self.lora.set_strengths(self.gpu, &strengths);
        let changes = self.loras.changes_weights(Part::Unet);
        if self.unet.as_ref().is_some_and(|(known, _)| !changes || *known == strengths) {
            return Ok(());
        }
        (self.denoiser, self.unet) = (None, None);
        let unet = uploaded_unet(self.gpu, &self.loras.materialized(Part::Unet, self.tensors, &strengths)?)?;
        self.unet = Some((strengths, unet));
        Ok(())
    }

    /// The finished latents of a drawing, pass after pass, from noise or from `start`.
    fn denoise(
        &mut self,
        drawing: &Drawing,
        guide: &Guide,
        start: Option<Latents>,
        on_step: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Latents> {
        self.set_strengths(self.loras.strengths(Part::Unet, &drawing.loras))?;
        let gpu = self.gpu;
        let mut latents = start;
        for Pass { size, strength } in drawing.passes() {
            let denoiser = self.denoiser(drawing.settings.shape(size, guide.tokens))?;
            denoiser.set_context(gpu, &guide.prompt, &guide.negative);
            let resized = latents.map(|latents| latents.resized(size));
            latents = Some(sample(gpu, denoiser, drawing, Start { latents: resized.as_ref(), strength }, on_step)?);
        }
        Ok(latents.expect("a drawing has at least one pass"))
    }

    /// The program for `shape`; the one before goes first, and its memory with it.
    fn denoiser(&mut self, shape: DenoiserShape) -> Result<&Denoiser> {
        if self.denoiser.as_ref().is_none_or(|denoiser| denoiser.shape != shape) {
            drop(self.denoiser.take());
            let (_, unet) = self.unet.as_ref().expect("strengths are set before a pass");
            self.denoiser = Some(Denoiser::compile(self.gpu, unet, &self.lora, shape)?);
        }
        Ok(self.denoiser.as_ref().expect("compiled above"))
    }
}

/// The U-Net of `tensors`, on the device.
pub(super) fn uploaded_unet(gpu: &Gpu, tensors: &PartTensors) -> Result<UNet> {
    let builder = Builder::new(tensors);
    let unet = UNet::new(&builder, UNetConfig::of(tensors)?);
    builder.finish(SD_V1.name, "U-Net")?.upload(gpu, |_| {})?;
    Ok(unet)
}

/// What a pass begins with.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// Latents of the pass' size; unused at strength 1.
    pub latents: Option<&'a Latents>,
    /// Share of the steps that is drawn anew, up to 1.
    pub strength: f64,
}

impl Start<'_> {
    /// Nothing but noise.
    pub const NOISE: Self = Self { latents: None, strength: 1.0 };
}

/// Draws the latents of one picture; `denoiser` has its context, and its size.
///
/// # Errors
/// What `on_step` says; a number of steps that the sampler cannot run; a failure of the device.
pub fn sample(
    gpu: &Gpu,
    denoiser: &Denoiser,
    drawing: &Drawing,
    start: Start,
    on_step: &mut dyn FnMut() -> Result<()>,
) -> Result<Latents> {
    let size = denoiser.shape.size;
    let Settings { cfg_scale, rng, .. } = drawing.settings;
    let mut noise = Noise::new(rng, drawing);
    let mut values = vec![0.0; LATENT.channels * size.area()];
    noise.next(&mut values);
    let mut callbacks = Callbacks {
        model: &mut |call: &ModelCall| anyhow::Ok(denoiser.predict(gpu, call.input, call.timestep)?.guided(cfg_scale)),
        noise: &mut |out: &mut [f32]| noise.next(out),
        on_step: &mut |_| on_step(),
    };
    let plan = drawing.settings.plan(start.strength)?;
    samplers::run(&plan, start.latents.map(|latents| &latents.values[..]), &mut values, &mut callbacks)?;
    Ok(Latents { values, size })
}

/// A drawing's noise: its seed's, or between its seed's and another's.
struct Noise {
    source: NoiseSource,
    toward: Option<(NoiseSource, f64)>,
}

impl Noise {
    fn new(rng: Rng, drawing: &Drawing) -> Self {
        let toward = drawing.toward.as_ref().filter(|toward| toward.seed != drawing.seed);
        Self {
            source: NoiseSource::new(rng, drawing.seed),
            toward: toward.map(|toward| (NoiseSource::new(rng, toward.seed), toward.share)),
        }
    }

    fn next(&mut self, out: &mut [f32]) {
        self.source.next(out);
        if let Some((source, share)) = &mut self.toward {
            let mut other = vec![0.0; out.len()];
            source.next(&mut other);
            out.copy_from_slice(&slerp(out, &other, *share));
        }
    }
}

/// The pictures of finished latents.
fn decode(gpu: &Gpu, checkpoint: &Checkpoint, all: &[Latents]) -> Result<Vec<RgbImage>> {
    let mut decoder: Option<(Size, LatentDecoder)> = None;
    let mut pictures = Vec::with_capacity(all.len());
    for (index, latents) in all.iter().enumerate() {
        if decoder.as_ref().is_none_or(|(known, _)| *known != latents.size) {
            drop(decoder.take());
            decoder = Some((latents.size, LatentDecoder::new(gpu, &checkpoint.vae, latents.size)?));
        }
        let (_, decoder) = decoder.as_ref().expect("compiled above");
        pictures.push(picture(gpu, decoder, latents).with_context(|| format!("picture {}", index + 1))?);
    }
    Ok(pictures)
}

/// The picture of finished latents; `decoder` has their size.
///
/// # Errors
/// Values that are not finite; a failure of the device.
pub fn picture(gpu: &Gpu, decoder: &LatentDecoder, latents: &Latents) -> Result<RgbImage> {
    rgb(&decoded(gpu, decoder, latents)?, latents.size.pixels(LATENT.cell))
}

/// What the VAE makes of finished latents, (H, W, 3).
pub(super) fn decoded(gpu: &Gpu, decoder: &LatentDecoder, latents: &Latents) -> Result<Vec<f32>> {
    let unscaled: Vec<f32> = latents.values.iter().map(|value| value / LATENT.scale).collect();
    decoder.decode(gpu, &nchw_to_nhwc(&unscaled, LATENT.channels, latents.size.area()))
}

/// (H, W, 3) in [−1, 1] as 8-bit RGB.
fn rgb(pixels: &[f32], size: Size) -> Result<RgbImage> {
    ensure!(
        pixels.iter().all(|value| value.is_finite()),
        "the VAE gives values that are not finite; lower the strengths of the LoRAs, or take another checkpoint or VAE"
    );
    let bytes = pixels.iter().map(|value| ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round() as u8).collect();
    Ok(RgbImage::from_raw(size.width as u32, size.height as u32, bytes).expect("three bytes for each pixel"))
}
