//! `lora-wgpu sample`: pictures from a checkpoint and LoRAs.

mod output;
mod wish;

use std::{io::Write, path::PathBuf, thread};

use anyhow::{Context, Result};
use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use image::RgbImage;

use crate::{
    diffusion::Rng,
    gpu::GpuOptions,
    sample::{
        animation::Change,
        axes::{Axis, Cells},
        draw::{Drawing, draw},
        grid::labelled_grid,
        loras::{KnownModules, LoraSet},
        prompt::editing::{IS_PLAIN_TEXT, prompt_editing},
    },
    weights::{Checkpoint, check_writable},
};

use super::{
    Outcome,
    device::{self, Kernels},
    terminal::Counter,
};
use output::{folder_for, numbered, save, save_animation};
use wish::Wish;

/// Pictures of a batch that are drawn and then saved: a long batch that is stopped leaves what it has.
const SAVED_TOGETHER: usize = 16;

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
    #[arg(long, default_value = Rng::Gpu.name(), value_parser = generator())]
    rng: Rng,
    /// What the checkpoint predicts, where its files do not say it
    #[arg(long, value_enum)]
    prediction_type: Option<PredictionType>,
    /// A picture to start from
    #[arg(long, value_name = "FILE")]
    init_image: Option<PathBuf>,
    /// How much of --init-image is drawn anew, up to 1
    #[arg(long, default_value_t = 0.75, requires = "init_image")]
    strength: f64,
    /// Draw a second time at this factor of the size, from the first picture
    #[arg(long, value_name = "FACTOR")]
    hires_scale: Option<f64>,
    /// How much the second time draws anew, up to 1
    #[arg(long, default_value_t = 0.7, requires = "hires_scale")]
    hires_strength: f64,
    /// One picture of many: strength=0,0.6,0.8,1 prompt=@FILE seed=1,2 lora=a,b; the first along the columns
    #[arg(long, value_name = "AXIS=VALUES", num_args = 1.., conflicts_with = "batch")]
    grid: Vec<String>,
    /// An animation: strength=0..1, seed=43 (on the way to another composition) or prompt=TEXT (to another prompt)
    #[arg(long, value_name = "CHANGE", conflicts_with_all = ["batch", "grid"])]
    animate: Option<Change>,
    /// Frames of an animation
    #[arg(long, default_value_t = 24, requires = "animate", value_parser = clap::value_parser!(u16).range(2..=1000))]
    frames: u16,
    /// Frames of an animation in a second
    #[arg(long, default_value_t = 8, requires = "animate", value_parser = clap::value_parser!(u16).range(1..=50))]
    fps: u16,
    /// The picture, a .png; several are numbered. An animation is a .gif, a .png that moves, or a folder of numbered pictures
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
enum PredictionType {
    Epsilon,
    #[value(name = "v_prediction")]
    VPrediction,
}

/// Reads the generator's name.
fn generator() -> impl TypedValueParser<Value = Rng> {
    PossibleValuesParser::new(Rng::NAMES).map(|name| Rng::from_name(&name).expect("a possible value"))
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
    let loras = LoraSet::read(tags, args.lora_dir.as_deref(), &KnownModules::of(&checkpoint)?)?;
    loras.warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    let steps = drawings.iter().map(Drawing::steps).sum::<Result<usize>>()?;
    check_writable(&folder_for(&args.out, args.animate.is_some())?).context("--out")?;
    let variant = args.kernels.map(Into::into);
    let gpu = device::open(&GpuOptions { device: args.device.clone(), variant, ..Default::default() }, say)?;
    let mut counter = Counter::new("steps", steps);
    // Pictures and their infotexts.
    let finished = |counter: &mut Counter, drawings: &[Drawing]| -> Result<(Vec<RgbImage>, Vec<String>)> {
        let drawn = thread::scope(|scope| {
            // The whole checkpoint is read for its hash: meanwhile the device draws.
            scope.spawn(|| checkpoint.hashes());
            draw(&gpu, &checkpoint, drawings, &loras, &mut || {
                counter.add(1);
                Ok(())
            })
        })?;
        let texts = drawings.iter().zip(&drawn).map(|(drawing, drawn)| wish.infotext(drawing, drawn, &loras)).collect();
        Ok((drawn.into_iter().map(|drawn| drawn.picture).collect(), texts))
    };
    if let Some(cells) = cells {
        let (pictures, texts) = finished(&mut counter, &drawings)?;
        counter.finish();
        let rows: Vec<Vec<RgbImage>> = pictures.chunks(cells.columns.len()).map(<[RgbImage]>::to_vec).collect();
        let (grid, note) = labelled_grid(&rows, &cells.columns, &cells.rows, "");
        note.iter().for_each(|note| say(&format!("note: {note}")));
        save(&args.out, &grid, &texts[0], out)?;
    } else if args.animate.is_some() {
        let (pictures, texts) = finished(&mut counter, &drawings)?;
        counter.finish();
        save_animation(&args.out, pictures, &texts, args.fps, out)?;
    } else {
        let mut names = (0..drawings.len()).map(|index| numbered(&args.out, index, drawings.len()));
        for some in drawings.chunks(SAVED_TOGETHER) {
            let (pictures, texts) = finished(&mut counter, some)?;
            for ((picture, text), name) in pictures.iter().zip(&texts).zip(&mut names) {
                counter.suspend(|| save(&name, picture, text, out))?;
            }
        }
        counter.finish();
    }
    Ok(Outcome::Success)
}

fn cells(axes: &[String]) -> Result<Cells> {
    Cells::of(&axes.iter().map(|axis| Axis::parse(axis)).collect::<Result<Vec<_>>>()?)
}

/// Names the first prompt with words of the WebUIs that are drawn as plain text here.
fn warn_about_editing(drawings: &[Drawing], say: &mut dyn FnMut(&str)) {
    let toward = drawings.iter().filter_map(|drawing| drawing.toward.as_ref()).map(|toward| &toward.prompt);
    let prompts = drawings.iter().flat_map(|drawing| [&drawing.prompt, &drawing.negative_prompt]).chain(toward);
    if let Some((part, prompt)) = prompts.into_iter().find_map(|prompt| Some((prompt_editing(prompt)?, prompt))) {
        say(&format!("warning: {part:?} in {prompt:?} {IS_PLAIN_TEXT}"));
    }
}
