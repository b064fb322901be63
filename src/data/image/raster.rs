//! Decoded samples of any depth and kind, and how they become 8-bit RGB, or a mask.

use anyhow::{Context, Result};
use image::{GrayImage, RgbImage};

use super::pixel::{Channels, Depth, PixelType};
use super::profile::Conversion;
use crate::size::Size;

const FEWER_PIXELS: &str = "the decoder gave fewer pixels than its header names";

/// A decoded picture as its file stores it: (height, width, channels).
#[derive(Debug)]
pub struct Raster {
    pub size: Size,
    pub pixel: PixelType,
    pub samples: Vec<u8>,
}

/// Which channel of a file is a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskChannel {
    /// Grey, or red: of a mask file.
    First,
    /// Of a picture itself; where it has none, all of it counts.
    Alpha,
}

impl Raster {
    /// One channel in 8 bits, as it stands.
    pub fn into_channel(self, channel: MaskChannel) -> Result<GrayImage> {
        let PixelType { channels, depth } = self.pixel;
        let grey = match channel {
            MaskChannel::Alpha if !channels.has_alpha() => vec![u8::MAX; self.size.area()],
            MaskChannel::Alpha | MaskChannel::First => {
                let first = if channel == MaskChannel::Alpha { channels.count() - 1 } else { 0 };
                let rows = self.samples.chunks_exact(self.size.width * self.pixel.bytes());
                let of_row = |row| levels(row, depth).into_iter().skip(first).step_by(channels.count()).map(to_byte);
                rows.flat_map(of_row).collect()
            }
        };
        GrayImage::from_raw(self.size.width as u32, self.size.height as u32, grey).context(FEWER_PIXELS)
    }

    /// The picture in 8-bit sRGB, transparency laid on white: by `conversion` where there is one, else as it stands
    /// (inks by R = (255 − C)·(255 − K)/255). Works inside the decoded samples where three bytes fit into a pixel.
    pub fn into_rgb(self, conversion: Option<&Conversion>) -> Result<RgbImage> {
        let Size { width, height } = self.size;
        let plain = self.pixel == PixelType::new(Channels::Rgb, Depth::Eight) && conversion.is_none();
        let rgb = if plain {
            self.samples
        } else if self.pixel.bytes() >= 3 {
            self.convert_in_place(conversion)?
        } else {
            self.convert(conversion)?
        };
        RgbImage::from_raw(width as u32, height as u32, rgb).context(FEWER_PIXELS)
    }

    fn convert(self, conversion: Option<&Conversion>) -> Result<Vec<u8>> {
        let mut rgb = Vec::with_capacity(self.size.area() * 3);
        for row in self.samples.chunks_exact(self.size.width * self.pixel.bytes()) {
            append_rgb(row, self.pixel, conversion, &mut rgb)?;
        }
        Ok(rgb)
    }

    fn convert_in_place(mut self, conversion: Option<&Conversion>) -> Result<Vec<u8>> {
        let (source_bytes, rgb_bytes) = (self.size.width * self.pixel.bytes(), self.size.width * 3);
        let mut rgb = Vec::with_capacity(rgb_bytes);
        for y in 0..self.size.height {
            rgb.clear();
            append_rgb(&self.samples[y * source_bytes..][..source_bytes], self.pixel, conversion, &mut rgb)?;
            self.samples[y * rgb_bytes..][..rgb_bytes].copy_from_slice(&rgb);
        }
        self.samples.truncate(self.size.height * rgb_bytes);
        self.samples.shrink_to_fit();
        Ok(self.samples)
    }
}

/// Appends a row as 8-bit RGB.
fn append_rgb(row: &[u8], pixel: PixelType, conversion: Option<&Conversion>, rgb: &mut Vec<u8>) -> Result<()> {
    match conversion {
        Some(conversion) => {
            let (levels, channels) = conversion.apply(levels(row, pixel.depth), pixel.channels)?;
            append_levels(levels.into_iter().map(to_byte), channels, rgb);
        }
        None if pixel.depth == Depth::Eight => append_levels(row.iter().copied(), pixel.channels, rgb),
        None => append_levels(levels(row, pixel.depth).into_iter().map(to_byte), pixel.channels, rgb),
    }
    Ok(())
}

