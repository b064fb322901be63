//! Pictures drawn while training: what the LoRA has learned, at several strengths, beside the base model's own.
//!
//! They share the step's memory slots, have random numbers of their own, and leave the LoRA's bits as they were.

use std::{path::PathBuf, rc::Rc};

use anyhow::{Context, Result, ensure};
use image::RgbImage;

use crate::{
    adapters::{AdapterSet, Scales},
    config::{self, PreviewPrompts, TrainConfig},
    data::tokenizer::ClipTokenizer,
    diffusion::{Rng, Sampler},
    families::SD_V1,
    gpu::{Gpu, GpuError},
    models::{
        UNet,
        encode::{BuiltDecoder, LatentDecoder, TextEncoder},
    },
    sample::{
        denoiser::{Denoiser, DenoiserInputs, DenoiserShape},
        draw::{Drawing, Settings, Start, picture, sample},
        grid::labelled_grid,
        loras::LoraSet,
        png,
        prompt::{editing::IS_PLAIN_TEXT, lora_tags::take_lora_tags},
        prompt_file::{PromptLine, parse_prompt, read_prompt_file},
        text::{Guide, encode_prompts, encode_prompts_with, guide_tokens},
    },
    size::Size,
    tape::{DType, Input, Plan, Program, Tape},
    train::{
        engine::StopRequest,
        events::{Tell, say},
        records::output::{create_folder, save_precision},
    },
    weights::{lora::FloatType, write_atomically},
};

use super::{
    assembly::Trained,
    material::{Material, Networks},
};

/// Strengths of the LoRA, in the order of a grid's columns.
const STRENGTHS: [f32; 4] = [0.0, 0.6, 0.8, 1.0];
/// What both sides of a picture are multiples of, in pixels.
const CELL: usize = SD_V1.latent.cell;
const STEPS: usize = 24;
const CFG_SCALE: f32 = 7.0;

/// The previews that a configuration asks for.
pub(super) struct PreviewSet {
    drawings: Vec<Drawing>,
    shapes: Vec<DenoiserShape>,
}

impl PreviewSet {
    /// `None` where none are asked for.
    ///
    /// # Errors
    /// A prompt file that cannot be read; a prompt or a size that cannot be drawn.
    pub fn new(config: &TrainConfig, tokenizer: &ClipTokenizer, tell: &mut Tell<'_>) -> Result<Option<Self>> {
        let prompts = prompts(config, tell)?;
        if prompts.is_empty() {
            return Ok(None);
        }
        let config::Previews { every_n_epochs, every_n_steps, at_first, .. } = config.previews;
        if every_n_epochs == 0 && every_n_steps == 0 && !at_first {
            say(
                tell,
                "warning: sample_prompts: nothing is drawn, as sample_every_n_epochs and sample_every_n_steps are 0",
            );
            return Ok(None);
        }
        let seeds = (0..).map(|index| config.seed.wrapping_add(index));
        let drawings = prompts.into_iter().zip(seeds).map(|(line, seed)| drawing(config, line, seed));
        let drawings: Vec<Drawing> = drawings.collect::<Result<_>>()?;
        let shape = |drawing: &Drawing| {
            drawing.steps()?;
            Ok(drawing.settings.shape(drawing.size.cells(CELL), guide_tokens(drawing, tokenizer)?))
        };
        let shapes = drawings.iter().map(shape).collect::<Result<_>>()?;
        Ok(Some(Self { drawings, shapes }))
    }

    /// Plans a denoiser for each distinct shape, with activations stored as the step's, then a decoder for each distinct
    /// size.
    ///
    /// # Errors
    /// A value too large for the device.
    pub fn plan(
        &self,
        gpu: &Gpu,
        unet: &UNet,
        adapters: &AdapterSet,
        decoder: &BuiltDecoder<'_>,
        activations: DType,
    ) -> Result<(Vec<Plan>, PlannedPreviews), GpuError> {
        let scales = adapters.scales.with_strength("preview scales");
        let record = |tape: &mut Tape| adapters.record(tape, &scales, &|_| None).adapters;
        let (mut plans, mut denoisers, mut decoders) = (Vec::new(), Vec::new(), Vec::new());
        for shape in self.distinct_shapes() {
            let (plan, inputs) = Denoiser::plan(gpu, unet, record, shape, activations)?;
            plans.push(plan);
            denoisers.push((shape, inputs));
        }
        for size in self.distinct_sizes() {
            let (plan, latents) = decoder.plan(gpu, size)?;
            plans.push(plan);
            decoders.push((size, latents));
        }
        Ok((plans, PlannedPreviews { scales, denoisers, decoders }))
    }

    fn distinct_shapes(&self) -> Vec<DenoiserShape> {
        distinct(self.shapes.iter().copied())
    }

