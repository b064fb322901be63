//! Pictures from files: decoding by content, upright, on white, as 8-bit sRGB; then to the training size.

mod container;
mod inks;
mod jpeg;
mod mask;
mod notice;
mod pixel;
mod profile;
mod raster;
mod source;

use std::path::Path;

use anyhow::{Context, Result};
use image::DynamicImage;

use super::fit::Fit;
use super::resize::{Filter, RgbPicture, resize_and_crop};
use crate::size::Size;
use source::{Header, Source, unusable};

pub use mask::load_mask_at_size;
pub use notice::{Notice, summarize};
pub use raster::MaskChannel;
pub use source::MAX_DECODED_BYTES;

/// A picture at the training size.
#[derive(Debug, Clone, PartialEq)]
pub struct SizedPicture {
    pub size: Size,
    /// 8-bit RGB, (height, width, 3).
    pub rgb: Vec<u8>,
    /// The share of the picture, 0 to 1, that the centre crop cut off.
    pub cut: f64,
    /// Whether the picture was smaller than the training size.
    pub upscaled: bool,
}

/// Decodes the picture at `path` and brings it to `size`: LANCZOS until it covers that, then a centre crop. The error
/// names the file.
pub fn load_at_size(path: &Path, size: Size) -> Result<SizedPicture> {
    let picture = decode(path)?;
    let fit = Fit::cover(picture.size(), size);
    let RgbPicture { rgb, .. } = resize_and_crop(&picture, Filter::Lanczos, fit.horizontal, fit.vertical);
    Ok(SizedPicture { size, rgb, cut: fit.cut(), upscaled: fit.upscaled() })
}

/// The picture as the VAE reads it: (height, width, 3) in [−1, 1], rounded as torchvision's `ToTensor` and
/// `Normalize([0.5], [0.5])` round.
pub fn to_model_input(picture: &SizedPicture) -> Vec<f32> {
    picture.rgb.iter().map(|&byte| (f32::from(byte) / 255.0 - 0.5) / 0.5).collect()
}

/// Decodes a PNG, JPEG, WebP, BMP, TIFF or GIF, the first frame or page of it: turned upright as its EXIF data say,
/// in sRGB as its colour profile says, transparency laid on white, any depth or palette as 8-bit RGB. The file's name
/// does not matter, its content decides. What is done to it is told by [`inspect`].
pub fn decode(path: &Path) -> Result<RgbPicture> {
    let picture = Source::open(path).and_then(Source::read).and_then(|(header, raster)| {
        let mut picture = DynamicImage::ImageRgb8(raster.into_rgb(header.conversion.as_ref())?);
        picture.apply_orientation(header.orientation);
        Ok(picture.into_rgb8())
    });
    let rgb = picture.with_context(|| unusable(path))?;
    Ok(RgbPicture { width: rgb.width() as usize, height: rgb.height() as usize, rgb: rgb.into_raw() })
}

/// What is known of a picture without decoding it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// Of the upright picture.
    pub size: Size,
    pub has_alpha: bool,
    /// What will be done to it that its owner should know.
    pub notices: Vec<Notice>,
}

