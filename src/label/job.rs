//! What a run is asked to do, what it tells meanwhile, and how it went.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::weights::ModelFolder;

use super::{generate::GenerationOptions, tags::TagList, wording::Wording};

/// What is to be done, with the models opened that it needs.
pub struct LabelJob {
    /// The folder of pictures.
    pub pictures: PathBuf,
    pub place: Place,
    /// Captions and tags are made anew where there are some already.
    pub overwrite: bool,
    pub captioner: CaptionerJob,
    pub tagger: Option<TaggerJob>,
    pub wording: Wording,
}

/// Where captions go.
pub enum Place {
    /// A csv table, with a page beside it on which it is corrected.
    Table(PathBuf),
    /// A text file beside each picture.
    Sidecars,
}

/// How captions are made.
pub struct CaptionerJob {
    pub model: ModelFolder,
    /// Words that every caption begins with.
    pub prompt_prefix: String,
    pub generation: GenerationOptions,
    /// Of nucleus sampling.
    pub seed: u64,
}

/// How tags are chosen.
pub struct TaggerJob {
    pub model: ModelFolder,
    pub tags: TagList,
    /// Least probability of a tag among those of its group.
    pub threshold: f32,
    /// Most tags of a group.
    pub most: usize,
}

/// What a run tells while it goes on.
pub enum Event<'a> {
    /// A line for the user.
    Line(&'a str),
    /// So many of what the word says are to be done.
    Begins(&'static str, usize),
    /// So many more of them are done.
    Done(usize),
    Ends,
}

/// Hears of events; breaks where the run is to stop, which it does between two pictures.
pub type Watch<'a> = dyn FnMut(Event<'_>) -> ControlFlow<()> + 'a;

/// How it went.
#[derive(Debug, Default)]
pub struct Summary {
    /// New captions.
    pub captions: usize,
    /// Names of pictures that could not be used, each with the reason.
    pub failed: BTreeMap<String, String>,
    /// Whether it was stopped before its end.
    pub stopped: bool,
    pub files: Vec<PathBuf>,
}
