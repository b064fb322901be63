//! The kernels of a convolution and the work of their workgroups.

use crate::{
    gpu::{Access, KernelSpec, Variant},
    tape::DType,
};

use super::super::bands::flat_workgroups;

/// Workgroups that one dimension of a dispatch may have.
const MAX_WORKGROUPS: usize = 65_535;
/// Pixels that a subgroup of the CPU driver's kernel computes, by eight.
const CPU_DRIVER_SETS: u32 = 2;

/// A kernel with its pixels × channels per workgroup.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tile {
    /// One invocation per pixel and four channels.
    Flat,
    /// A subgroup of eight lanes: 8·sets pixels × 32 channels.
    Broadcast { sets: u32 },
}

impl Tile {
    pub fn choose(variant: Variant, _pixels: usize, _channels: usize) -> Self {
        match variant {
            Variant::Naive => Self::Flat,
            Variant::Portable => Self::Flat,
            Variant::CpuDriver => Self::Broadcast { sets: CPU_DRIVER_SETS },
        }
    }

    /// Most pixels of one launch.
    pub fn max_pixels(self, channels: usize) -> usize {
        match self {
            Self::Flat => MAX_WORKGROUPS * MAX_WORKGROUPS / channels,
            Self::Broadcast { sets } => MAX_WORKGROUPS * 8 * sets as usize,
        }
    }

    pub fn workgroups(self, pixels: usize, channels: usize) -> [u32; 3] {
        let tiles = |pixel_tile: usize, channel_tile: usize| {
            [pixels.div_ceil(pixel_tile) as u32, channels.div_ceil(channel_tile) as u32, 1]
        };
        match self {
            Self::Flat => flat_workgroups(pixels * channels / 4),
            Self::Broadcast { sets } => tiles(8 * sets as usize, 32),
        }
    }

    pub fn kernel(self, weight: DType, transposed: bool, bias: bool) -> KernelSpec {
        let mut bindings = vec![Access::Read, Access::Read, Access::Write];
        if bias {
            bindings.push(Access::Read);
        }
        let kernel = match self {
            Self::Flat => KernelSpec::new("conv.wgsl", "naive", &bindings),
            Self::Broadcast { sets } => {
                KernelSpec::new("conv_cpu_driver.wgsl", "broadcast", &bindings).constant("SETS", sets)
            }
        };
        let bias = if bias { "shared/bias_f32.wgsl" } else { "shared/bias_none.wgsl" };
        kernel.constant("TRANSPOSED", u32::from(transposed)).import(weight_import(weight)).import(bias)
    }
}

fn weight_import(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "shared/weight_f32.wgsl",
        DType::F16 => "shared/weight_f16.wgsl",
        DType::BF16 => "shared/weight_bf16.wgsl",
        DType::U32 => panic!("conv3x3: weights are F32, F16 or BF16"),
    }
}
