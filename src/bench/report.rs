//! The figures, and how they are shown.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
};

use serde::Serialize;

use crate::{
    gpu::{KernelTime, Variant},
    train::tasks::diffusion::MemoryPlan,
};

/// Kernel families by the beginning of their shaders' names.
const FAMILIES: [(&str, &str); 8] = [
    ("gemm", "matrix products"),
    ("conv", "convolutions"),
    ("attention", "attention"),
    ("group_norm", "group norm"),
    ("layer_norm", "layer norm"),
    ("adamw", "optimizer"),
    ("grad_norm", "optimizer"),
    ("accumulate", "optimizer"),
];
const OTHERS: &str = "element by element";

/// What a training step costs on a device.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub device: String,
    pub driver: String,
    pub kernels: Variant,
    pub peaks: Peaks,
    pub memory: MemoryPlan,
    /// Compiling the pipelines and the first step, which waits for them.
    pub first_step_seconds: f64,
    /// Forward, backward and update.
    pub step: Timing,
    /// The U-Net forward, with its loss.
    pub forward: Timing,
    /// Encoding a step's commands, which the host does while the device computes.
    pub encoding_seconds: f64,
    pub dispatches: usize,
    pub pipelines: usize,
    /// Floating-point operations of a step.
    pub flops: u64,
    /// One micro-batch and the update, the most expensive first.
    pub families: Vec<Family>,
}

/// What the device reached in this run with kernels that only compute, or only copy.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Peaks {
    pub gflops: f64,
    pub gigabytes_per_second: f64,
}

/// Several runs of the same.
#[derive(Clone, Debug, Serialize)]
pub struct Timing {
    pub median_seconds: f64,
    /// Median of the time on processors; zero where the platform does not tell.
    pub processor_seconds: f64,
    pub seconds: Vec<f64>,
}

/// Kernels of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct Family {
    pub name: &'static str,
    pub dispatches: usize,
    pub seconds: f64,
    pub flops: u64,
    pub bytes: u64,
}

impl Family {
    /// Sums by family, the most expensive first.
    pub fn group(times: &[KernelTime]) -> Vec<Self> {
        let mut families: BTreeMap<&'static str, Self> = BTreeMap::new();
        for time in times {
            let name = family_of(&time.kernel);
            let empty = Self { name, dispatches: 0, seconds: 0.0, flops: 0, bytes: 0 };
            let family = families.entry(name).or_insert(empty);
            family.dispatches += 1;
            family.seconds += time.seconds;
            family.flops += time.cost.flops;
            family.bytes += time.cost.bytes;
        }
        let mut families: Vec<Self> = families.into_values().collect();
        families.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        families
    }
}

fn family_of(kernel: &str) -> &'static str {
    FAMILIES.iter().find(|(prefix, _)| kernel.starts_with(prefix)).map_or(OTHERS, |(_, name)| name)
}

/// The middle of some figures; the mean of the two where their number is even.
pub(super) fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len().is_multiple_of(2) { (figures[middle - 1] + figures[middle]) / 2.0 } else { figures[middle] }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({}), {} kernels", self.device, self.driver, self.kernels)?;
        writeln!(
            f,
            "peaks      {:.1} GFLOP/s by multiply and add, {:.1} GB/s by streaming",
            self.peaks.gflops, self.peaks.gigabytes_per_second
        )?;
        writeln!(f, "memory     {}", self.memory)?;
        writeln!(
            f,
            "first step {:.1} s with {} pipelines to compile; {} dispatches a step",
            self.first_step_seconds, self.pipelines, self.dispatches
        )?;
        writeln!(f, "step       {}, {:.2} ms to encode", self.step, self.encoding_seconds * 1e3)?;
        writeln!(f, "forward    {}", self.forward)?;
        let rate = self.flops as f64 * 1e-9 / self.step.median_seconds;
        writeln!(f, "rate       {rate:.1} GFLOP/s, {:.0} % of the peak\n", 100.0 * rate / self.peaks.gflops)?;
        self.table(f)
    }
}

impl Report {
    fn table(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let total: f64 = self.families.iter().map(|family| family.seconds).sum();
        writeln!(
            f,
            "{:20} {:>6} {:>10} {:>6} {:>10} {:>5} {:>9} {:>5}",
            "family", "count", "ms", "share", "GFLOP/s", "peak", "GB/s", "peak"
        )?;
        for Family { name, dispatches, seconds, flops, bytes } in &self.families {
            let (gflops, rate) = (*flops as f64 * 1e-9 / seconds, *bytes as f64 * 1e-9 / seconds);
            writeln!(
                f,
                "{name:20} {dispatches:>6} {:>10.1} {:>5.1}% {gflops:>10.1} {:>4.0}% {rate:>9.1} {:>4.0}%",
                seconds * 1e3,
                100.0 * seconds / total,
                100.0 * gflops / self.peaks.gflops,
                100.0 * rate / self.peaks.gigabytes_per_second,
            )?;
        }
        Ok(())
    }
}

impl Display for Timing {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (least, most) = self.seconds.iter().fold((f64::INFINITY, 0.0f64), |(a, b), &s| (a.min(s), b.max(s)));
        write!(f, "{:.3} s ({least:.3} to {most:.3}), processor {:.2} s", self.median_seconds, self.processor_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn kernels_belong_to_families() {
        assert_eq!(family_of("attention_cpu_keys.backward_keys HEAD4=10"), "attention");
        assert_eq!(family_of("grad_norm.total"), "optimizer");
        assert_eq!(family_of("geglu.forward"), OTHERS);
    }
}