    /// Of latents.
    fn distinct_sizes(&self) -> Vec<Size> {
        distinct(self.shapes.iter().map(|shape| shape.size))
    }
}

/// What belongs to the plans of previews: the adapters' strength, and what each program is for.
pub(super) struct PlannedPreviews {
    scales: Scales,
    denoisers: Vec<(DenoiserShape, DenoiserInputs)>,
    decoders: Vec<(Size, Input)>,
}

fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    values.fold(Vec::new(), |mut known, value| {
        if !known.contains(&value) {
            known.push(value);
        }
        known
    })
}

/// The prompt lines; says what is odd about them.
fn prompts(config: &TrainConfig, tell: &mut Tell<'_>) -> Result<Vec<PromptLine>> {
    let prompts = match &config.previews.prompts {
        PreviewPrompts::Lines(lines) => {
            let lines = lines.iter().map(|line| parse_prompt(line).context("sample_prompts"));
            lines.collect::<Result<_>>()?
        }
        PreviewPrompts::File(path) => {
            let (prompts, encoding) = read_prompt_file(path).context("sample_prompts")?;
            if let Some(encoding) = encoding {
                say(tell, &format!("note: sample_prompts: {} is read as {encoding}", path.display()));
            }
            prompts
        }
    };
    if let Some(part) = prompts.iter().find_map(PromptLine::editing) {
        say(tell, &format!("warning: sample_prompts: {part:?} {IS_PLAIN_TEXT}"));
    }
    Ok(prompts)
}

/// What a prompt line asks for; the rest is the configuration's.
fn drawing(config: &TrainConfig, line: PromptLine, seed: u64) -> Result<Drawing> {
    let (prompt, tags) = take_lora_tags(&line.prompt).context("sample_prompts")?;
    ensure!(
        tags.is_empty(),
        "sample_prompts: {:?} names a LoRA, but previews draw with the one in training; leave <lora:…> out",
        line.prompt
    );
    let sampler = Sampler::from_name(config.previews.sampler).expect("the configuration knows the samplers");
    let side = |wanted: Option<u32>, own: usize| {
        let pixels = wanted.map_or(own, |pixels| pixels as usize);
        ensure!(pixels > 0 && pixels.is_multiple_of(CELL), "sample_prompts: {pixels} is no multiple of {CELL}");
        Ok(pixels)
    };
    Ok(Drawing {
        prompt,
        negative_prompt: line.negative.unwrap_or_default(),
        loras: Vec::new(),
        seed: line.seed.unwrap_or(seed),
        toward: None,
        size: Size::new(side(line.width, config.resolution.width)?, side(line.height, config.resolution.height)?),
        settings: Settings {
            prediction: config.prediction_type,
            sampler,
            steps: line.steps.map_or(STEPS, |steps| steps as usize),
            cfg_scale: line.cfg_scale.unwrap_or(CFG_SCALE),
            clip_skip: config.clip_skip as usize,
            rng: Rng::Gpu,
            init_image: None,
            hires: None,
        },
    })
}

impl PlannedPreviews {
    /// Encodes the prompts of `set`, where the text encoder is frozen and on the device only meanwhile; else compiles it as
    /// it is trained.
    ///
    /// # Errors
    /// Missing tensors; a failure of the device.
    pub fn guides<'a>(
        &self,
        gpu: &Gpu,
        (set, adapters): (&PreviewSet, &AdapterSet),
        networks: &Networks<'a>,
        material: &'a Material,
    ) -> Result<Guides<'a>> {
        let Some(model) = &networks.text else {
            let (checkpoint, tokenizer) = (&material.checkpoint, &material.tokenizer);
            return Ok(Guides::Fixed(encode_prompts(gpu, checkpoint, tokenizer, &LoraSet::default(), &set.drawings)?));
        };
        let record = |tape: &mut Tape| adapters.record(tape, &self.scales, &|_| None).adapters;
        let encoder = Box::new(TextEncoder::over(gpu, Rc::clone(model), 1, record)?);
        Ok(Guides::Trained(encoder, &material.tokenizer))
    }
}

/// A grid of previews.
pub(super) struct PreviewGrid {
    pub path: PathBuf,
    pub png: Vec<u8>,
    pub size: Size,
    /// What the user should know of the labels, the first time.
    pub note: Option<String>,
}

/// Where the text embeddings of previews come from.
pub(super) enum Guides<'a> {
    /// Encoded once, by a frozen text encoder.
    Fixed(Vec<Guide>),
    /// Encoded anew each time, by the text encoder in training.
    Trained(Box<TextEncoder<'a>>, &'a ClipTokenizer),
}

