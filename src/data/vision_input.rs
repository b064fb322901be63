//! Pictures as vision transformers read them: at the size and with the normalization of transformers' image
//! processors, bit for bit, and cut into patches.
//!
//! transformers resizes with Pillow's BICUBIC to 8 bits, so do these.

use super::resize::{Filter, RgbPicture, Side, resize_and_crop};

/// Mean and standard deviation of red, green and blue in OpenAI's CLIP (`OPENAI_CLIP_MEAN`, `OPENAI_CLIP_STD`), which
/// BLIP took over.
const MEAN: [f64; 3] = [0.48145466, 0.4578275, 0.40821073];
const DEVIATION: [f64; 3] = [0.26862954, 0.26130258, 0.27577711];

/// What BLIP reads, as transformers' `BlipImageProcessor` makes it: the whole picture, stretched to a square.
/// (size, size, 3), normalized.
pub fn blip_input(picture: &RgbPicture, size: usize) -> Vec<f32> {
    let side = |source| Side::whole(source, size);
    normalized(&resize_and_crop(picture, Filter::Bicubic, side(picture.width), side(picture.height)))
}

/// What CLIP reads, as transformers' `CLIPImageProcessor` makes it: the shorter side brought to `size`, the longer
/// one in proportion, rounded down, and its middle kept. (size, size, 3), normalized.
pub fn clip_input(picture: &RgbPicture, size: usize) -> Vec<f32> {
    let shorter = picture.width.min(picture.height);
    let side = |source| Side::centred(source, size * source / shorter, size);
    normalized(&resize_and_crop(picture, Filter::Bicubic, side(picture.width), side(picture.height)))
}

/// (byte / 255 − mean) / deviation, rounded as transformers rounds: the byte is scaled in f64, the rest is f32.
fn normalized(picture: &RgbPicture) -> Vec<f32> {
    let value = |(&byte, channel): (&u8, usize)| {
        let scaled = (f64::from(byte) * (1.0 / 255.0)) as f32;
        (scaled - MEAN[channel] as f32) / DEVIATION[channel] as f32
    };
    picture.rgb.iter().zip((0..3).cycle()).map(value).collect()
}

/// Cuts `pixels` (size, size, 3) into squares of `patch` pixels, row by row: ((size/patch)² + 1, 3·patch²). The first
/// row is zeros, the place of the class token; every other one holds a patch in the order of the patch embedding's
/// convolution weight (3, patch, patch). `patch` must divide `size`.
pub fn patches(pixels: &[f32], size: usize, patch: usize) -> Vec<f32> {
    assert_eq!(pixels.len(), size * size * 3, "pixels of a {size}x{size} picture");
    assert!(size.is_multiple_of(patch), "a picture of {size} pixels has no whole number of {patch}-pixel patches");
    let per_side = size / patch;
    let mut rows = Vec::with_capacity((per_side * per_side + 1) * 3 * patch * patch);
    rows.resize(3 * patch * patch, 0.0);
    for index in 0..per_side * per_side {
        let (top, left) = (index / per_side * patch, index % per_side * patch);
        for channel in 0..3 {
            for y in top..top + patch {
                let line = &pixels[(y * size + left) * 3..][..patch * 3];
                rows.extend(line.iter().skip(channel).step_by(3));
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::size::Size;

    #[derive(serde::Deserialize)]
    struct Recorded {
        processor: String,
        /// Width and height.
        picture: (usize, usize),
        size: usize,
        /// Every `stride`-th number, and the digest of them all as little-endian f32.
        stride: usize,
        sampled: Vec<f32>,
        sha256: String,
    }

    /// The picture that tools/record_vision_input.py makes: waves, hard edges and noise.
    fn made_up(Size { width, height }: Size) -> RgbPicture {
        let byte = |x: usize, y: usize| {
            let noise = (x * 7919 + y * 104_729 + x * y * 31) % 251;
            let edge = if (x / 5 + y / 3).is_multiple_of(2) { 255 } else { 0 };
            [noise, edge, (x * x + 3 * y) % 256].map(|value| value as u8)
        };
        let rgb = (0..width * height).flat_map(|index| byte(index % width, index / width)).collect();
        RgbPicture { width, height, rgb }
    }

    fn digest(values: &[f32]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn inputs_equal_those_of_transformers() {
        let cases: Vec<Recorded> = serde_json::from_str(include_str!("fixtures/vision_inputs.json")).unwrap();
        assert!(cases.len() >= 20);
        for Recorded { processor, picture: (width, height), size, stride, sampled, sha256 } in cases {
            let picture = made_up(Size { width, height });
            let case = format!("{processor} of {width}x{height} at {size}");
            let input = match processor.as_str() {
                "blip" => blip_input(&picture, size),
                "clip" => clip_input(&picture, size),
                _ => panic!("no such processor: {processor}"),
            };
            assert_eq!(input.len(), size * size * 3, "{case}");
            let samples: Vec<f32> = input.iter().step_by(stride).copied().collect();
            assert_eq!(samples, sampled, "{case}");
            assert_eq!(digest(&input), sha256, "{case}");
        }
    }

    #[test]
    fn patches_stand_in_the_order_of_a_convolution_weight() {
        // Number at (y, x, channel) of a 4x4 picture: yxc, in decimal.
        let place = |index: usize| (index / 12 * 100 + index / 3 % 4 * 10 + index % 3) as f32;
        let pixels: Vec<f32> = (0..48).map(place).collect();
        let rows = patches(&pixels, 4, 2);
        assert_eq!(rows.len(), 5 * 12);
        assert_eq!(rows[..12], [0.0; 12], "the class token's row");
        assert_eq!(rows[12..24], [0, 10, 100, 110, 1, 11, 101, 111, 2, 12, 102, 112].map(|v| v as f32));
        assert_eq!(rows[24..28], [20.0, 30.0, 120.0, 130.0], "second patch: to the right");
        assert_eq!(rows[36..40], [200.0, 210.0, 300.0, 310.0], "third patch: below");
    }
}
