//! The order of channels: files and PyTorch have them first, the device has them last.

/// (N, C, pixels) to (N, pixels, C).
pub fn nchw_to_nhwc(values: &[f32], channels: usize, pixels: usize) -> Vec<f32> {
    transposed(values, channels, pixels)
}

/// (N, pixels, C) to (N, C, pixels).
pub fn nhwc_to_nchw(values: &[f32], channels: usize, pixels: usize) -> Vec<f32> {
    transposed(values, pixels, channels)
}

/// (N, rows, columns) to (N, columns, rows).
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for sample in values.chunks_exact(rows * columns) {
        for column in 0..columns {
            out.extend((0..rows).map(|row| sample[row * columns + column]));
        }
    }
    out
}