/// Draws previews of a LoRA in training.
pub(super) struct Previews<'a> {
    set: PreviewSet,
    scales: Scales,
    guides: Guides<'a>,
    denoisers: Vec<Denoiser>,
    decoders: Vec<(Size, LatentDecoder)>,
    /// The base model's pictures, which stay the same.
    without: Vec<RgbImage>,
    /// As which the LoRA is saved.
    precision: FloatType,
    folder: PathBuf,
    name: String,
}

impl<'a> Previews<'a> {
    /// Takes the compiled [`PreviewSet::plan`].
    pub fn new(
        (set, planned): (PreviewSet, PlannedPreviews),
        guides: Guides<'a>,
        programs: Vec<Program>,
        unet: &UNet,
        config: &TrainConfig,
    ) -> Self {
        let mut programs = programs.into_iter();
        let mut next = || programs.next().expect("a program for each plan");
        let denoisers = planned.denoisers.into_iter().map(|(shape, inputs)| Denoiser::of(next(), inputs, unet, shape));
        let denoisers = denoisers.collect();
        let decoders = planned.decoders.into_iter().map(|(size, latents)| (size, LatentDecoder::of(next(), latents)));
        let decoders = decoders.collect();
        Self {
            set,
            scales: planned.scales,
            guides,
            denoisers,
            decoders,
            without: Vec::new(),
            precision: save_precision(config),
            folder: config.output_dir.join("samples"),
            name: config.output_name.clone(),
        }
    }

    /// Draws every prompt at every strength, as the LoRA would be if it were saved now, and writes the grid as
    /// `samples/<output_name>-<moment>.png`.
    ///
    /// # Errors
    /// Trouble with the disk; a failure of the device; a request to stop.
    pub fn draw(&mut self, gpu: &Gpu, trained: &Trained, moment: &str, stop: &StopRequest) -> Result<PreviewGrid> {
        let first = self.without.is_empty();
        let values = trained.evaluated(gpu)?;
        let precision = self.precision;
        let rows = trained.adapters.as_saved(gpu, &values, precision, || self.rows(gpu, stop))?;
        let columns = STRENGTHS.map(|strength| match strength {
            0.0 => "without".to_owned(),
            strength => format!("strength {strength}"),
        });
        let prompts: Vec<String> = self.set.drawings.iter().map(|drawing| drawing.prompt.trim().to_owned()).collect();
        let (grid, note) = labelled_grid(&rows, &columns, &prompts);
        let png = png::encode(&grid, &prompts.join("\n"))?;
        let path = self.folder.join(format!("{}-{moment}.png", self.name));
        create_folder(&self.folder)?;
        write_atomically(&path, |out| out.write_all(&png))?;
        Ok(PreviewGrid { path, png, size: grid.dimensions().into(), note: note.filter(|_| first) })
    }

    /// The pictures, prompt by prompt.
    fn rows(&mut self, gpu: &Gpu, stop: &StopRequest) -> Result<Vec<Vec<RgbImage>>> {
        if self.without.is_empty() {
            self.without = self.pictures(gpu, 0.0, stop)?;
        }
        let mut rows: Vec<Vec<RgbImage>> = self.without.iter().map(|picture| vec![picture.clone()]).collect();
        for &strength in &STRENGTHS[1..] {
            for (row, picture) in rows.iter_mut().zip(self.pictures(gpu, strength, stop)?) {
                row.push(picture);
            }
        }
        Ok(rows)
    }

    /// Every prompt at one strength.
    fn pictures(&self, gpu: &Gpu, strength: f32, stop: &StopRequest) -> Result<Vec<RgbImage>> {
        self.scales.set_strength(gpu, strength);
        let guides = match &self.guides {
            Guides::Fixed(guides) => guides,
            Guides::Trained(encoder, tokenizer) => &encode_prompts_with(gpu, encoder, tokenizer, &self.set.drawings)?,
        };
        let draw = |((drawing, shape), guide): ((&Drawing, &DenoiserShape), &Guide)| {
            let denoiser = self.denoisers.iter().find(|denoiser| denoiser.shape == *shape).expect("one for each shape");
            denoiser.set_context(gpu, &guide.prompt, &guide.negative);
            let on_step = &mut || {
                ensure!(!stop.is_requested(), "the run is to stop");
                Ok(())
            };
            let latents = sample(gpu, denoiser, drawing, Start::NOISE, on_step)?;
            let (_, decoder) = self.decoders.iter().find(|(size, _)| *size == shape.size).expect("one for each size");
            picture(gpu, decoder, &latents)
        };
        self.set.drawings.iter().zip(&self.set.shapes).zip(guides).map(draw).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PREVIEW_SAMPLERS;

    #[test]
    fn every_sampler_of_the_configuration_can_draw() {
        for (word, name) in PREVIEW_SAMPLERS {
            assert!(Sampler::from_name(name).is_some(), "{word}");
        }
    }
}
