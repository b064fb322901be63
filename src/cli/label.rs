//! `lora-wgpu label`: first captions for a folder of pictures.

use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::{
    gpu::GpuOptions,
    label::{
        generate::{GenerationOptions, Nucleus},
        job::{CaptionerJob, Event, LabelJob, Place, Summary, TaggerJob},
        run::Labelling,
        tags::TagList,
        wording::Wording,
    },
    weights::{ModelFolder, ModelKind, check_writable},
};

use super::{
    INTERRUPTED, Outcome,
    device::{self, Kernels},
    terminal::Counter,
};

/// Beams where no number is given.
const NUM_BEAMS: usize = 3;
/// Seed where none is given.
const SEED: u64 = 42;
/// What the table is called where no name is given.
const TABLE: &str = "metadata.csv";

/// Write a first caption for every picture of a folder, for you to correct
#[derive(Debug, Args)]
pub struct LabelArgs {
    /// The folder of pictures
    dir: PathBuf,
    /// The table of captions; a page to correct them on is written beside it [default: metadata.csv in the folder]
    #[arg(short, long, value_name = "FILE", conflicts_with = "sidecar")]
    out: Option<PathBuf>,
    /// Write a .txt file beside each picture instead of a table
    #[arg(long)]
    sidecar: bool,
    /// Folder of a BLIP captioner, such as Salesforce/blip-image-captioning-base
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Make captions and tags anew where there are some; otherwise they are kept
    #[arg(long)]
    overwrite: bool,

    /// Words that every caption begins with, for BLIP to go on from: "a photograph of"
    #[arg(long, value_name = "TEXT", default_value = "")]
    prompt_prefix: String,
    /// Captions that are tried side by side; 1 takes the likeliest word each time [default: 3, or 1 with --top-p]
    #[arg(long, value_name = "N")]
    num_beams: Option<usize>,
    /// Draw words at random among the likeliest that together have this probability
    #[arg(long, value_name = "P")]
    top_p: Option<f64>,
    /// Of the words that --top-p draws [default: 42]
    #[arg(long, requires = "top_p")]
    seed: Option<u64>,
    /// Fewest tokens of a caption, with its begin mark and the words of --prompt-prefix
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_length: usize,
    /// Most tokens of a caption, counted in the same way
    #[arg(long, value_name = "N", default_value_t = 30)]
    max_length: usize,
    /// Above 1, words that a caption has already become less likely
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    repetition_penalty: f32,

    /// Put in front of every new caption: "suzhou embroidery, "
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
    /// The word that calls the style, put in front of everything
    #[arg(long, value_name = "WORD")]
    trigger: Option<String>,
    /// Replace words: flower="pink peony with silk thread texture"; @FILE reads such rules, one a line
    #[arg(long, value_name = "FROM=TO")]
    replace: Vec<String>,

    /// Folder of a CLIP model that ranks tags, such as openai/clip-vit-large-patch14
    #[arg(long, value_name = "DIR")]
    tagger: Option<PathBuf>,
    /// Tags to choose among, instead of the built-in ones: a csv `group,tag,chinese`, or one tag a line
    #[arg(long, value_name = "FILE", requires = "tagger")]
    tags: Option<PathBuf>,
    /// Least probability of a tag among those of its group
    #[arg(long, value_name = "P", default_value_t = 0.1, requires = "tagger")]
    tag_threshold: f32,
    /// Most tags of a group
    #[arg(long, value_name = "N", default_value_t = 2, requires = "tagger", value_parser = clap::value_parser!(u16).range(1..))]
    tags_per_group: u16,
    /// Put the tags behind the captions
    #[arg(long, requires = "tagger")]
    append_tags: bool,

    /// Kernels to use instead of the device's best ones
    #[arg(long, value_enum)]
    kernels: Option<Kernels>,
    /// Device by index or part of its name, as `lora-wgpu devices` lists it
    #[arg(long)]
    device: Option<String>,
}

