//! What the arguments of `lora-wgpu sample` ask for.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};

use crate::{
    config::nearest,
    diffusion::{Rng, Sampler},
    families::{Prediction, SD_V1},
    sample::{
        animation::{Change, eased},
        axes::{Cells, Variation},
        draw::{Drawing, Drawn, Redraw, Settings, Toward},
        infotext::{self, Infotext},
        loras::LoraSet,
        prompt::lora_tags::take_lora_tags,
    },
    size::Size,
    weights::Checkpoint,
};

use super::args::SampleArgs;

/// Sides of pictures where the user does not say: what the base model and the demo were trained at.
const SIDE: u32 = SD_V1.side as u32;
const DEMO_SIDE: u32 = 192;
/// What a side is a multiple of, in pixels.
const CELL: u32 = SD_V1.latent.cell as u32;
const LEAST_SIDE: u32 = 64;
const MOST_SIDE: u32 = 4096;
/// Digits of a checkpoint's hash in infotext.
const MODEL_HASH_DIGITS: usize = 10;

/// What the arguments ask for, checked.
pub(super) struct Request<'a> {
    args: &'a SampleArgs,
    settings: Settings,
    seed: u64,
    /// What the user should know.
    pub notes: Vec<String>,
    size: Size,
    model: String,
    checkpoint: &'a Checkpoint,
}

impl<'a> Request<'a> {
    /// # Errors
    /// An argument that no picture can be drawn with.
    pub fn new(args: &'a SampleArgs, checkpoint: &'a Checkpoint) -> Result<Self> {
        let (default, name) = match checkpoint.is_demo() {
            true => (DEMO_SIDE, "demo".to_owned()),
            false => (SIDE, model_name(&args.base_model)),
        };
        let side = |flag, pixels: Option<u32>| side(flag, pixels.unwrap_or(default));
        let size = Size::new(side("--width", args.width)?, side("--height", args.height)?);
        let mut notes = Vec::new();
        let seed = match args.seed {
            Some(seed) => seed,
            None => {
                let seed = u64::from(SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos());
                notes.push(format!("seed {seed}"));
                seed
            }
        };
        if args.negative_prompt.contains("<lora:") {
            notes.push("warning: <lora:…> counts in the prompt only; in --negative-prompt it is plain text".to_owned());
        }
        let settings = settings(args, checkpoint)?;
        Ok(Self { args, settings, seed, notes, size, model: name, checkpoint })
    }

    /// The pictures to draw: a grid's cells, an animation's frames, or a batch.
    ///
    /// # Errors
    /// A prompt that cannot be read, and what a grid or an animation cannot vary.
    pub fn drawings(&self, cells: Option<&Cells>) -> Result<Vec<Drawing>> {
        if let Some(change) = &self.args.animate {
            return self.frames(change);
        }
        let Some(cells) = cells else {
            return (0..self.args.batch).map(|index| self.drawing(&Variation::default(), index.into())).collect();
        };
        cells.variations.iter().map(|variation| self.drawing(variation, 0)).collect()
    }

    /// One picture; `index` counts those of the same prompt.
    fn drawing(&self, variation: &Variation, index: u64) -> Result<Drawing> {
        let (prompt, tags) = take_lora_tags(variation.prompt.as_ref().unwrap_or(&self.args.prompt))?;
        Ok(Drawing {
            prompt,
            negative_prompt: self.args.negative_prompt.clone(),
            loras: variation.vary(tags)?,
            toward: None,
            seed: variation.seed.unwrap_or(self.seed).wrapping_add(index),
            size: self.size,
            settings: self.settings.clone(),
        })
    }

