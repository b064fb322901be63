//! `lora-wgpu sample`: pictures from a checkpoint and LoRAs.

use std::{
    io::Write,
    path::{Path, PathBuf},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use image::RgbImage;

use crate::{
    config::nearest,
    diffusion::{self, Prediction, Sampler},
    gpu::GpuOptions,
    sample::{
        axes::{Axis, Cells, Variation},
        draw::{Drawing, Drawn, Redraw, Settings, draw, lora_modules},
        grid::labelled_grid,
        infotext::{self, Infotext},
        loras::LoraSet,
        png,
        prompt::{editing::prompt_editing, lora_tags::take_lora_tags},
    },
    train::counter::Counter,
    weights::{Checkpoint, write_atomically},
};

use super::{
    Outcome,
    device::{self, Kernels},
};

/// Sides of pictures where the user does not say: what Stable Diffusion v1.5 and the demo were trained at.
const SIDE: u32 = 512;
const DEMO_SIDE: u32 = 192;
/// Digits of a checkpoint's hash in infotext.
const MODEL_HASH_DIGITS: usize = 10;

/// Draw pictures with a checkpoint and LoRAs
#[derive(Debug, Args)]
pub struct SampleArgs {
    /// The checkpoint: a single file, a diffusers folder, or `demo`
    #[arg(long, value_name = "MODEL")]
    base_model: PathBuf,
    /// Another VAE than the checkpoint's
    #[arg(long, value_name = "MODEL")]
    vae: Option<PathBuf>,
    /// What to draw, in the WebUIs' words: (stress:1.2), [less], BREAK, <lora:name:0.8>
    #[arg(long, default_value = "")]
    prompt: String,
    /// What not to draw
    #[arg(long, default_value = "")]
    negative_prompt: String,
    /// Where the LoRA files are that prompts name
    #[arg(long, value_name = "DIR")]
    lora_dir: Option<PathBuf>,
    /// euler, euler_a, ddim, heun, dpmpp_2m, dpmpp_2m_karras, dpmpp_sde or lcm
    #[arg(long, default_value = "euler_a")]
    sampler: String,
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=1000))]
    steps: u32,
    /// How strongly the prompt guides; 1 leaves the negative prompt out
    #[arg(long, default_value_t = 7.0)]
    cfg_scale: f32,
    /// The first picture's seed; the next ones have the next numbers. Without it, a random one, which is said
    #[arg(long)]
    seed: Option<u64>,
    /// Pixels, a multiple of 8 [default: 512, or 192 for `demo`]
    #[arg(long)]
    width: Option<u32>,
    /// Pixels, a multiple of 8 [default: 512, or 192 for `demo`]
    #[arg(long)]
    height: Option<u32>,
    /// How many pictures
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    batch: u32,
    /// Layer of the text encoder, counted from its end
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=12))]
    clip_skip: u32,
    /// Which generator draws the noise: as on the GPU in AUTOMATIC1111's and Forge's WebUIs, or as on the CPU in ComfyUI
    #[arg(long, value_enum, default_value_t = Rng::Gpu)]
    rng: Rng,
    /// What the checkpoint predicts, where its files do not say it
    #[arg(long, value_enum)]
    prediction_type: Option<PredictionType>,
    /// A picture to start from
    #[arg(long, value_name = "FILE")]
    init_image: Option<PathBuf>,
    /// How much of --init-image is drawn anew, 0 to 1
    #[arg(long, default_value_t = 0.75, requires = "init_image")]
    strength: f64,
    /// Draw a second time at this factor of the size, from the first picture
    #[arg(long, value_name = "FACTOR")]
    hires_scale: Option<f64>,
    /// How much the second time draws anew, 0 to 1
    #[arg(long, default_value_t = 0.7, requires = "hires_scale")]
    hires_strength: f64,
    /// One picture of many: strength=0,0.6,0.8,1 prompt=@FILE seed=1,2 lora=a,b; the first along the columns
    #[arg(long, value_name = "AXIS=VALUES", num_args = 1.., conflicts_with = "batch")]
    grid: Vec<String>,
    /// The picture; several are numbered
    #[arg(short, long, value_name = "FILE", default_value = "out.png")]
    out: PathBuf,
    /// Kernels to use instead of the device's best ones
    #[arg(long, value_enum)]
    kernels: Option<Kernels>,
    /// Device by index or part of its name, as `lora-wgpu devices` lists it
    #[arg(long)]
    device: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rng {
    Gpu,
    Cpu,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PredictionType {
    Epsilon,
    #[value(name = "v_prediction")]
    VPrediction,
}

/// Draws, and says where the pictures are.
///
/// # Errors
/// A prompt or a grid that cannot be read, a LoRA that is not found or does not fit, a size that is no multiple of 8,
/// and trouble with files and the device.
pub fn sample(args: &SampleArgs, out: &mut dyn Write) -> Result<Outcome> {
    let say = &mut |line: &str| eprintln!("{line}");
    let checkpoint = Checkpoint::open(&args.base_model, args.vae.as_deref())?;
    checkpoint.warnings().iter().for_each(|warning| say(&format!("warning: {warning}")));
    let wish = Wish::new(args, &checkpoint)?;
    wish.notes.iter().for_each(|note| say(note));
    let cells = (!args.grid.is_empty()).then(|| cells(&args.grid)).transpose()?;
    let drawings = wish.drawings(cells.as_ref())?;
    warn_about_editing(&drawings, say);
    let tags = drawings.iter().flat_map(|drawing| &drawing.loras);
    let loras = LoraSet::read(tags, args.lora_dir.as_deref(), &lora_modules(&checkpoint)?)?;
    loras.warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    let steps = drawings.iter().map(Drawing::steps).sum::<Result<usize>>()?;
    let variant = args.kernels.map(Into::into);
    let gpu = device::open(&GpuOptions { device: args.device.clone(), variant, ..Default::default() }, say)?;
    let mut counter = Counter::new("steps", steps);
    // The whole checkpoint is read for its hash: meanwhile the device draws.
    let drawn = thread::scope(|scope| {
        scope.spawn(|| checkpoint.hashes());
        draw(&gpu, &checkpoint, &drawings, &loras, &mut || counter.add(1))
    })?;
    counter.finish();
    let texts: Vec<String> =
        drawings.iter().zip(&drawn).map(|(drawing, drawn)| wish.infotext(drawing, drawn, &loras)).collect();
    let Some(cells) = cells else {
        for (index, (drawn, text)) in drawn.iter().zip(&texts).enumerate() {
            save(&numbered(&args.out, index, drawings.len()), &drawn.picture, text, out)?;
        }
        return Ok(Outcome::Success);
    };
    let pictures: Vec<RgbImage> = drawn.into_iter().map(|drawn| drawn.picture).collect();
    let rows: Vec<Vec<RgbImage>> = pictures.chunks(cells.columns.len()).map(<[RgbImage]>::to_vec).collect();
    let (grid, note) = labelled_grid(&rows, &cells.columns, &cells.rows, "");
    note.iter().for_each(|note| say(&format!("note: {note}")));
    save(&args.out, &grid, &texts[0], out)?;
    Ok(Outcome::Success)
}

fn cells(axes: &[String]) -> Result<Cells> {
    Cells::of(&axes.iter().map(|axis| Axis::parse(axis)).collect::<Result<Vec<_>>>()?)
}

/// Names the first prompt with words of the WebUIs that are drawn as plain text here.
fn warn_about_editing(drawings: &[Drawing], say: &mut dyn FnMut(&str)) {
    let edited =
        drawings.iter().find_map(|drawing| prompt_editing(&drawing.prompt).map(|part| (part, &drawing.prompt)));
    if let Some((part, prompt)) = edited {
        say(&format!(
            "warning: {part:?} in {prompt:?} is drawn as plain text: prompts that change by step are not built"
        ));
    }
}

/// `out.png`, or `out-00001.png` and so on where there are several.
fn numbered(path: &Path, index: usize, count: usize) -> PathBuf {
    if count == 1 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{:05}.png", index + 1))
}

fn save(path: &Path, picture: &RgbImage, text: &str, out: &mut dyn Write) -> Result<()> {
    let bytes = png::encode(picture, text)?;
    write_atomically(path, |file| file.write_all(&bytes)).context("--out")?;
    Ok(writeln!(out, "{}", path.display())?)
}

/// What the arguments ask for, checked.
struct Wish<'a> {
    args: &'a SampleArgs,
    settings: Settings,
    seed: u64,
    /// What the user should know.
    notes: Vec<String>,
    width: usize,
    height: usize,
    model: String,
    checkpoint: &'a Checkpoint,
}

