//! Opening the device that a command computes on, and saying which one it is.

use anyhow::{Context, Result};

use crate::{
    gpu::{DeviceKind, Gpu, GpuOptions, Variant},
    ops::self_test,
};

/// Kernel families by name.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Kernels {
    Naive,
    Portable,
    CpuDriver,
}

impl From<Kernels> for Variant {
    fn from(kernels: Kernels) -> Self {
        match kernels {
            Kernels::Naive => Self::Naive,
            Kernels::Portable => Self::Portable,
            Kernels::CpuDriver => Self::CpuDriver,
        }
    }
}

/// Opens the device and tests its kernels, unless a variant is forced. `say` gets the lines that the user is to read
/// before work starts: which device and kernels, and what is odd about them.
///
/// # Errors
/// No such device, one that does not open, or one that computes wrong results.
pub fn open(options: &GpuOptions, say: &mut dyn FnMut(&str)) -> Result<Gpu> {
    let mut gpu = Gpu::open(options)?;
    let mut stepped_back = None;
    if options.variant.is_none() {
        stepped_back = self_test(&mut gpu).with_context(|| {
            let name = &gpu.summary().name;
            format!("{name} does not compute what it should; update its driver or choose another device")
        })?;
    }
    announce(&gpu).iter().chain(&stepped_back).for_each(|line| say(line));
    Ok(gpu)
}

/// Which device and kernels are in use, and a line more where it is a CPU driver.
fn announce(gpu: &Gpu) -> Vec<String> {
    let (summary, variant) = (gpu.summary(), gpu.caps().variant);
    let mut lines =
        vec![format!("device {}: {} ({}), {variant} kernels", summary.index, summary.name, summary.backend)];
    if gpu.caps().kind == DeviceKind::Cpu {
        lines
            .push("warning: this is a CPU driver: it computes on the processor, far slower than a GPU does".to_owned());
    }
    lines
}
