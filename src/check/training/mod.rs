//! Recorded training cases: everything random is given, so that a run can be held against PyTorch's.

mod compare;
mod file;
mod objective;
mod run;

pub use compare::{GroupError, compare};
pub use file::TrainingCase;
pub use run::{CaseOptions, run};
