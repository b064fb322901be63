//! Pillow's LANCZOS and BICUBIC, byte for byte: the resampling of Python's trainers and of its captioners.
//!
//! Pillow resamples 8-bit pictures in fixed point, rows and columns in two passes. A weight is
//! `filter((x + 0.5 − centre) / max(scale, 1))`, normalized to sum 1 and rounded to 22 bits; each pass rounds to
//! 8 bits, so their order shows, and it is that of Pillow 13. Only the output pixels inside a crop are computed, so
//! that a panorama never exists at full resized width.

use std::f64::consts::PI;

use crate::size::Size;

const WEIGHT_BITS: u32 = 22;

/// How source pixels are weighted by their distance t from an output pixel, in pixels of the coarser picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// sinc(t)·sinc(t/3) for |t| < 3.
    Lanczos,
    /// Keys' cubic convolution with a = −0.5 for |t| < 2.
    Bicubic,
}

impl Filter {
    /// The distance from which on every weight is 0.
    fn radius(self) -> f64 {
        match self {
            Self::Lanczos => 3.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, t: f64) -> f64 {
        match self {
            _ if t.abs() >= self.radius() => 0.0,
            Self::Lanczos => sinc(t) * sinc(t / self.radius()),
            Self::Bicubic => cubic(t.abs()),
        }
    }
}

fn sinc(t: f64) -> f64 {
    if t == 0.0 { 1.0 } else { (t * PI).sin() / (t * PI) }
}

/// Keys' cubic at 0 ≤ t < 2.
fn cubic(t: f64) -> f64 {
    const A: f64 = -0.5;
    if t < 1.0 { ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0 } else { (((t - 5.0) * t + 8.0) * t - 4.0) * A }
}

/// An 8-bit RGB picture, `rgb` being (height, width, 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbPicture {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
}

impl RgbPicture {
    pub fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

/// An 8-bit picture in grey, `grey` being (height, width).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GreyPicture {
    pub width: usize,
    pub height: usize,
    pub grey: Vec<u8>,
}

impl GreyPicture {
    /// Means over squares of `side` pixels, 0 to 1: (height/side, width/side), as torch's `interpolate(mode="area")`.
    ///
    /// # Panics
    /// Where a side of the picture is no multiple of `side`.
    pub fn square_means(&self, side: usize) -> Vec<f32> {
        let (width, height) = (self.width, self.height);
        assert!(width.is_multiple_of(side) && height.is_multiple_of(side), "{width}x{height} in squares of {side}");
        let whole = (255 * side * side) as f32;
        let mut means = Vec::with_capacity(self.grey.len() / (side * side));
        for rows in self.grey.chunks_exact(side * width) {
            means.extend((0..width / side).map(|square| {
                let parts = rows.chunks_exact(width).flat_map(|row| &row[square * side..][..side]);
                parts.map(|&level| u32::from(level)).sum::<u32>() as f32 / whole
            }));
        }
        means
    }
}

/// How one side is resampled: from `source` pixels to `resized` pixels, of which only `kept` from `offset` on are
/// wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    pub source: usize,
    pub resized: usize,
    pub offset: usize,
    pub kept: usize,
}

impl Side {
    /// Keeps all of the resized side.
    pub fn whole(source: usize, resized: usize) -> Self {
        Self { source, resized, offset: 0, kept: resized }
    }

    /// Keeps the middle of the resized side: the overhang d is cut from ⌊d/2⌋ on.
    pub fn centred(source: usize, resized: usize, kept: usize) -> Self {
        Self { source, resized, offset: (resized - kept) / 2, kept }
    }
}

/// The weights of one output pixel, for the source pixels from `first` on.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// Resizes `picture` and crops the result, as Pillow's `resize(…, filter)` followed by `crop` would.
pub fn resize_and_crop(picture: &RgbPicture, filter: Filter, horizontal: Side, vertical: Side) -> RgbPicture {
    assert_eq!((horizontal.source, vertical.source), (picture.width, picture.height), "sides of another picture");
    let rgb = resample::<3>(&picture.rgb, filter, horizontal, vertical);
    RgbPicture { width: horizontal.kept, height: vertical.kept, rgb }
}

