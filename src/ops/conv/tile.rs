//! The kernels of a convolution and the work of their workgroups.

use crate::{
    gpu::{Access, KernelSpec, Variant},
    tape::DType,
};

use super::super::{bands::flat_workgroups, broadcast::BroadcastTile, gemm::weight_import, quads::result_import};

/// Workgroups that one dimension of a dispatch may have.
const MAX_WORKGROUPS: usize = 65_535;
/// Fewer workgroups than this leave a large GPU idle, and smaller tiles or slices pay.
const WANTED_WORKGROUPS: usize = 200;
/// Register tiles, from those that read least to those that give the most workgroups: rows, and slices of the taps.
const REGISTER_TILES: [(u32, u32); 7] = [(8, 1), (4, 1), (8, 3), (4, 3), (8, 9), (4, 9), (2, 9)];
/// The same where taps cannot be cut.
const WHOLE_TILES: [(u32, u32); 3] = [(8, 1), (4, 1), (2, 1)];

/// A kernel with its pixels × channels per workgroup.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tile {
    /// One invocation per pixel and four channels.
    Flat,
    /// 16·rows pixels × 64 channels; workgroups share the taps in `slices`, whose results are summed by another launch.
    Registers { rows: u32, slices: u32 },
    /// A subgroup of eight lanes.
    Broadcast(BroadcastTile),
}

impl Tile {
    /// The tile for `pixels` × `channels` results, each a sum of `k` products, whose taps may be cut where `sliceable`.
    pub fn choose(variant: Variant, pixels: usize, channels: usize, k: usize, sliceable: bool) -> Self {
        match variant {
            Variant::Naive => Self::Flat,
            Variant::Portable => {
                Self::registers(pixels, channels, if sliceable { &REGISTER_TILES } else { &WHOLE_TILES })
            }
            Variant::CpuDriver => Self::Broadcast(BroadcastTile::choose(pixels, channels, k)),
        }
    }

    /// The first tile that gives every core something to do, or the last.
    fn registers(pixels: usize, channels: usize, table: &[(u32, u32)]) -> Self {
        let mut tiles = table.iter().map(|&(rows, slices)| Self::Registers { rows, slices });
        let last = tiles.clone().next_back().expect("a table has tiles");
        tiles.find(|tile| tile.count(pixels, channels) >= WANTED_WORKGROUPS).unwrap_or(last)
    }

    fn count(self, pixels: usize, channels: usize) -> usize {
        self.workgroups(pixels, channels).map(|count| count as usize).iter().product()
    }

    /// Into how many slices the taps are cut.
    pub fn slices(self) -> usize {
        match self {
            Self::Registers { slices, .. } => slices as usize,
            Self::Flat | Self::Broadcast(_) => 1,
        }
    }

    /// Most pixels of one launch.
    pub fn max_pixels(self, channels: usize) -> usize {
        match self {
            Self::Flat => MAX_WORKGROUPS * MAX_WORKGROUPS / channels,
            Self::Registers { rows, .. } => MAX_WORKGROUPS * 16 * rows as usize,
            Self::Broadcast(tile) => MAX_WORKGROUPS * tile.rows(),
        }
    }

    pub fn workgroups(self, pixels: usize, channels: usize) -> [u32; 3] {
        let tiles = |pixel_tile: usize, channel_tile: usize| {
            [pixels.div_ceil(pixel_tile) as u32, channels.div_ceil(channel_tile) as u32, 1]
        };
        match self {
            Self::Flat => flat_workgroups(pixels * channels / 4),
            Self::Registers { rows, slices } => {
                let [x, y, _] = tiles(16 * rows as usize, 64);
                [x, y, slices]
            }
            Self::Broadcast(tile) => tiles(tile.rows(), tile.columns()),
        }
    }

    /// The kernel for `[K, N]` channels of a source, and weights, of these types. What slices add up is f32.
    pub fn kernel(self, source: DType, weight: DType, [k, n]: [usize; 2], transposed: bool, bias: bool) -> KernelSpec {
        let mut bindings = vec![Access::Read, Access::Read, Access::Read, Access::Write];
        if bias {
            bindings.push(Access::Read);
        }
        let kernel = |file, entry| KernelSpec::new(file, entry, &bindings);
        let kernel = match self {
            Self::Flat => kernel("conv_naive.wgsl", "naive").import(weight_import(weight)),
            Self::Registers { rows, slices } => {
                let result = if slices > 1 { DType::F32 } else { source };
                let kernel = kernel("conv_tiled.wgsl", "tiled").constant("ROWS", rows);
                kernel.import(weight_import(weight)).import(result_import(result))
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
