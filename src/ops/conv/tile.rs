//! The kernels of a convolution and the work of their workgroups.

use crate::{
    gpu::{Access, KernelSpec, Variant},
    tape::DType,
};

use super::super::{bands::flat_workgroups, broadcast::BroadcastTile, gemm::weight_import};

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
    /// A subgroup of eight lanes.
    Broadcast(BroadcastTile),
}

impl Tile {
    /// The tile for `pixels` × `channels` results, each a sum of `k` products.
    pub fn choose(variant: Variant, pixels: usize, channels: usize, k: usize) -> Self {
        match variant {
            Variant::Naive => Self::Flat,
            Variant::Portable => Self::registers(pixels, channels),
            Variant::CpuDriver => Self::Broadcast(BroadcastTile::choose(pixels, channels, k)),
        }
    }

    /// The largest tile that still gives every core something to do.
    fn registers(pixels: usize, channels: usize) -> Self {
        let enough = |rows: &u32| Self::Registers { rows: *rows }.count(pixels, channels) >= WANTED_WORKGROUPS;
        Self::Registers { rows: [8, 4].into_iter().find(enough).unwrap_or(2) }
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
            Self::Broadcast(tile) => MAX_WORKGROUPS * tile.rows(),
        }
    }

    pub fn workgroups(self, pixels: usize, channels: usize) -> [u32; 3] {
        let tiles = |pixel_tile: usize, channel_tile: usize| {
            [pixels.div_ceil(pixel_tile) as u32, channels.div_ceil(channel_tile) as u32, 1]
        };
        match self {
            Self::Flat => flat_workgroups(pixels * channels / 4),
            Self::Registers { rows } => tiles(16 * rows as usize, 64),
            Self::Broadcast(tile) => tiles(tile.rows(), tile.columns()),
        }
    }

    /// The kernel for `[K, N]` channels of a source, and weights, of these types.
    pub fn kernel(self, source: DType, weight: DType, [k, n]: [usize; 2], transposed: bool, bias: bool) -> KernelSpec {
        let mut bindings = vec![Access::Read, Access::Read, Access::Read, Access::Write];
        if bias {
            bindings.push(Access::Read);
        }
        let kernel = |file, entry| KernelSpec::new(file, entry, &bindings);
        let kernel = match self {
            Self::Flat => kernel("conv_naive.wgsl", "naive").import(weight_import(weight)),
            Self::Registers { rows } => {
                kernel("conv_tiled.wgsl", "tiled").constant("ROWS", rows).import(weight_import(weight))
            }
            Self::Broadcast(tile) => {
                let wide_weight =
                    if transposed { k.is_multiple_of(8) } else { n.is_multiple_of(8) && tile.has_pairs() };
                let kernel = kernel("conv_cpu.wgsl", "broadcast");
                tile.kernel(kernel, (source, k.is_multiple_of(8)), (weight, wide_weight))
            }
        };
        let bias = if bias { "shared/bias_f32.wgsl" } else { "shared/bias_none.wgsl" };
        kernel.constant("TRANSPOSED", u32::from(transposed)).import(bias)
    }
}