/// As [`resize_and_crop`], of a picture in grey.
pub fn resize_and_crop_grey(picture: &GreyPicture, filter: Filter, horizontal: Side, vertical: Side) -> GreyPicture {
    assert_eq!((horizontal.source, vertical.source), (picture.width, picture.height), "sides of another picture");
    let grey = resample::<1>(&picture.grey, filter, horizontal, vertical);
    GreyPicture { width: horizontal.kept, height: vertical.kept, grey }
}

/// Of samples (height, width, `CHANNELS`).
fn resample<const CHANNELS: usize>(samples: &[u8], filter: Filter, horizontal: Side, vertical: Side) -> Vec<u8> {
    let (across, down) = (taps(filter, horizontal), taps(filter, vertical));
    let (source, resampled) = (CHANNELS * horizontal.source, CHANNELS * horizontal.kept);
    if columns_first(horizontal, vertical) {
        resample_rows::<CHANNELS>(&resample_columns(samples, source, &down), source, &across)
    } else {
        resample_columns(&resample_rows::<CHANNELS>(samples, source, &across), resampled, &down)
    }
}

/// Whether Pillow resamples the columns before the rows: from version 13 on it does where the height loses pixels, and
/// more than twice as many as the width. Older versions always begin with the rows.
fn columns_first(horizontal: Side, vertical: Side) -> bool {
    let lost = |side: Side| side.source as i64 - side.resized as i64;
    lost(vertical) > (2 * lost(horizontal)).max(0)
}

fn taps(filter: Filter, side: Side) -> Vec<Taps> {
    (side.offset..side.offset + side.kept).map(|pixel| pixel_taps(filter, side, pixel)).collect()
}

fn pixel_taps(filter: Filter, side: Side, pixel: usize) -> Taps {
    let scale = side.source as f64 / side.resized as f64;
    let widening = scale.max(1.0);
    let reach = filter.radius() * widening;
    let centre = (pixel as f64 + 0.5) * scale;
    // Float-to-integer casts saturate: what lies left of the picture becomes 0.
    let first = (centre - reach + 0.5) as usize;
    let end = ((centre + reach + 0.5) as usize).min(side.source);
    let weights: Vec<f64> = (first..end).map(|x| filter.weight((x as f64 - centre + 0.5) * (1.0 / widening))).collect();
    let sum: f64 = weights.iter().sum();
    Taps { first, weights: weights.iter().map(|weight| fixed_point(weight / sum)).collect() }
}

fn fixed_point(weight: f64) -> i32 {
    (weight * f64::from(1 << WEIGHT_BITS)).round() as i32
}

/// Rounds a fixed-point sum to a byte.
fn to_byte(sum: i32) -> u8 {
    ((sum + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS).clamp(0, 255) as u8
}

fn resample_rows<const CHANNELS: usize>(samples: &[u8], row_bytes: usize, taps: &[Taps]) -> Vec<u8> {
    let mut resampled = Vec::with_capacity(samples.len() / row_bytes * taps.len() * CHANNELS);
    for row in samples.chunks_exact(row_bytes) {
        for Taps { first, weights } in taps {
            let mut sums = [0; CHANNELS];
            for (pixel, weight) in row[first * CHANNELS..].chunks_exact(CHANNELS).zip(weights) {
                for (sum, &byte) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(byte) * weight;
                }
            }
            resampled.extend(sums.map(to_byte));
        }
    }
    resampled
}

