//! Pillow's LANCZOS, byte for byte: the resampling that every Python trainer uses.
//!
//! Pillow resamples 8-bit pictures in fixed point, rows first, then columns. A weight is
//! `lanczos((x + 0.5 − centre) / max(scale, 1))` with `lanczos(t) = sinc(t)·sinc(t/3)` for |t| < 3, normalized to
//! sum 1 and rounded to 22 bits; each pass rounds to 8 bits. Only the output pixels inside a crop are computed, so
//! that a panorama never exists at full resized width.

use std::f64::consts::PI;

const LANCZOS_RADIUS: f64 = 3.0;
const WEIGHT_BITS: u32 = 22;

/// An 8-bit RGB picture, `rgb` being (height, width, 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbPicture {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
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

/// The weights of one output pixel, for the source pixels from `first` on.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// Resizes `picture` and crops the result, as Pillow's `resize(…, LANCZOS)` followed by `crop` would.
pub fn resize_and_crop(picture: &RgbPicture, horizontal: Side, vertical: Side) -> RgbPicture {
    assert_eq!((horizontal.source, vertical.source), (picture.width, picture.height), "sides of another picture");
    let narrowed = resample_rows(picture, &taps(horizontal));
    resample_columns(&narrowed, &taps(vertical))
}

fn lanczos(t: f64) -> f64 {
    let sinc = |t: f64| if t == 0.0 { 1.0 } else { (t * PI).sin() / (t * PI) };
    if t.abs() < LANCZOS_RADIUS { sinc(t) * sinc(t / LANCZOS_RADIUS) } else { 0.0 }
}

fn taps(side: Side) -> Vec<Taps> {
    (side.offset..side.offset + side.kept).map(|pixel| pixel_taps(side, pixel)).collect()
}

fn pixel_taps(side: Side, pixel: usize) -> Taps {
    let scale = side.source as f64 / side.resized as f64;
    let widening = scale.max(1.0);
    let reach = LANCZOS_RADIUS * widening;
    let centre = (pixel as f64 + 0.5) * scale;
    // Float-to-integer casts saturate: what lies left of the picture becomes 0.
    let first = (centre - reach + 0.5) as usize;
    let end = ((centre + reach + 0.5) as usize).min(side.source);
    let weights: Vec<f64> = (first..end).map(|x| lanczos((x as f64 - centre + 0.5) * (1.0 / widening))).collect();
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

fn resample_rows(picture: &RgbPicture, taps: &[Taps]) -> RgbPicture {
    let mut rgb = Vec::with_capacity(picture.height * taps.len() * 3);
    for row in picture.rgb.chunks_exact(picture.width * 3) {
        for Taps { first, weights } in taps {
            let mut sums = [0; 3];
            for (pixel, weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                for (sum, &byte) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(byte) * weight;
                }
            }
            rgb.extend(sums.map(to_byte));
        }
    }
    RgbPicture { width: taps.len(), height: picture.height, rgb }
}

fn resample_columns(picture: &RgbPicture, taps: &[Taps]) -> RgbPicture {
    let row_bytes = picture.width * 3;
    let mut rgb = Vec::with_capacity(taps.len() * row_bytes);
    let mut sums = vec![0; row_bytes];
    for Taps { first, weights } in taps {
        sums.fill(0);
        for (row, weight) in picture.rgb[first * row_bytes..].chunks_exact(row_bytes).zip(weights) {
            for (sum, &byte) in sums.iter_mut().zip(row) {
                *sum += i32::from(byte) * weight;
            }
        }
        rgb.extend(sums.iter().map(|&sum| to_byte(sum)));
    }
    RgbPicture { width: picture.width, height: taps.len(), rgb }
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

    fn whole(source: usize, resized: usize) -> Side {
        Side { source, resized, offset: 0, kept: resized }
    }

    #[test]
    fn equals_pillow_down_and_up() {
        for recorded in [png(include_bytes!("fixtures/resize_down.png")), png(include_bytes!("fixtures/resize_up.png"))]
        {
            let (width, height) = (recorded.width, recorded.height);
            assert_eq!(resize_and_crop(&source(), whole(53, width), whole(37, height)), recorded, "{width}x{height}");
        }
    }

    #[test]
    fn crop_equals_the_same_part_of_the_whole() {
        let full = png(include_bytes!("fixtures/resize_up.png"));
        let horizontal = Side { source: 53, resized: 80, offset: 13, kept: 40 };
        let vertical = Side { source: 37, resized: 61, offset: 7, kept: 20 };
        let cropped = resize_and_crop(&source(), horizontal, vertical);
        for y in 0..20 {
            let start = ((y + 7) * 80 + 13) * 3;
            assert_eq!(cropped.rgb[y * 120..][..120], full.rgb[start..start + 120], "row {y}");
        }
    }

    #[test]
    fn same_size_changes_nothing() {
        assert_eq!(resize_and_crop(&source(), whole(53, 53), whole(37, 37)), source());
    }
}