impl<'a> Wish<'a> {
    fn new(args: &'a SampleArgs, checkpoint: &'a Checkpoint) -> Result<Self> {
        let (default, name) = match checkpoint.is_demo() {
            true => (DEMO_SIDE, "demo".to_owned()),
            false => (SIDE, args.base_model.file_stem().unwrap_or_default().to_string_lossy().into_owned()),
        };
        let [width, height] = [("--width", args.width), ("--height", args.height)]
            .map(|(flag, pixels)| side(flag, pixels.unwrap_or(default)));
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
        Ok(Self { args, settings, seed, notes, width: width?, height: height?, model: name, checkpoint })
    }

    fn drawings(&self, cells: Option<&Cells>) -> Result<Vec<Drawing>> {
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
            seed: variation.seed.unwrap_or(self.seed).wrapping_add(index),
            width: self.width,
            height: self.height,
            settings: self.settings.clone(),
        })
    }

    fn infotext(&self, drawing: &Drawing, drawn: &Drawn, loras: &LoraSet) -> String {
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
            cfg_scale: f64::from(*cfg_scale),
            seed: drawing.seed,
            width: drawing.width as u32,
            height: drawing.height as u32,
            model_hash: hash,
            model: self.model.clone(),
            denoising_strength: redrawn,
            clip_skip: *clip_skip as u32,
            rng: (*rng == diffusion::Rng::Cpu).then(|| "CPU".to_owned()),
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

/// Pixels along one side, checked.
fn side(flag: &str, pixels: u32) -> Result<usize> {
    let nearest = pixels.next_multiple_of(8).max(64);
    ensure!(pixels.is_multiple_of(8) && pixels > 0, "{flag} {pixels} is no multiple of 8; take {nearest}");
    Ok(pixels as usize)
}

fn settings(args: &SampleArgs, checkpoint: &Checkpoint) -> Result<Settings> {
    let sampler = Sampler::from_name(&args.sampler).with_context(|| {
        let meant = nearest(&args.sampler, Sampler::NAMES.into_iter());
        let hint = meant
            .map_or_else(|| format!("there are {}", Sampler::NAMES.join(", ")), |name| format!("did you mean {name}?"));
        format!("--sampler {:?} is unknown: {hint}", args.sampler)
    })?;
    let prediction = match (args.prediction_type, checkpoint.prediction_type()) {
        (Some(PredictionType::VPrediction), _) | (None, Some("v_prediction")) => Prediction::VPrediction,
        _ => Prediction::Epsilon,
    };
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
        rng: match args.rng {
            Rng::Gpu => diffusion::Rng::Gpu,
            Rng::Cpu => diffusion::Rng::Cpu,
        },
        init_image: args.init_image.as_ref().map(|from| Redraw { from: from.clone(), strength: args.strength }),
        hires: args.hires_scale.map(|from| Redraw { from, strength: args.hires_strength }),
    })
}
