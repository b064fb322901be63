//! Dispatch sizes, and cutting work into bands whose bindings a device allows.

use std::ops::Range;

use bytemuck::Pod;

use crate::{
    gpu::{Cost, KernelSpec},
    tape::{Lowering, Value},
};

use super::quads::launch_quads;

/// Bands are laid out as if all values were f32, and start at multiples of so many bytes: those of f16 values then start
/// at multiples of 256, which every device takes as the start of a binding.
pub const BAND_ALIGNMENT: u64 = 512;

/// Workgroups of 256 invocations that cover `invocations`, laid out in x, then y, as `shared/index.wgsl` expects.
pub fn flat_workgroups(invocations: usize) -> [u32; 3] {
    workgroup_grid(invocations.div_ceil(256).max(1))
}

/// `count` workgroups laid out in x, then y; the last row may hold some too many.
pub fn workgroup_grid(count: usize) -> [u32; 3] {
    let x = count.min(65_535);
    [x as u32, count.div_ceil(x) as u32, 1]
}

/// Cuts `rows` into consecutive ranges of at most `limit` bytes that start at multiples of `alignment` bytes.
///
/// # Panics
/// Where the fewest rows between two such starts exceed the limit.
pub fn bands(
    rows: usize,
    bytes_per_row: u64,
    limit: u64,
    alignment: u64,
) -> impl Iterator<Item = Range<usize>> + use<> {
    let most = (limit / bytes_per_row) as usize;
    let band = if rows <= most {
        rows
    } else {
        let step = aligned_rows(bytes_per_row, alignment);
        most / step * step
    };
    assert!(band > 0, "no band of rows of {bytes_per_row} bytes fits into bindings of {limit} bytes");
    (0..rows).step_by(band).map(move |start| start..rows.min(start + band))
}

/// Fewest rows whose bytes are a multiple of `alignment`, a power of two.
pub fn aligned_rows(bytes_per_row: u64, alignment: u64) -> usize {
    let shared = 1 << bytes_per_row.trailing_zeros().min(alignment.trailing_zeros());
    (alignment / shared) as usize
}

/// Launches an element-by-element kernel over values of one size, one invocation per four elements, in as many bands as
/// the device's limit asks for. Quads are of the first value's type. `per_element` is the cost of one element in f32;
/// `params` gets a band's size in vectors of four.
///
/// # Panics
/// Where the size is no multiple of four.
pub fn launch_elementwise<P: Pod>(
    lowering: &mut Lowering<'_>,
    kernel: &KernelSpec,
    values: &[Value],
    per_element: Cost,
    params: impl Fn(u32) -> P,
) {
    for band in vector_bands(lowering, values[0]) {
        let args = values.iter().map(|value| value.part(4 * band.start..4 * band.end)).collect();
        let count = 4 * band.len() as u64;
        let cost = Cost { flops: per_element.flops * count, bytes: per_element.bytes * count };
        launch_quads(lowering, values[0], kernel, args, &params(band.len() as u32), flat_workgroups(band.len()), cost);
    }
}

/// The bands, in vectors of four, of an element-by-element kernel over values like this one.
///
/// # Panics
/// Where the size is no multiple of four.
pub fn vector_bands(lowering: &Lowering<'_>, value: Value) -> impl Iterator<Item = Range<usize>> + use<> {
    let elements = lowering.elements(value);
    assert_eq!(elements % 4, 0, "{elements} elements are no multiple of 4");
    bands(elements / 4, 16, lowering.caps().max_binding, BAND_ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_band_where_everything_fits() {
        assert!(bands(7, 12, 84, 256).eq(std::iter::once(0..7)));
    }

    #[test]
    fn bands_stay_below_the_limit_and_start_aligned() {
        // 48-byte rows: every 16th starts at a multiple of 256 bytes; 2,000 bytes hold 41 rows, so 32 are taken.
        assert_eq!(bands(70, 48, 2_000, 256).collect::<Vec<_>>(), [0..32, 32..64, 64..70]);
        // Rows that are aligned by themselves are packed to the last one that fits.
        assert_eq!(bands(5, 512, 1_100, 256).collect::<Vec<_>>(), [0..2, 2..4, 4..5]);
    }

    #[test]
    #[should_panic(expected = "no band of rows of 48 bytes fits")]
    fn a_limit_below_one_aligned_step_is_refused() {
        let _ = bands(70, 48, 700, 256).count();
    }

    #[test]
    fn grids_cover_all_invocations() {
        assert_eq!(flat_workgroups(1), [1, 1, 1]);
        assert_eq!(flat_workgroups(65_535 * 256 + 1), [65_535, 2, 1]);
    }
}
