//! JPEG pictures in inks, CMYK and YCCK, which the image crate gives only as RGB without their colour profile.

use anyhow::{Result, anyhow, ensure};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

use super::pixel::{Channels, Depth, PixelType};

/// Of a JPEG picture with four components.
pub const JPEG_INKS: PixelType = PixelType::new(Channels::Cmyk, Depth::Eight);

/// Decodes a JPEG of four components to inks. Adobe's programs store them inverted (Adobe Technical Note 5116),
/// which `inverted` says.
pub fn read_jpeg(bytes: &[u8], inverted: bool) -> Result<Vec<u8>> {
    let options = DecoderOptions::default().set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options.set_strict_mode(false));
    let damaged = |error| anyhow!("the JPEG data are damaged: {error}");
    decoder.decode_headers().map_err(damaged)?;
    let stored = decoder.input_colorspace().unwrap_or(ColorSpace::CMYK);
    ensure!(matches!(stored, ColorSpace::CMYK | ColorSpace::YCCK), "its four components are {stored:?}, no inks");
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(stored));
    let mut samples = decoder.decode().map_err(damaged)?;
    for pixel in samples.as_chunks_mut::<4>().0 {
        if stored == ColorSpace::YCCK {
            *pixel = ycck_to_cmyk(*pixel);
        }
        if inverted {
            *pixel = pixel.map(|level| 255 - level);
        }
    }
    Ok(samples)
}

/// C = 255 − R of the RGB that Y, Cb and Cr stand for (JFIF 1.02), and so on; K stays.
fn ycck_to_cmyk([luma, blue, red, black]: [u8; 4]) -> [u8; 4] {
    let (luma, blue, red) = (f32::from(luma), f32::from(blue) - 128.0, f32::from(red) - 128.0);
    let rgb = [luma + 1.402 * red, luma - 0.344_136 * blue - 0.714_136 * red, luma + 1.772 * blue];
    // Casts saturate.
    let [cyan, magenta, yellow] = rgb.map(|level| 255 - level.round() as u8);
    [cyan, magenta, yellow, black]
}
