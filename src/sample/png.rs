//! Pictures as PNG files that carry how they were made.

use anyhow::{Context, Result};
use image::RgbImage;

/// The chunk in which A1111's WebUI looks for its text.
const KEY: &str = "parameters";

/// The bytes of a PNG file with a picture and its [`Infotext`](super::infotext::Infotext).
///
/// As Pillow does for A1111, the text goes into a `tEXt` chunk where it is Latin-1, into `iTXt` otherwise; an empty one
/// is left out.
pub fn encode(picture: &RgbImage, parameters: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width(), picture.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let latin = parameters.chars().all(|sign| u32::from(sign) < 256);
    let text = if parameters.is_empty() {
        Ok(())
    } else if latin {
        encoder.add_text_chunk(KEY.to_owned(), parameters.to_owned())
    } else {
        encoder.add_itxt_chunk(KEY.to_owned(), parameters.to_owned())
    };
    text.and_then(|()| encoder.write_header())
        .and_then(|mut writer| writer.write_image_data(picture))
        .context("cannot write the picture as PNG")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> RgbImage {
        RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8 * 50, y as u8 * 80, 7]))
    }

    fn texts(bytes: &[u8]) -> (Vec<String>, Vec<String>) {
        let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let info = reader.info();
        assert!(info.uncompressed_latin1_text.iter().all(|chunk| chunk.keyword == KEY));
        assert!(info.utf8_text.iter().all(|chunk| chunk.keyword == KEY && !chunk.compressed));
        (
            info.uncompressed_latin1_text.iter().map(|chunk| chunk.text.clone()).collect(),
            info.utf8_text.iter().map(|chunk| chunk.get_text().unwrap()).collect(),
        )
    }

    #[test]
    fn picture_and_text_read_back() {
        for (text, latin) in [("a café\nSteps: 20", true), ("牡丹\nSteps: 20", false), ("“silk”", false)] {
            let bytes = encode(&picture(), text).unwrap();
            assert_eq!(image::load_from_memory(&bytes).unwrap(), picture().into());
            let expected = vec![text.to_owned()];
            assert_eq!(texts(&bytes), if latin { (expected, vec![]) } else { (vec![], expected) });
        }
    }
}