/// Reads the header of the picture at `path`. Fails on whatever [`decode`] would not even begin with.
pub fn inspect(path: &Path) -> Result<Inspected> {
    use image::metadata::Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    let header = Source::open(path).with_context(|| unusable(path))?.header;
    let has_alpha = header.has_alpha();
    let Header { size, orientation, notices, .. } = header;
    let size = match orientation {
        Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH => size.turned(),
        _ => size,
    };
    Ok(Inspected { size, has_alpha, notices })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Cursor;

    use super::*;
    use image::codecs::jpeg::JpegEncoder;
    use image::{GrayImage, ImageBuffer, ImageEncoder, ImageFormat, Luma, Rgb, RgbImage, Rgba};

    fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        picture.into().write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        bytes
    }

    /// Left half red, right half blue, 32x16.
    fn red_and_blue() -> RgbImage {
        RgbImage::from_fn(32, 16, |x, _| if x < 16 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) })
    }

    fn pixel(picture: &RgbPicture, x: usize, y: usize) -> [u8; 3] {
        picture.rgb[(y * picture.width + x) * 3..][..3].try_into().unwrap()
    }

    /// An EXIF block that holds nothing but the orientation.
    fn exif(orientation: u8) -> Vec<u8> {
        let mut block = b"MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        block.extend([orientation, 0, 0, 0, 0, 0, 0]);
        block
    }

    /// What `use_file` makes of a file with the content `bytes`.
    fn with_file<T>(bytes: &[u8], use_file: impl Fn(&Path) -> Result<T>) -> Result<T> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.png");
        fs::write(&path, bytes).unwrap();
        use_file(&path)
    }

    fn decode_bytes(bytes: &[u8]) -> Result<RgbPicture> {
        with_file(bytes, decode)
    }

    fn message(bytes: &[u8]) -> String {
        format!("{:#}", decode_bytes(bytes).unwrap_err())
    }

    #[test]
    fn every_format_is_read_by_content() {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
        for format in [Png, Jpeg, WebP, Bmp, Tiff, Gif] {
            let picture = decode_bytes(&encoded(red_and_blue(), format)).unwrap();
            assert_eq!((picture.width, picture.height), (32, 16), "{format:?}");
            let [red, _, blue] = pixel(&picture, 4, 8);
            assert!(red > 250 && blue < 5, "{format:?}: left is red, got {red}, {blue}");
        }
    }

    #[test]
    fn exif_orientation_turns_the_picture() {
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
        encoder.set_exif_metadata(exif(6)).unwrap();
        encoder.encode_image(&red_and_blue()).unwrap();
        let picture = decode_bytes(&bytes).unwrap();
        assert_eq!((picture.width, picture.height), (16, 32));
        assert_eq!(with_file(&bytes, inspect).unwrap().size, Size::new(16, 32));
        assert!(pixel(&picture, 8, 4)[0] > 250, "orientation 6: the left side comes up");
        assert!(pixel(&picture, 8, 28)[2] > 250);
    }

    #[test]
    fn transparency_lies_on_white() {
        let image = image::RgbaImage::from_fn(3, 1, |x, _| Rgba([0, 10, 200, [0, 128, 255][x as usize]]));
        let picture = decode_bytes(&encoded(image, ImageFormat::Png)).unwrap();
        assert_eq!(picture.rgb, [255, 255, 255, 127, 132, 227, 0, 10, 200]);
    }

    #[test]
    fn grey_and_sixteen_bit_become_eight_bit_rgb() {
        let grey = GrayImage::from_pixel(2, 1, Luma([77]));
        assert_eq!(decode_bytes(&encoded(grey, ImageFormat::Png)).unwrap().rgb, [77; 6]);
        let deep = ImageBuffer::from_pixel(1, 1, Rgb([257 * 3u16, 257 * 100, 65535]));
        let deep = DynamicImage::ImageRgb16(deep);
        assert_eq!(decode_bytes(&encoded(deep, ImageFormat::Png)).unwrap().rgb, [3, 100, 255]);
    }

    #[test]
    fn cut_short_files_are_refused_by_name() {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
        let noise = RgbImage::from_fn(64, 64, |x, y| Rgb([x * 37 + y * 91, x * y, x ^ y].map(|value| value as u8)));
        for format in [Png, Jpeg, WebP, Bmp, Tiff, Gif] {
            let whole = encoded(noise.clone(), format);
            for kept in [whole.len() / 2, whole.len() * 9 / 10] {
                let message = message(&whole[..kept]);
                assert!(message.contains("broken.png"), "{message}");
                assert!(
                    message.contains("cut short") && message.contains("save or copy it again"),
                    "{format:?}: {message}"
                );
            }
        }
    }

    #[test]
    fn foreign_formats_are_named() {
        assert!(message(b"\0\0\0\x18ftypheic\0\0\0\0").contains("HEIC"));
        assert!(message(b"\0\0\0\x18ftypavif\0\0\0\0").contains("AVIF"));
        assert!(message(b"hello").contains("no PNG"));
        assert!(message(b"").contains("empty"));
    }

    #[test]
    fn a_picture_covers_its_size_and_crops_the_centre() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wide.png");
        red_and_blue().save(&path).unwrap();
        let picture = load_at_size(&path, Size::square(16)).unwrap();
        assert_eq!((picture.rgb.len(), picture.cut, picture.upscaled), (16 * 16 * 3, 0.5, false));
        assert_eq!(picture.rgb[..3], [255, 0, 0]);
        assert_eq!(picture.rgb[45..48], [0, 0, 255]);
    }

    #[test]
    fn model_input_spans_minus_one_to_one() {
        let picture = SizedPicture { size: Size::square(1), rgb: vec![0, 51, 255], cut: 0.0, upscaled: false };
        assert_eq!(to_model_input(&picture), [-1.0, (0.2f32 - 0.5) / 0.5, 1.0]);
    }
}
