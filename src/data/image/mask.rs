//! Masks: one channel of a file, brought to the training size together with the picture it belongs to.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use image::DynamicImage;

use super::super::{
    fit::Fit,
    resize::{Filter, GreyPicture, Side, resize_and_crop_grey},
};
use super::raster::MaskChannel;
use super::source::{Source, unusable};
use crate::size::Size;

/// The mask in `channel` of the file at `path`, laid over a picture of the size `picture`, whatever its own size, and
/// scaled and cropped with it to `target` as [`super::load_at_size`] does.
///
/// # Errors
/// A file that does not decode, or inks where a mask file is read; the file is named.
pub fn load_mask_at_size(path: &Path, channel: MaskChannel, picture: Size, target: Size) -> Result<GreyPicture> {
    let mask = decode_channel(path, channel)?;
    let Fit { horizontal, vertical } = Fit::cover(picture, target);
    let (horizontal, vertical) = (Side { source: mask.width, ..horizontal }, Side { source: mask.height, ..vertical });
    Ok(resize_and_crop_grey(&mask, Filter::Lanczos, horizontal, vertical))
}

/// A channel as it stands in the file, upright as its EXIF data say: a colour profile does not touch masks.
fn decode_channel(path: &Path, channel: MaskChannel) -> Result<GreyPicture> {
    let read = Source::open(path).and_then(Source::read).and_then(|(header, raster)| {
        ensure!(
            channel == MaskChannel::Alpha || !header.has_inks(),
            "it is a mask in CMYK, whose inks do not say what counts: save it in grey"
        );
        let mut grey = DynamicImage::ImageLuma8(raster.into_channel(channel)?);
        grey.apply_orientation(header.orientation);
        Ok(grey.into_luma8())
    });
    let grey = read.with_context(|| unusable(path))?;
    Ok(GreyPicture { width: grey.width() as usize, height: grey.height() as usize, grey: grey.into_raw() })
}

#[cfg(test)]
mod tests {
    use image::{GrayAlphaImage, GrayImage, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage};

    use super::*;

    fn loaded(picture: impl Into<DynamicImage>, channel: MaskChannel, of: Size, target: Size) -> GreyPicture {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        picture.into().save(&path).unwrap();
        load_mask_at_size(&path, channel, of, target).unwrap()
    }

    #[test]
    fn mask_files_are_read_from_their_first_channel() {
        let whole = |picture: DynamicImage| loaded(picture, MaskChannel::First, Size::new(2, 1), Size::new(2, 1)).grey;
        assert_eq!(whole(GrayImage::from_fn(2, 1, |x, _| Luma([10 + x as u8])).into()), [10, 11]);
        assert_eq!(whole(RgbImage::from_fn(2, 1, |x, _| Rgb([20 + x as u8, 200, 0])).into()), [20, 21]);
        // What is under transparency counts as it is painted.
        assert_eq!(whole(RgbaImage::from_fn(2, 1, |x, _| Rgba([30 + x as u8, 0, 0, 0])).into()), [30, 31]);
        let deep = image::ImageBuffer::from_fn(2, 1, |x, _| Luma([257 * (40 + x as u16)]));
        assert_eq!(whole(DynamicImage::ImageLuma16(deep)), [40, 41]);
    }

    #[test]
    fn alpha_channels_are_masks_and_opaque_pictures_count_whole() {
        let whole = |picture: DynamicImage| loaded(picture, MaskChannel::Alpha, Size::new(2, 1), Size::new(2, 1)).grey;
        assert_eq!(whole(RgbaImage::from_fn(2, 1, |x, _| Rgba([0, 0, 0, 50 + x as u8])).into()), [50, 51]);
        assert_eq!(whole(GrayAlphaImage::from_fn(2, 1, |x, _| LumaA([0, 60 + x as u8])).into()), [60, 61]);
        assert_eq!(whole(RgbImage::new(2, 1).into()), [255, 255]);
    }

    #[test]
    fn a_mask_is_cropped_where_its_picture_is_and_its_own_size_does_not_matter() {
        // Of a picture twice as wide as high the middle is kept: columns 16 to 47 of 64.
        let left = |width: u32, height: u32| {
            GrayImage::from_fn(width, height, |x, _| Luma([if 2 * x < width { 255 } else { 0 }]))
        };
        let same = loaded(left(64, 32), MaskChannel::First, Size::new(64, 32), Size::square(32));
        assert_eq!((same.width, same.height), (32, 32));
        assert_eq!(same.square_means(16), [1.0, 0.0, 1.0, 0.0]);
        // A square mask is stretched over the whole picture.
        let stretched = loaded(left(64, 64), MaskChannel::First, Size::new(64, 32), Size::square(32));
        assert_eq!(stretched.square_means(16), [1.0, 0.0, 1.0, 0.0]);
        let smaller = loaded(left(16, 8), MaskChannel::First, Size::new(64, 32), Size::square(32)).square_means(8);
        assert!(smaller[0] > 0.99 && smaller[1] > 0.9 && smaller[2] < 0.1 && smaller[3] < 0.01, "{smaller:?}");
    }
}
