//! The levels of multi-resolution noise: sd-scripts' `pyramid_noise_like`.

use crate::size::Size;

/// Shape of a latent, (H, W, C).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatentShape {
    pub size: Size,
    pub channels: usize,
}

impl LatentShape {
    pub fn elements(&self) -> usize {
        self.size.area() * self.channels
    }
}

/// Shapes of the levels: level i is a `ratios[i]`^i-th of `whole` along each side, at least a pixel. The first has the
/// full size; none follows one that is a pixel wide or high.
pub(super) fn levels(whole: LatentShape, ratios: &[f64]) -> Vec<LatentShape> {
    let mut levels = Vec::new();
    for (level, ratio) in (0..).zip(ratios) {
        let side = |side: usize| ((side as f64 / ratio.powi(level)) as usize).max(1);
        let size = Size::new(side(whole.size.width), side(whole.size.height));
        levels.push(LatentShape { size, ..whole });
        if size.height == 1 || size.width == 1 {
            break;
        }
    }
    levels
}

/// Adds to `noise` of `shape` each level's draws, which lie one level after the other, scaled up and times
/// `discount`^level.
pub(super) fn add_levels(noise: &mut [f32], shape: LatentShape, draws: &[f32], levels: &[LatentShape], discount: f64) {
    let mut first = 0;
    for (level, coarse) in (0..).zip(levels) {
        let draws = &draws[first..first + coarse.elements()];
        add_scaled_up(noise, shape, draws, coarse.size, discount.powi(level) as f32);
        first += coarse.elements();
    }
}

/// Bilinear without corner alignment, as `torch.nn.Upsample(mode="bilinear")`.
fn add_scaled_up(noise: &mut [f32], shape: LatentShape, coarse: &[f32], coarse_size: Size, factor: f32) {
    let LatentShape { size, channels } = shape;
    let rows = taps(size.height, coarse_size.height);
    let columns = taps(size.width, coarse_size.width);
    let at = |row: usize, column: usize| (row * coarse_size.width + column) * channels;
    for (y, row) in rows.iter().enumerate() {
        for (x, column) in columns.iter().enumerate() {
            let corners = [
                (at(row.near, column.near), (1.0 - row.share) * (1.0 - column.share)),
                (at(row.near, column.far), (1.0 - row.share) * column.share),
                (at(row.far, column.near), row.share * (1.0 - column.share)),
                (at(row.far, column.far), row.share * column.share),
            ];
            let pixel = (y * size.width + x) * channels;
            for (channel, value) in noise[pixel..pixel + channels].iter_mut().enumerate() {
                *value += factor * corners.iter().map(|(corner, share)| share * coarse[corner + channel]).sum::<f32>();
            }
        }
    }
}

/// Two neighbours along a side, and the share of the far one.
struct Taps {
    near: usize,
    far: usize,
    share: f32,
}

/// Where each of `length` places lies between those of a side of `coarse`.
fn taps(length: usize, coarse: usize) -> Vec<Taps> {
    let ratio = coarse as f32 / length as f32;
    let tap = |place: usize| {
        let source = ((place as f32 + 0.5) * ratio - 0.5).max(0.0);
        let near = (source as usize).min(coarse - 1);
        Taps { near, far: (near + 1).min(coarse - 1), share: source - near as f32 }
    };
    (0..length).map(tap).collect()
}

/// Divides all tensors by the standard deviation (of a sample, n − 1) over all of their elements.
pub(super) fn divide_by_deviation(tensors: &mut [Vec<f32>]) {
    let count = tensors.iter().map(Vec::len).sum::<usize>() as f64;
    let total = |of: &dyn Fn(f64) -> f64| tensors.iter().flatten().map(|&value| of(f64::from(value))).sum::<f64>();
    let mean = total(&|value| value) / count;
    let deviation = (total(&|value| (value - mean).powi(2)) / (count - 1.0)).sqrt();
    tensors.iter_mut().flatten().for_each(|value| *value = (f64::from(*value) / deviation) as f32);
}
