//! How fast a device trains: the whole step at Stable Diffusion's widths, on weights that are random numbers.

mod peaks;
mod processor;
mod report;
mod step;
mod workload;

pub use processor::processor_seconds;
pub use report::{Family, Peaks, Report, Timing};
pub use step::measure;
pub use workload::Workload;
