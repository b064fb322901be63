//! The kernels of a convolution and the work of their workgroups.

use crate::{
    gpu::{Access, KernelSpec, Variant},
    tape::DType,
};

use super::super::{bands::flat_workgroups, gemm::weight_import};

/// Workgroups that one dimension of a dispatch may have.
const MAX_WORKGROUPS: usize = 65_535;
/// Fewer workgroups than this leave a GPU idle, and smaller tiles pay.
const WANTED_WORKGROUPS: usize = 128;

/// A kernel with its pixels × channels per workgroup.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tile {
    /// One invocation per pixel and four channels.
    Flat,
    /// 16·rows pixels × 64 channels.
    Registers { rows: u32 },
    /// A subgroup of eight lanes: 8·sets pixels × 32·quads channels.
    Broadcast { sets: u32, quads: u32 },
}

impl Tile {
    /// The tile for `pixels` × `channels` results.
    pub fn choose(variant: Variant, pixels: usize, channels: usize) -> Self {
        match variant {
            Variant::Naive => Self::Flat,
            Variant::Portable => Self::registers(pixels, channels),
            Variant::CpuDriver => Self::broadcast(pixels, channels),
        }
    }

    /// The largest tile that still gives every core something to do.
    fn registers(pixels: usize, channels: usize) -> Self {
        let enough = |rows: &u32| Self::Registers { rows: *rows }.count(pixels, channels) >= WANTED_WORKGROUPS;
        Self::Registers { rows: [8, 4].into_iter().find(enough).unwrap_or(2) }
    }

    /// Large tiles load least for each product, unless the last one is mostly empty.
    fn broadcast(pixels: usize, channels: usize) -> Self {
        let fits = |size: usize, tile: usize| 10 * size.next_multiple_of(tile) <= 11 * size.next_multiple_of(tile / 2);
        Self::Broadcast { sets: if fits(pixels, 32) { 4 } else { 2 }, quads: if fits(channels, 64) { 2 } else { 1 } }
    }

    fn count(self, pixels: usize, channels: usize) -> usize {
        let [x, y, _] = self.workgroups(pixels, channels);
        x as usize * y as usize
    }

    /// Most pixels of one launch.
    pub fn max_pixels(self, channels: usize) -> usize {
        match self {
            Self::Flat => MAX_WORKGROUPS * MAX_WORKGROUPS / channels,
            Self::Registers { rows } => MAX_WORKGROUPS * 16 * rows as usize,
            Self::Broadcast { sets, .. } => MAX_WORKGROUPS * 8 * sets as usize,
        }
    }

    pub fn workgroups(self, pixels: usize, channels: usize) -> [u32; 3] {
        let tiles = |pixel_tile: usize, channel_tile: usize| {
            [pixels.div_ceil(pixel_tile) as u32, channels.div_ceil(channel_tile) as u32, 1]
        };
        match self {
            Self::Flat => flat_workgroups(pixels * channels / 4),
            Self::Registers { rows } => tiles(16 * rows as usize, 64),
            Self::Broadcast { sets, quads } => tiles(8 * sets as usize, 32 * quads as usize),
        }
    }

    pub fn kernel(self, weight: DType, transposed: bool, bias: bool) -> KernelSpec {
        let mut bindings = vec![Access::Read, Access::Read, Access::Write];
        if bias {
            bindings.push(Access::Read);
        }
        let kernel = match self {
            Self::Flat => KernelSpec::new("conv_naive.wgsl", "naive", &bindings),
            Self::Registers { rows } => KernelSpec::new("conv_tiled.wgsl", "tiled", &bindings).constant("ROWS", rows),
            Self::Broadcast { sets, quads } => {
                let kernel = KernelSpec::new("conv_cpu.wgsl", "broadcast", &bindings);
                kernel.constant("SETS", sets).constant("QUADS", quads)
            }
        };
        let bias = if bias { "shared/bias_f32.wgsl" } else { "shared/bias_none.wgsl" };
        kernel.constant("TRANSPOSED", u32::from(transposed)).import(weight_import(weight)).import(bias)
    }
}
