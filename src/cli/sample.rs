//! `lora-wgpu sample`: pictures from a checkpoint and LoRAs.

mod args;
mod output;
mod request;

use std::{io::Write, path::Path, thread};

use anyhow::{Context, Result};
use image::RgbImage;

use crate::{
    gpu::{Gpu, GpuOptions},
    sample::{
        axes::{Axis, Cells},
        draw::{Drawing, draw},
        grid::labelled_grid,
        loras::{KnownModules, LoraSet},
        prompt::editing::{IS_PLAIN_TEXT, prompt_editing},
    },
    weights::{Checkpoint, check_writable},
};

use super::{Outcome, device, terminal::Counter};
pub use args::SampleArgs;
use output::{folder_for, numbered, save, save_animation};
use request::Request;

/// Pictures of a batch that are drawn and then saved: a long batch that is stopped leaves what it has.
const SAVED_TOGETHER: usize = 16;

/// Draws, and says where the pictures are.
///
/// # Errors
/// A prompt or a grid that cannot be read, a LoRA that is not found or does not fit, a size that is no multiple of 8,
/// and trouble with files and the device.
pub fn sample(args: &SampleArgs, out: &mut dyn Write) -> Result<Outcome> {
    let checkpoint = Checkpoint::open(&args.base_model, args.vae.as_deref())?;
    checkpoint.warnings().iter().for_each(|warning| say(&format!("warning: {warning}")));
    let request = Request::new(args, &checkpoint)?;
    request.notes.iter().for_each(|note| say(note));
    let cells = (!args.grid.is_empty()).then(|| cells(&args.grid)).transpose()?;
    let drawings = request.drawings(cells.as_ref())?;
    warn_about_editing(&drawings);
    let tags = drawings.iter().flat_map(|drawing| &drawing.loras);
    let loras = LoraSet::read(tags, args.lora_dir.as_deref(), &KnownModules::of(&checkpoint)?)?;
    loras.warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    let steps = drawings.iter().map(Drawing::steps).sum::<Result<usize>>()?;
    check_writable(&folder_for(&args.out, args.animate.is_some())?).context("--out")?;
    let variant = args.kernels.map(Into::into);
    let gpu = device::open(&GpuOptions { device: args.device.clone(), variant, ..Default::default() }, &mut say)?;
    let counter = Counter::new("steps", steps);
    let drawer = Drawer { gpu: &gpu, checkpoint: &checkpoint, request: &request, loras: &loras, counter };
    match cells {
        Some(cells) => drawer.save_grid(&cells, &drawings, &args.out, out)?,
        None if args.animate.is_some() => drawer.save_animation(&drawings, args, out)?,
        None => drawer.save_batch(&drawings, &args.out, out)?,
    }
    Ok(Outcome::Success)
}

/// Draws what a request asks for, and saves it.
struct Drawer<'a> {
    gpu: &'a Gpu,
    checkpoint: &'a Checkpoint,
    request: &'a Request<'a>,
    loras: &'a LoraSet,
    counter: Counter,
}

impl Drawer<'_> {
    /// Pictures and their infotexts.
    fn draw(&mut self, drawings: &[Drawing]) -> Result<(Vec<RgbImage>, Vec<String>)> {
        let Self { gpu, checkpoint, request, loras, counter } = self;
        let drawn = thread::scope(|scope| {
            // The whole checkpoint is read for its hash: meanwhile the device draws.
            scope.spawn(|| checkpoint.hashes());
            draw(gpu, checkpoint, drawings, loras, &mut || {
                counter.add(1);
                Ok(())
            })
        })?;
        let texts =
            drawings.iter().zip(&drawn).map(|(drawing, drawn)| request.infotext(drawing, drawn, loras)).collect();
        Ok((drawn.into_iter().map(|drawn| drawn.picture).collect(), texts))
    }

    /// One picture of all, with the first one's infotext.
    fn save_grid(mut self, cells: &Cells, drawings: &[Drawing], path: &Path, out: &mut dyn Write) -> Result<()> {
        let (pictures, texts) = self.draw(drawings)?;
        self.counter.finish();
        let rows: Vec<Vec<RgbImage>> = pictures.chunks(cells.columns.len()).map(<[RgbImage]>::to_vec).collect();
        let (grid, note) = labelled_grid(&rows, &cells.columns, &cells.rows);
        note.iter().for_each(|note| say(&format!("note: {note}")));
        save(path, &grid, &texts[0], out)
    }

    fn save_animation(mut self, drawings: &[Drawing], args: &SampleArgs, out: &mut dyn Write) -> Result<()> {
        let (pictures, texts) = self.draw(drawings)?;
        self.counter.finish();
        save_animation(&args.out, pictures, &texts, args.fps, out)
    }

    fn save_batch(mut self, drawings: &[Drawing], path: &Path, out: &mut dyn Write) -> Result<()> {
        let mut names = (0..drawings.len()).map(|index| numbered(path, index, drawings.len()));
        for some in drawings.chunks(SAVED_TOGETHER) {
            let (pictures, texts) = self.draw(some)?;
            for ((picture, text), name) in pictures.iter().zip(&texts).zip(&mut names) {
                self.counter.suspend(|| save(&name, picture, text, out))?;
            }
        }
        self.counter.finish();
        Ok(())
    }
}

fn say(line: &str) {
    eprintln!("{line}");
}

fn cells(axes: &[String]) -> Result<Cells> {
    Cells::of(&axes.iter().map(|axis| Axis::parse(axis)).collect::<Result<Vec<_>>>()?)
}

/// Names the first prompt with words of the WebUIs that are drawn as plain text here.
fn warn_about_editing(drawings: &[Drawing]) {
    let toward = drawings.iter().filter_map(|drawing| drawing.toward.as_ref()).map(|toward| &toward.prompt);
    let prompts = drawings.iter().flat_map(|drawing| [&drawing.prompt, &drawing.negative_prompt]).chain(toward);
    if let Some((part, prompt)) = prompts.into_iter().find_map(|prompt| Some((prompt_editing(prompt)?, prompt))) {
        say(&format!("warning: {part:?} in {prompt:?} {IS_PLAIN_TEXT}"));
    }
}