/// A row's samples as 16-bit levels.
fn levels(row: &[u8], depth: Depth) -> Vec<u16> {
    match depth {
        Depth::Eight => row.iter().map(|&byte| u16::from(byte) * 257).collect(),
        Depth::Sixteen => row.as_chunks().0.iter().map(|&bytes| u16::from_ne_bytes(bytes)).collect(),
        Depth::Float => row.as_chunks().0.iter().map(|&bytes| float_level(f32::from_ne_bytes(bytes))).collect(),
    }
}

/// Casts saturate, and what is not a number becomes 0.
fn float_level(value: f32) -> u16 {
    (value * f32::from(u16::MAX)).round() as u16
}

fn to_byte(level: u16) -> u8 {
    ((u32::from(level) + 128) / 257) as u8
}

fn append_levels(levels: impl Iterator<Item = u8>, channels: Channels, rgb: &mut Vec<u8>) {
    match channels {
        Channels::Grey => append_pixels(levels, rgb, |[grey]| [grey; 3]),
        Channels::GreyAlpha => append_pixels(levels, rgb, |[grey, alpha]| [over_white(grey, alpha); 3]),
        Channels::Rgb => rgb.extend(levels),
        Channels::Rgba => append_pixels(levels, rgb, |[red, green, blue, alpha]| {
            [red, green, blue].map(|byte| over_white(byte, alpha))
        }),
        Channels::Cmyk => append_pixels(levels, rgb, |[cyan, magenta, yellow, black]| {
            [cyan, magenta, yellow].map(|ink| share(255 - ink, 255 - black))
        }),
    }
}

fn append_pixels<const N: usize>(
    mut levels: impl Iterator<Item = u8>,
    rgb: &mut Vec<u8>,
    to_rgb: impl Fn([u8; N]) -> [u8; 3],
) {
    while let Some(first) = levels.next() {
        let mut pixel = [first; N];
        pixel[1..].iter_mut().zip(&mut levels).for_each(|(place, level)| *place = level);
        rgb.extend(to_rgb(pixel));
    }
}

fn over_white(byte: u8, alpha: u8) -> u8 {
    let (byte, alpha) = (u32::from(byte), u32::from(alpha));
    ((byte * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// left · right / 255, rounded.
fn share(left: u8, right: u8) -> u8 {
    ((u32::from(left) * u32::from(right) + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rgb(channels: Channels, depth: Depth, samples: &[u8]) -> Vec<u8> {
        let pixel = PixelType::new(channels, depth);
        let width = samples.len() / pixel.bytes() / 2;
        let raster = Raster { size: Size::new(width, 2), pixel, samples: samples.to_vec() };
        raster.into_rgb(None).unwrap().into_raw()
    }

    #[test]
    fn every_kind_of_pixel_becomes_rgb() {
        use {Channels::*, Depth::*};
        let sixteen = |levels: &[u16]| levels.iter().flat_map(|level| level.to_ne_bytes()).collect::<Vec<u8>>();
        let float = |levels: &[f32]| levels.iter().flat_map(|level| level.to_ne_bytes()).collect::<Vec<u8>>();
        assert_eq!(rgb(Grey, Eight, &[7, 9]), [7, 7, 7, 9, 9, 9]);
        assert_eq!(rgb(GreyAlpha, Eight, &[7, 255, 7, 0]), [7, 7, 7, 255, 255, 255]);
        assert_eq!(rgb(Rgba, Eight, &[0, 10, 200, 128, 0, 10, 200, 255]), [127, 132, 227, 0, 10, 200]);
        assert_eq!(rgb(Cmyk, Eight, &[0, 255, 51, 0, 0, 0, 0, 255]), [255, 0, 204, 0, 0, 0]);
        assert_eq!(rgb(Grey, Sixteen, &sixteen(&[257 * 3, 257 * 4 + 129])), [3, 3, 3, 5, 5, 5]);
        assert_eq!(rgb(Rgb, Sixteen, &sixteen(&[0, 257, 65535, 1, 2, 3])), [0, 1, 255, 0, 0, 0]);
        assert_eq!(rgb(Rgb, Float, &float(&[-1.0, 0.5, 7.0, f32::NAN, 1.0, 0.0])), [0, 128, 255, 0, 255, 0]);
    }
}
