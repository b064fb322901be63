//! Block sizes of the kernels that own rows; those of the flash kernels lie within WebGPU's default limits.

use crate::gpu::KernelSpec;

/// What a kernel computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Forward,
    /// Gradient of the queries.
    Query,
    /// Gradients of keys and values.
    Keys,
}

/// How a workgroup splits its work: see `shared/attention_tile.wgsl`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// Invocations that share a row.
    slices: usize,
    /// Rows that such invocations own together.
    rows: usize,
    /// Streamed rows per block.
    columns: usize,
    invocations: usize,
}

impl Tile {
    /// The table. An invocation's registers hold `rows` slices of at most 5 vec4s (8 above 160 channels): of 2, 3 and
    /// 4 values in the passes forward, for queries and for keys. Workgroup memory bounds `columns`.
    pub fn of(pass: Pass, head: usize) -> Self {
        let slices = match head {
            0..=20 => 1,
            21..=40 => 2,
            41..=80 => 4,
            81..=160 => 8,
            _ => 16,
        };
        let (rows, columns, invocations) = match (pass, head) {
            (Pass::Forward, 0..=160) => (2, 8, 128),
            (Pass::Forward, _) => (2, 4, 128),
            (Pass::Query, 0..=80) => (2, 8, 64),
            (Pass::Query, _) => (2, 4, 64),
            (Pass::Keys, 0..=160) => (1, 8, 64),
            (Pass::Keys, _) => (1, 4, 64),
        };
        Self { slices, rows, columns, invocations }
    }

    pub fn constants(self, kernel: KernelSpec, head: usize) -> KernelSpec {
        kernel
            .constant("SLICES", self.slices as u32)
            .constant("SLICE4", self.slice4(head) as u32)
            .constant("ROWS", self.rows as u32)
            .constant("COLUMNS", self.columns as u32)
            .constant("WORKGROUP", self.invocations as u32)
            .constant("EACH", (self.columns * self.slices * self.slice4(head)).div_ceil(self.invocations) as u32)
    }

    /// Rows that a workgroup owns.
    pub fn workgroup_rows(self) -> usize {
        self.invocations / self.slices * self.rows
    }

    fn slice4(self, head: usize) -> usize {
        (head / 4).div_ceil(self.slices)
    }
}

/// Lanes of the CPU drivers' subgroups.
pub(super) const LANES: usize = 8;

/// Whether the CPU drivers' kernels are for heads of this size: they load eight channels at a time.
pub(super) fn fits_lanes(head: usize) -> bool {
    head.is_multiple_of(8) && head <= 80
}

/// Rows that a lane of the CPU drivers' kernels owns: more of them share a load, and lengthen the code.
pub(super) fn lane_rows(pass: Pass, head: usize) -> usize {
    let vectors = match pass {
        Pass::Forward => 40,
        Pass::Query | Pass::Keys => 20,
    };
    (vectors / (head / 4)).clamp(1, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the workgroup arrays that the three shaders declare.
    fn workgroup_bytes(pass: Pass, head: usize) -> usize {
        let tile = Tile::of(pass, head);
        let (streamed, exchanged) = if pass == Pass::Forward { (1, 1) } else { (2, 2) };
        let blocks = streamed * tile.columns * tile.slices * tile.slice4(head) * 16;
        let partials = exchanged * tile.invocations * tile.rows * tile.columns * 4;
        let statistics = if pass == Pass::Keys { 2 * tile.columns * 4 } else { 0 };
        blocks + partials + statistics
    }

    #[test]
    fn every_head_size_fits_into_default_workgroup_memory() {
        for head in (4..=512).step_by(4) {
            assert!(workgroup_bytes(Pass::Forward, head) <= 16_384, "forward, {head}");
        }
        for head in (4..=super::super::MAX_TRAINED_HEAD).step_by(4) {
            assert!(workgroup_bytes(Pass::Query, head) <= 16_384, "queries, {head}");
            assert!(workgroup_bytes(Pass::Keys, head) <= 16_384, "keys, {head}");
        }
    }
}
