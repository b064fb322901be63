//! `lora-wgpu devices`: what the machine has, and which kernels each device gets.

use std::{fmt, io::Write};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::{
    gpu::{AdapterSummary, DeviceKind, Gpu, GpuError, GpuOptions, Variant, find_adapter, list_adapters},
    ops::self_test,
};

use super::Outcome;

/// List the devices that can be used, best first, and test their kernels.
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// Only this device: its index or a part of its name
    #[arg(long)]
    device: Option<String>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Prints a report of each device, or of the one that `--device` means.
///
/// # Errors
/// No device, an unknown one, or output that cannot be written.
pub fn devices(args: &DevicesArgs, out: &mut dyn Write) -> Result<Outcome> {
    let adapters = match &args.device {
        Some(wanted) => vec![find_adapter(wanted)?],
        None => list_adapters(),
    };
    if adapters.is_empty() {
        return Err(GpuError::NoAdapter.into());
    }
    let reports: Vec<Report> = adapters.into_iter().map(Report::new).collect();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&reports)?)?;
    } else {
        for report in &reports {
            writeln!(out, "{report}")?;
        }
    }
    let all_usable = reports.iter().all(|report| report.kernels.is_some());
    Ok(if all_usable { Outcome::Success } else { Outcome::CheckFailed })
}

/// What is known of one device; the JSON form has these fields.
#[derive(Serialize)]
struct Report {
    index: usize,
    name: String,
    kind: DeviceKind,
    backend: String,
    driver: String,
    /// Absent where the driver does not tell.
    free_memory_bytes: Option<u64>,
    max_binding_bytes: u64,
    max_buffer_bytes: u64,
    max_workgroup_memory_bytes: u32,
    shader_f16: bool,
    shader_int64: bool,
    timestamps: bool,
    /// Least and most lanes of a subgroup; absent where the device has no subgroup operations.
    subgroup_sizes: Option<(u32, u32)>,
    /// The kernel variant in use; absent where the device is not usable.
    kernels: Option<Variant>,
    /// `passed`, or what went wrong.
    self_test: String,
}

impl Report {
    fn new(adapter: AdapterSummary) -> Self {
        let (kernels, self_test) = match tested_kernels(adapter.index) {
            Ok((variant, stepped_back)) => (Some(variant), stepped_back.unwrap_or_else(|| "passed".to_owned())),
            Err(error) => (None, format!("{error:#}")),
        };
        let caps = adapter.caps;
        Self {
            index: adapter.index,
            name: adapter.name,
            kind: adapter.kind,
            backend: adapter.backend,
            driver: adapter.driver,
            free_memory_bytes: adapter.free_memory,
            max_binding_bytes: caps.max_binding,
            max_buffer_bytes: caps.max_buffer,
            max_workgroup_memory_bytes: caps.max_workgroup_memory,
            shader_f16: caps.shader_f16,
            shader_int64: caps.shader_int64,
            timestamps: caps.timestamps,
            subgroup_sizes: (caps.subgroup != (0, 0)).then_some(caps.subgroup),
            kernels,
            self_test,
        }
    }

    fn features(&self) -> String {
        let mut features = Vec::new();
        if self.shader_f16 {
            features.push("f16".to_owned());
        }
        if self.shader_int64 {
            features.push("64-bit integers".to_owned());
        }
        match self.subgroup_sizes {
            Some((least, most)) if least == most => features.push(format!("subgroups of {least}")),
            Some((least, most)) => features.push(format!("subgroups of {least} to {most}")),
            None => {}
        }
        if self.timestamps {
            features.push("timestamps".to_owned());
        }
        if features.is_empty() { "none beyond WebGPU's defaults".to_owned() } else { features.join(", ") }
    }
}

/// The variant that a device ends up with, and why it is another one than it should be.
fn tested_kernels(index: usize) -> Result<(Variant, Option<String>)> {
    let mut gpu = Gpu::open(&GpuOptions { device: Some(index.to_string()), ..GpuOptions::default() })?;
    let stepped_back = self_test(&mut gpu)?;
    Ok((gpu.caps().variant, stepped_back))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>2}  {}", self.index, self.name)?;
        writeln!(f, "    kind        {} ({})", self.kind, self.backend)?;
        writeln!(f, "    driver      {}", self.driver)?;
        match self.free_memory_bytes {
            Some(bytes) => writeln!(f, "    memory      {} free", Memory(bytes)),
            None => writeln!(f, "    memory      not told by the driver"),
        }?;
        let (binding, buffer) = (Memory(self.max_binding_bytes), Memory(self.max_buffer_bytes));
        let shared = Memory(self.max_workgroup_memory_bytes.into());
        writeln!(f, "    limits      {binding} a binding, {buffer} a buffer, {shared} a workgroup")?;
        writeln!(f, "    features    {}", self.features())?;
        match self.kernels {
            Some(variant) => writeln!(f, "    kernels     {variant}"),
            None => writeln!(f, "    kernels     none: this device cannot be used"),
        }?;
        writeln!(f, "    self-test   {}", self.self_test)
    }
}

/// A number of bytes in the largest unit that fits.
struct Memory(u64);

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u32); 3] = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let unit = UNITS.iter().find(|(_, shift)| self.0 >> shift > 0);
        let Some((unit, shift)) = unit else { return write!(f, "{} bytes", self.0) };
        let amount = self.0 as f64 / (1u64 << shift) as f64;
        // 2 GiB − 1 byte is what drivers say for two gibibytes.
        let digits = usize::from((amount - amount.round()).abs() > 0.05);
        write!(f, "{amount:.digits$} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;

    #[test]
    fn sizes_are_rounded_to_what_a_reader_expects() {
        let text = |bytes| Memory(bytes).to_string();
        assert_eq!(text(128 << 20), "128 MiB");
        assert_eq!(text((4 << 30) - 1), "4 GiB");
        assert_eq!(text(3 << 29), "1.5 GiB");
        assert_eq!(text(16 << 10), "16 KiB");
    }
}
