//! What a device can do, reduced to what kernel choice depends on.

use std::fmt;

use serde::Serialize;

/// The kinds of device that kernel choice and messages tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceKind {
    Discrete,
    Integrated,
    /// A software driver (lavapipe, WARP, SwiftShader).
    Cpu,
    Other,
}

impl DeviceKind {
    pub(super) fn of(device_type: wgpu::DeviceType) -> Self {
        match device_type {
            wgpu::DeviceType::DiscreteGpu => Self::Discrete,
            wgpu::DeviceType::IntegratedGpu => Self::Integrated,
            wgpu::DeviceType::Cpu => Self::Cpu,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete GPU",
            Self::Integrated => "integrated GPU",
            Self::Cpu => "CPU driver",
            Self::Other => "GPU of another kind",
        })
    }
}

/// The family of kernels used for GEMM, convolution and attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// One output element per invocation: the check of the others.
    Naive,
    /// Register-tiled, WebGPU's default limits, no feature.
    Portable,
    /// Subgroup-broadcast tiles for software drivers with exactly eight lanes.
    CpuDriver,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Naive => "naive",
            Self::Portable => "portable",
            Self::CpuDriver => "CPU-driver",
        })
    }
}

/// Capabilities and limits of one device.
#[derive(Clone, Debug)]
pub struct Caps {
    pub kind: DeviceKind,
    pub variant: Variant,
    /// Lanes per subgroup as (least, most); (0, 0) where subgroup operations are missing.
    pub subgroup: (u32, u32),
    pub shader_int64: bool,
    pub shader_f16: bool,
    pub timestamps: bool,
    /// Largest storage binding in bytes.
    pub max_binding: u64,
    /// Largest buffer in bytes.
    pub max_buffer: u64,
    /// Memory that a workgroup may share, in bytes.
    pub max_workgroup_memory: u32,
    /// Storage binding offsets are multiples of this many bytes.
    pub offset_alignment: u64,
}

impl Caps {
    /// What an adapter can do with `limits` and `features`, and the kernels chosen by that.
    pub(super) fn of(adapter: &wgpu::Adapter, limits: &wgpu::Limits, features: wgpu::Features) -> Self {
        let info = adapter.get_info();
        let subgroups = features.contains(wgpu::Features::SUBGROUP);
        let mut caps = Self {
            kind: DeviceKind::of(info.device_type),
            variant: Variant::Portable,
            subgroup: if subgroups { (info.subgroup_min_size, info.subgroup_max_size) } else { (0, 0) },
            shader_int64: features.contains(wgpu::Features::SHADER_INT64),
            shader_f16: features.contains(wgpu::Features::SHADER_F16),
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            max_binding: limits.max_storage_buffer_binding_size,
            max_buffer: limits.max_buffer_size,
            max_workgroup_memory: limits.max_compute_workgroup_storage_size,
            offset_alignment: u64::from(limits.min_storage_buffer_offset_alignment),
        };
        if caps.allows_cpu_driver_kernels() {
            caps.variant = Variant::CpuDriver;
        }
        caps
    }

    /// Whether the [`Variant::CpuDriver`] kernels are defined on this device: their tiles spell out eight lanes, and
    /// they load 64-bit words.
    pub fn allows_cpu_driver_kernels(&self) -> bool {
        self.kind == DeviceKind::Cpu && self.subgroup == (8, 8) && self.shader_int64
    }
}
