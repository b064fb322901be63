//! Recorded cases: everything random is given, so that a run can be held against PyTorch's.

pub mod optimizer;
pub mod training;
