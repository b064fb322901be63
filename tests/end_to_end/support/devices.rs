//! The devices that the tests run on, opened once each.

use std::sync::OnceLock;

use lora_wgpu::gpu::{Gpu, GpuOptions, Variant};

use crate::tools::skip_without;

/// The best device with the kernels that run on every device.
pub fn portable() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| open(Variant::Portable))
}

/// A software driver with the kernels written for it; `None` on other devices.
pub fn cpu_driver() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    GPU.get_or_init(|| {
        let allowed = portable().caps().allows_cpu_driver_kernels();
        if !allowed {
            skip_without("lavapipe");
        }
        allowed.then(|| open(Variant::CpuDriver))
    })
    .as_ref()
}

fn open(variant: Variant) -> Gpu {
    let options = GpuOptions { variant: Some(variant), ..Default::default() };
    Gpu::open(&options).expect("the tests need a Vulkan driver; on Debian mesa-vulkan-drivers has one")
}
