//! How much memory a device has left. WebGPU does not tell, but what lies below it mostly does.

/// Bytes that the device can still give, where its driver tells. Metal does not count what other programs use.
pub(super) fn free_memory(adapter: &wgpu::Adapter) -> Option<u64> {
    #[cfg(target_vendor = "apple")]
    let free = free_memory_metal(adapter);
    #[cfg(not(target_vendor = "apple"))]
    let free = free_memory_vulkan(adapter);
    #[cfg(windows)]
    let free = free.or_else(|| free_memory_dxgi(adapter));
    free.filter(|&bytes| bytes > 0)
}

/// By `VK_EXT_memory_budget`, of the device's largest heap of its own.
#[cfg(not(target_vendor = "apple"))]
fn free_memory_vulkan(adapter: &wgpu::Adapter) -> Option<u64> {
    use ash::vk;

    // SAFETY: the adapter is only asked for its properties.
    let adapter = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let (shared, device) = (adapter.shared_instance(), adapter.raw_physical_device());
    if shared.instance_api_version() < vk::API_VERSION_1_1 {
        return None;
    }
    let instance = shared.raw_instance();
    // SAFETY: instance and physical device live as long as the adapter.
    let extensions = unsafe { instance.enumerate_device_extension_properties(device) }.ok()?;
    let tells = |name: &vk::ExtensionProperties| name.extension_name_as_c_str() == Ok(ash::ext::memory_budget::NAME);
    if !extensions.iter().any(tells) {
        return None;
    }
    let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
    let mut properties = vk::PhysicalDeviceMemoryProperties2::default().push_next(&mut budget);
    // SAFETY: as above, and Vulkan 1.1 has this call.
    unsafe { instance.get_physical_device_memory_properties2(device, &mut properties) };
    let heaps = properties.memory_properties;
    let own = (0..heaps.memory_heap_count as usize)
        .filter(|&heap| heaps.memory_heaps[heap].flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL))
        .max_by_key(|&heap| heaps.memory_heaps[heap].size)?;
    Some(budget.heap_budget[own].saturating_sub(budget.heap_usage[own]))
}

/// What Windows grants this program of the adapter's own memory.
#[cfg(windows)]
fn free_memory_dxgi(adapter: &wgpu::Adapter) -> Option<u64> {
    // SAFETY: the adapter is only asked.
    let adapter = unsafe { adapter.as_hal::<wgpu::hal::api::Dx12>() }?;
    // The default is the group of memory that is the adapter's own.
    let memory = adapter.raw_adapter().query_video_memory_info(Default::default()).ok()?;
    Some(memory.Budget.saturating_sub(memory.CurrentUsage))
}

/// What Metal recommends that this program uses, without what it uses already. Vulkan on top of Metal is not asked.
#[cfg(target_vendor = "apple")]
fn free_memory_metal(adapter: &wgpu::Adapter) -> Option<u64> {
    use objc2_metal::MTLDevice;

    // SAFETY: the adapter is only asked.
    let adapter = unsafe { adapter.as_hal::<wgpu::hal::api::Metal>() }?;
    let device = adapter.raw_device();
    Some(device.recommendedMaxWorkingSetSize().saturating_sub(device.currentAllocatedSize() as u64))
}
