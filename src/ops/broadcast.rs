//! What the CPU drivers' GEMM and convolution share: the size of their tiles, and how wide they load.

use crate::{gpu::KernelSpec, tape::DType};

use super::{
    gemm::weight_import,
    quads::{octet_import, quad_import},
};

/// Rows of a tile, and vectors of four columns for each of its eight lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BroadcastTile {
    rows: usize,
    quads: usize,
}

/// Fewest multiplications of a product that pay for the large tile's kernel, which takes a driver seconds to compile.
const LARGE_PRODUCT: usize = 1 << 24;

impl BroadcastTile {
    /// For `rows` × `columns` sums of `products` multiplications. Large tiles load least for each product; they are for
    /// much work, and where the last tile is not mostly empty.
    pub fn choose(rows: usize, columns: usize, products: usize) -> Self {
        let large = rows * columns * products >= LARGE_PRODUCT && fits(rows, 64, 16);
        let pairs = columns.div_ceil(4).is_multiple_of(2);
        Self { rows: if large { 64 } else { 16 }, quads: if pairs && fits(columns, 64, 32) { 2 } else { 1 } }
    }

    pub fn rows(self) -> usize {
        self.rows
    }

    pub fn columns(self) -> usize {
        32 * self.quads
    }

    /// Whether lanes hold eight adjacent columns, so that they can load them at once.
    pub fn has_pairs(self) -> bool {
        self.quads == 2
    }

    /// `kernel` with this tile. An operand has a type, and may be wide: its rows are then multiples of eight elements,
    /// which the kernel loads at once.
    pub fn kernel(self, kernel: KernelSpec, source: (DType, bool), weight: (DType, bool)) -> KernelSpec {
        let source = match source {
            (dtype, true) => [octet_import(dtype), "shared/source8_wide.wgsl"],
            (dtype, false) => [quad_import(dtype), "shared/source8_narrow.wgsl"],
        };
        let weights = match (weight.1, weight.0) {
            (true, DType::F32) => ["shared/weight8_f32.wgsl", "shared/weight8_wide.wgsl"],
            (true, DType::F16) => ["shared/weight8_f16.wgsl", "shared/weight8_wide.wgsl"],
            (true, DType::BF16) => ["shared/weight8_bf16.wgsl", "shared/weight8_wide.wgsl"],
            (_, weight) => [weight_import(weight), "shared/weight8_narrow.wgsl"],
        };
        let kernel = kernel.constant("ROWS", self.rows as u32).constant("QUADS", self.quads as u32);
        source.into_iter().chain(weights).fold(kernel, KernelSpec::import)
    }
}

/// Whether large tiles waste little more than small ones.
fn fits(size: usize, large: usize, small: usize) -> bool {
    10 * size.next_multiple_of(large) <= 11 * size.next_multiple_of(small)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(rows: usize, columns: usize, products: usize) -> (usize, usize) {
        let tile = BroadcastTile::choose(rows, columns, products);
        (tile.rows(), tile.columns())
    }

    #[test]
    fn tiles_are_large_where_they_are_filled() {
        assert_eq!(tile(1024, 640, 640), (64, 64));
        assert_eq!(tile(16, 1280, 1280), (16, 64));
        assert_eq!(tile(77, 320, 768), (16, 64));
        assert_eq!(tile(1024, 80, 1024), (64, 32));
    }

    #[test]
    fn small_products_share_the_small_tile() {
        assert_eq!(tile(1024, 64, 64), (16, 64));
        assert_eq!(tile(1024, 16, 320), (16, 32));
    }

    #[test]
    fn an_odd_number_of_vectors_is_not_paired() {
        assert_eq!(tile(64, 60, 64), (16, 32));
    }
}
