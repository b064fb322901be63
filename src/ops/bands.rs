//! Dispatch sizes, and cutting work into bands whose bindings a device allows.

use std::ops::Range;

/// Bytes whose multiples every device takes as the start of a binding.
pub const BAND_ALIGNMENT: u64 = 256;

/// Workgroups of 256 invocations that cover `invocations`, laid out in x, then y, as `shared/index.wgsl` expects.
pub fn flat_workgroups(invocations: usize) -> [u32; 3] {
    let count = invocations.div_ceil(256).max(1);
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
