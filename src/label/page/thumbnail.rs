//! Pictures small enough for a page with thousands of them.

use std::io::{self, Cursor};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::{
    data::resize::{Filter, RgbPicture, Side, resize_and_crop},
    size::Size,
};

const LONGEST_SIDE: usize = 320;
const JPEG_QUALITY: u8 = 82;

/// Size of the thumbnail, whose longer side is 320 or, of a smaller picture, as it is; and a JPEG of it in
/// base64.
pub(super) fn thumbnail(picture: &RgbPicture) -> io::Result<(Size, String)> {
    let (width, height) = (picture.width, picture.height);
    let longest = width.max(height);
    let kept = longest.min(LONGEST_SIDE);
    let side = |source: usize| {
        let resized = ((source * kept + longest / 2) / longest).max(1);
        Side { source, resized, offset: 0, kept: resized }
    };
    let small = resize_and_crop(picture, Filter::Lanczos, side(width), side(height));
    let mut jpeg = Cursor::new(Vec::new());
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .write_image(&small.rgb, small.width as u32, small.height as u32, ExtendedColorType::Rgb8)
        .map_err(io::Error::other)?;
    Ok((small.size(), BASE64.encode(jpeg.into_inner())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sides_shrink_and_small_pictures_stay() {
        for ((width, height), expected) in
            [((640, 480), [320, 240]), ((480, 960), [160, 320]), ((10, 7), [10, 7]), ((5000, 2), [320, 1])]
        {
            let picture = RgbPicture { width, height, rgb: vec![90; width * height * 3] };
            let (size, jpeg) = thumbnail(&picture).unwrap();
            assert_eq!([size.width, size.height], expected);
            let decoded = image::load_from_memory(&BASE64.decode(jpeg).unwrap()).unwrap().into_rgb8();
            assert_eq!([decoded.width() as usize, decoded.height() as usize], expected);
            assert!(decoded.as_raw().iter().all(|&byte| byte.abs_diff(90) < 3));
        }
    }
}