/// Captions, and says where the captions are; [`Outcome::CheckFailed`] where a picture was left out.
///
/// # Errors
/// Models, pictures or a table that cannot be used, options that contradict each other, and trouble with the disk and
/// the device.
pub fn label(args: &LabelArgs, out: &mut dyn Write) -> Result<Outcome> {
    let say = &mut |line: &str| eprintln!("{line}");
    let mut labelling = Labelling::open(job(args)?)?;
    labelling.notes().iter().for_each(|note| say(note));
    check_writable(args.out.as_deref().and_then(|table| table.parent()).unwrap_or(&args.dir))?;
    let stop = stop_on_interruption()?;
    let mut counter: Option<Counter> = None;
    let mut watch = |event: Event<'_>| {
        match (event, &mut counter) {
            (Event::Begins(what, count), counter) => *counter = Some(Counter::new(what, count)),
            (Event::Done(count), Some(counter)) => counter.add(count),
            (Event::Line(line), Some(counter)) => counter.line(line),
            (Event::Line(line), None) => eprintln!("{line}"),
            (Event::Ends, counter) => counter.take().into_iter().for_each(Counter::finish),
            (Event::Done(_), None) => {}
        }
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    if labelling.needs_device() {
        let variant = args.kernels.map(Into::into);
        let gpu = device::open(&GpuOptions { device: args.device.clone(), variant, ..Default::default() }, say)?;
        labelling.compute(&gpu, &mut watch)?;
    }
    let summary = labelling.finish(&mut watch)?;
    report(&summary, args.sidecar, out)?;
    Ok(match &summary {
        summary if summary.stopped => Outcome::Interrupted,
        summary if !summary.failed.is_empty() => Outcome::CheckFailed,
        _ => Outcome::Success,
    })
}

/// Opens the models and reads the rules.
fn job(args: &LabelArgs) -> Result<LabelJob> {
    let num_beams = args.num_beams.unwrap_or(if args.top_p.is_some() { 1 } else { NUM_BEAMS });
    let &LabelArgs { min_length, max_length, repetition_penalty, .. } = args;
    let nucleus = args.top_p.map(|top_p| Nucleus { top_p });
    let generation = GenerationOptions { num_beams, min_length, max_length, repetition_penalty, nucleus };
    generation.check(1)?;
    let place = if args.sidecar {
        Place::Sidecars
    } else {
        Place::Table(args.out.clone().unwrap_or_else(|| args.dir.join(TABLE)))
    };
    Ok(LabelJob {
        pictures: args.dir.clone(),
        place,
        overwrite: args.overwrite,
        wording: Wording::new(args.trigger.clone(), args.prefix.clone(), &args.replace, args.append_tags)?,
        captioner: CaptionerJob {
            model: ModelFolder::open(&args.model, ModelKind::BlipCaptioner).context("--model")?,
            prompt_prefix: args.prompt_prefix.clone(),
            generation,
            seed: args.seed.unwrap_or(SEED),
        },
        tagger: args.tagger.as_ref().map(|folder| tagger(args, folder)).transpose()?,
    })
}

fn tagger(args: &LabelArgs, folder: &Path) -> Result<TaggerJob> {
    let threshold = args.tag_threshold;
    ensure!((0.0..=1.0).contains(&threshold), "--tag-threshold {threshold}: a probability lies between 0 and 1");
    Ok(TaggerJob {
        model: ModelFolder::open(folder, ModelKind::Clip).context("--tagger")?,
        tags: args.tags.as_deref().map_or_else(|| Ok(TagList::built_in()), TagList::read)?,
        threshold,
        most: args.tags_per_group.into(),
    })
}

/// Ctrl-C ends the run after its picture; a second time, the program at once.
fn stop_on_interruption() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let of_handler = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if of_handler.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
        eprintln!("\nstopping after this picture; once more to stop at once");
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(stop)
}

fn report(summary: &Summary, sidecar: bool, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} new captions{}", summary.captions, if sidecar { " beside the pictures" } else { "" })?;
    if summary.stopped {
        writeln!(out, "stopped; without --overwrite the same command goes on where it was")?;
    }
    for file in &summary.files {
        let what = match file.extension().and_then(|extension| extension.to_str()) {
            Some("html") => "correct them in a browser, then put what it saves in the table's place",
            _ if file.to_string_lossy().ends_with(".tags.csv") => "tags",
            _ => "captions",
        };
        writeln!(out, "{what}:\n  {}", file.display())?;
    }
    if !summary.failed.is_empty() {
        writeln!(out, "left out ({}):", summary.failed.len())?;
        summary.failed.iter().try_for_each(|(name, reason)| writeln!(out, "  {name}: {reason}"))?;
    }
    Ok(())
}
