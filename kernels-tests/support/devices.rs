//! The ways every case is run: each kernel variant, and once more with WebGPU's default limits and no feature.

use std::sync::OnceLock;

use lora_wgpu::gpu::{Gpu, GpuOptions, Variant};

use crate::tools::skip_without;

/// One open device with a name for messages.
pub struct Device {
    pub name: &'static str,
    pub gpu: Gpu,
}

/// The devices to run every case on.
pub fn devices() -> &'static [Device] {
    static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let mut devices = vec![
            open("naive", Variant::Naive, false),
            open("portable", Variant::Portable, false),
            open("portable with default limits", Variant::Portable, true),
        ];
        if devices[0].gpu.caps().allows_cpu_driver_kernels() {
            devices.push(open("cpu driver", Variant::CpuDriver, false));
        } else {
            skip_without("lavapipe");
        }
        devices
    })
}

/// [`devices`], and one whose bindings hold 4 KiB, so that small tensors already take several launches.
pub fn devices_and_bands() -> impl Iterator<Item = &'static Device> {
    static BANDED: OnceLock<Device> = OnceLock::new();
    let banded = BANDED.get_or_init(|| {
        let options = GpuOptions { variant: Some(Variant::Portable), max_binding: Some(4096), ..Default::default() };
        open_with("4 KiB bindings", &options)
    });
    devices().iter().chain([banded])
}

fn open(name: &'static str, variant: Variant, default_limits: bool) -> Device {
    let options = GpuOptions { variant: Some(variant), default_limits, ..Default::default() };
    open_with(name, &options)
}

fn open_with(name: &'static str, options: &GpuOptions) -> Device {
    let gpu = Gpu::open(options).expect("the tests need a Vulkan driver; tools/setup.sh installs one");
    Device { name, gpu }
}