fn resample_columns(samples: &[u8], row_bytes: usize, taps: &[Taps]) -> Vec<u8> {
    let mut resampled = Vec::with_capacity(taps.len() * row_bytes);
    let mut sums = vec![0; row_bytes];
    for Taps { first, weights } in taps {
        sums.fill(0);
        for (row, weight) in samples[first * row_bytes..].chunks_exact(row_bytes).zip(weights) {
            for (sum, &byte) in sums.iter_mut().zip(row) {
                *sum += i32::from(byte) * weight;
            }
        }
        resampled.extend(sums.iter().map(|&sum| to_byte(sum)));
    }
    resampled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(bytes: &[u8]) -> RgbPicture {
        let picture = image::load_from_memory(bytes).unwrap().into_rgb8();
        RgbPicture { width: picture.width() as usize, height: picture.height() as usize, rgb: picture.into_raw() }
    }

    fn source() -> RgbPicture {
        png(include_bytes!("fixtures/resize_source.png"))
    }

    /// Resizes the source to the recorded size, and expects the recorded bytes.
    fn check(filter: Filter, recorded: &[u8]) {
        let recorded = png(recorded);
        let (width, height) = (recorded.width, recorded.height);
        let resized = resize_and_crop(&source(), filter, Side::whole(53, width), Side::whole(37, height));
        assert!(resized == recorded, "{filter:?} to {width}x{height} differs from Pillow");
    }

    #[test]
    fn lanczos_equals_pillow_down_and_up() {
        check(Filter::Lanczos, include_bytes!("fixtures/resize_down.png"));
        check(Filter::Lanczos, include_bytes!("fixtures/resize_up.png"));
    }

    #[test]
    fn bicubic_equals_pillow_down_up_and_mixed() {
        check(Filter::Bicubic, include_bytes!("fixtures/resize_bicubic_down.png"));
        check(Filter::Bicubic, include_bytes!("fixtures/resize_bicubic_up.png"));
        check(Filter::Bicubic, include_bytes!("fixtures/resize_bicubic_mixed.png"));
    }

    #[test]
    fn grey_is_resampled_as_a_channel_is() {
        let picture = source();
        let red = |picture: &RgbPicture| picture.rgb.iter().step_by(3).copied().collect::<Vec<u8>>();
        let grey = GreyPicture { width: picture.width, height: picture.height, grey: red(&picture) };
        for (width, height) in [(30, 20), (80, 9), (53, 37)] {
            let (horizontal, vertical) = (Side::whole(53, width), Side::whole(37, height));
            let resized = resize_and_crop_grey(&grey, Filter::Lanczos, horizontal, vertical);
            assert_eq!(resized.grey, red(&resize_and_crop(&picture, Filter::Lanczos, horizontal, vertical)));
            assert_eq!((resized.width, resized.height), (width, height));
        }
    }

    #[test]
    fn squares_are_averaged() {
        let grey = (0..32).map(|at| if at % 8 < 4 { 255 } else { [0, 51, 102, 153][at % 4] }).collect();
        let picture = GreyPicture { width: 8, height: 4, grey };
        assert_eq!(picture.square_means(4), [1.0, 0.3]);
        assert_eq!(picture.square_means(2), [1.0, 1.0, 0.1, 0.5, 1.0, 1.0, 0.1, 0.5]);
    }

    #[test]
    fn passes_are_ordered_as_pillow_13_orders_them() {
        // (width, resized width), (height, resized height) next to where Pillow's bytes change their order
        let turns = [((100, 90), (50, 30), (51, 30)), ((64, 63), (12, 10), (13, 10)), ((30, 40), (10, 10), (10, 9))];
        for (width, by_rows, by_columns) in turns {
            let order =
                |height: (usize, usize)| columns_first(Side::whole(width.0, width.1), Side::whole(height.0, height.1));
            assert!(!order(by_rows), "{width:?} {by_rows:?}");
            assert!(order(by_columns), "{width:?} {by_columns:?}");
        }
    }

    #[test]
    fn crop_equals_the_same_part_of_the_whole() {
        let full = png(include_bytes!("fixtures/resize_up.png"));
        let horizontal = Side { source: 53, resized: 80, offset: 13, kept: 40 };
        let vertical = Side { source: 37, resized: 61, offset: 7, kept: 20 };
        let cropped = resize_and_crop(&source(), Filter::Lanczos, horizontal, vertical);
        for y in 0..20 {
            let start = ((y + 7) * 80 + 13) * 3;
            assert_eq!(cropped.rgb[y * 120..][..120], full.rgb[start..start + 120], "row {y}");
        }
    }

    #[test]
    fn same_size_changes_nothing() {
        for filter in [Filter::Lanczos, Filter::Bicubic] {
            let same = resize_and_crop(&source(), filter, Side::whole(53, 53), Side::whole(37, 37));
            assert_eq!(same, source(), "{filter:?}");
        }
    }
}
