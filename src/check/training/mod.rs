//! Recorded training cases: everything random is given, so that a run can be held against PyTorch's.

mod compare;
mod file;
mod header;
mod objective;
mod recorder;
mod run;
mod texts;

pub use compare::{GroupError, compare};
pub use file::TrainingCase;
pub use run::{CaseOptions, run};
