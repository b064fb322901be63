//! Which adapters the machine has, and which one a run uses.

use super::{Caps, DeviceKind, GpuError, environment};

/// One adapter as `lora-wgpu devices` lists it.
#[derive(Clone, Debug)]
pub struct AdapterSummary {
    /// Position in the list, as `--device` takes it.
    pub index: usize,
    pub name: String,
    pub backend: String,
    pub driver: String,
    pub kind: DeviceKind,
    pub caps: Caps,
    /// Bytes, where the driver tells.
    pub free_memory: Option<u64>,
}

pub(super) fn instance() -> wgpu::Instance {
    environment::settle();
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    wgpu::Instance::new(descriptor)
}

/// Every adapter, each physical device once: where one shows up on two backends, Vulkan wins.
pub(super) fn enumerate(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    let mut adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    adapters.sort_by_key(|adapter| backend_rank(adapter.get_info().backend));
    let mut distinct: Vec<wgpu::Adapter> = Vec::new();
    for adapter in adapters {
        let info = adapter.get_info();
        let twin = |other: &wgpu::Adapter| same_device(&other.get_info(), &info);
        if !distinct.iter().any(twin) {
            distinct.push(adapter);
        }
    }
    distinct.sort_by_key(|adapter| kind_rank(DeviceKind::of(adapter.get_info().device_type)));
    distinct
}

/// Two backends' views of one GPU. The same backend lists twins only when there really are two.
fn same_device(a: &wgpu::AdapterInfo, b: &wgpu::AdapterInfo) -> bool {
    let same_bus =
        a.device_pci_bus_id.is_empty() || b.device_pci_bus_id.is_empty() || a.device_pci_bus_id == b.device_pci_bus_id;
    a.backend != b.backend && a.vendor == b.vendor && a.device == b.device && same_bus
}

fn backend_rank(backend: wgpu::Backend) -> u32 {
    match backend {
        wgpu::Backend::Vulkan => 0,
        wgpu::Backend::Metal => 1,
        wgpu::Backend::Dx12 => 2,
        _ => 3,
    }
}

fn kind_rank(kind: DeviceKind) -> u32 {
    match kind {
        DeviceKind::Discrete => 0,
        DeviceKind::Integrated => 1,
        DeviceKind::Other => 2,
        DeviceKind::Cpu => 3,
    }
}

/// Every adapter of this machine, best first.
pub fn list_adapters() -> Vec<AdapterSummary> {
    let adapters = enumerate(&instance());
    adapters.iter().enumerate().map(|(index, adapter)| summarize(index, adapter)).collect()
}

/// The adapter that `--device wanted` means.
///
/// # Errors
/// No adapter at all, or none that matches.
pub fn find_adapter(wanted: &str) -> Result<AdapterSummary, GpuError> {
    let (index, adapter) = select(enumerate(&instance()), Some(wanted))?;
    Ok(summarize(index, &adapter))
}

pub(super) fn summarize(index: usize, adapter: &wgpu::Adapter) -> AdapterSummary {
    let info = adapter.get_info();
    let caps = Caps::of(adapter, &adapter.limits(), adapter.features());
    AdapterSummary {
        index,
        name: info.name,
        backend: format!("{:?}", info.backend),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        kind: caps.kind,
        caps,
        free_memory: super::memory::free_memory(adapter),
    }
}

/// Numbers from here on are parts of names: `4090` means a card, `1` a place in the list.
const FIRST_MODEL_NUMBER: usize = 100;

/// Picks by index, by a part of the name (case ignored), or the best one where nothing is wanted.
pub(super) fn select(
    mut adapters: Vec<wgpu::Adapter>,
    wanted: Option<&str>,
) -> Result<(usize, wgpu::Adapter), GpuError> {
    if adapters.is_empty() {
        return Err(GpuError::NoAdapter);
    }
    let position = match wanted.map(|text| (text, text.parse::<usize>())) {
        None => Some(0),
        Some((_, Ok(index))) if index < FIRST_MODEL_NUMBER => (index < adapters.len()).then_some(index),
        Some((text, _)) => adapters.iter().position(|adapter| name_contains(adapter, text)),
    };
    let index = position.ok_or_else(|| unknown_device(&adapters, wanted.unwrap_or_default()))?;
    Ok((index, adapters.swap_remove(index)))
}

fn name_contains(adapter: &wgpu::Adapter, text: &str) -> bool {
    adapter.get_info().name.to_lowercase().contains(&text.to_lowercase())
}

fn unknown_device(adapters: &[wgpu::Adapter], wanted: &str) -> GpuError {
    let names = adapters.iter().enumerate().map(|(index, adapter)| format!("{index}: {}", adapter.get_info().name));
    GpuError::UnknownDevice { wanted: wanted.to_owned(), available: names.collect::<Vec<_>>().join(", ") }
}
