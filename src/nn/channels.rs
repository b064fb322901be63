//! The order of channels: files and PyTorch have them first, the device has them last.

/// (N, C, pixels) to (N, pixels, C).
pub fn nchw_to_nhwc(values: &[f32], channels: usize, pixels: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for sample in values.chunks_exact(channels * pixels) {
        for pixel in 0..pixels {
            out.extend((0..channels).map(|channel| sample[channel * pixels + pixel]));
        }
    }
    out
}

/// (N, pixels, C) to (N, C, pixels).
pub fn nhwc_to_nchw(values: &[f32], channels: usize, pixels: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for sample in values.chunks_exact(channels * pixels) {
        for channel in 0..channels {
            out.extend((0..pixels).map(|pixel| sample[pixel * channels + channel]));
        }
    }
    out
}