    /// The frames of an animation.
    fn frames(&self, change: &Change) -> Result<Vec<Drawing>> {
        let first = self.drawing(&Variation::default(), 0)?;
        if let Change::Prompt(prompt) = change {
            let (_, tags) = take_lora_tags(prompt)?;
            ensure!(tags.is_empty(), "--animate prompt=…: name LoRAs in --prompt; they stay the same on the way");
        }
        let toward = |prompt: &str, seed, share| Some(Toward { prompt: prompt.to_owned(), seed, share });
        let frame = |share: f64| {
            Ok(match change {
                Change::Strength(from, to) => {
                    let strength = Some((f64::from(*from) * (1.0 - share) + f64::from(*to) * share) as f32);
                    self.drawing(&Variation { strength, ..Variation::default() }, 0)?
                }
                Change::Seed(seed) => Drawing { toward: toward(&first.prompt, *seed, share), ..first.clone() },
                Change::Prompt(prompt) => Drawing { toward: toward(prompt, first.seed, share), ..first.clone() },
            })
        };
        eased(self.args.frames.into()).map(frame).collect()
    }

    /// What a picture's file says of its making; nothing for one between two prompts or seeds, which has no words there.
    pub fn infotext(&self, drawing: &Drawing, drawn: &Drawn, loras: &LoraSet) -> String {
        if drawing.toward.is_some() {
            return String::new();
        }
        let Settings { sampler, steps, cfg_scale, clip_skip, rng, init_image, hires, .. } = &drawing.settings;
        let redrawn = hires.as_ref().map(|hires| hires.strength).or(init_image.as_ref().map(|init| init.strength));
        let hash = self.checkpoint.hashes().map(|hashes| hashes.sha256[..MODEL_HASH_DIGITS].to_owned());
        let tags: String = drawing.loras.iter().map(|tag| format!(" {tag}")).collect();
        Infotext {
            prompt: format!("{}{tags}", drawing.prompt.trim_end()),
            negative_prompt: drawing.negative_prompt.clone(),
            steps: *steps as u32,
            sampler: sampler.title().to_owned(),
            schedule: sampler.schedule_title().to_owned(),
            cfg_scale: *cfg_scale,
            seed: drawing.seed,
            size: drawing.size,
            model_hash: hash,
            model: self.model.clone(),
            denoising_strength: redrawn,
            clip_skip: *clip_skip as u32,
            rng: (*rng == Rng::Cpu).then(|| "CPU".to_owned()),
            hires: hires.as_ref().map(|hires| infotext::Hires {
                upscale: hires.from,
                steps: None,
                upscaler: "Latent".to_owned(),
            }),
            lora_hashes: loras.hashes(&drawing.loras),
            padded: drawn.padded,
        }
        .to_string()
    }
}

/// A file's name without its ending, or a folder's name.
fn model_name(path: &Path) -> String {
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// Pixels along one side, checked.
fn side(flag: &str, pixels: u32) -> Result<usize> {
    ensure!((LEAST_SIDE..=MOST_SIDE).contains(&pixels), "{flag} {pixels}: take {LEAST_SIDE} to {MOST_SIDE} pixels");
    let next = pixels.next_multiple_of(CELL);
    ensure!(next == pixels, "{flag} {pixels} is no multiple of {CELL}; take {next}");
    Ok(pixels as usize)
}

fn settings(args: &SampleArgs, checkpoint: &Checkpoint) -> Result<Settings> {
    let sampler = Sampler::from_name(&args.sampler).with_context(|| {
        let meant = nearest(&args.sampler, Sampler::NAMES.into_iter());
        let hint = meant
            .map_or_else(|| format!("there are {}", Sampler::NAMES.join(", ")), |name| format!("did you mean {name}?"));
        format!("--sampler {:?} is unknown: {hint}", args.sampler)
    })?;
    let stated = || checkpoint.prediction_type().and_then(Prediction::from_name);
    let prediction = args.prediction_type.or_else(stated).unwrap_or(Prediction::Epsilon);
    ensure!(args.cfg_scale.is_finite(), "--cfg-scale {} is no number", args.cfg_scale);
    if let Some(scale) = args.hires_scale {
        ensure!((1.0..=4.0).contains(&scale), "--hires-scale {scale}: take a factor from 1 to 4");
    }
    Ok(Settings {
        prediction,
        sampler,
        steps: args.steps as usize,
        cfg_scale: args.cfg_scale,
        clip_skip: args.clip_skip as usize,
        rng: args.rng,
        init_image: args.init_image.as_ref().map(|from| Redraw { from: from.clone(), strength: args.strength }),
        hires: args.hires_scale.map(|from| Redraw { from, strength: args.hires_strength }),
    })
}
