//! Files made in code, for what no program at hand writes.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, codecs::jpeg::JpegEncoder, codecs::png::PngEncoder};
use image::{ImageEncoder, RgbImage};

pub type Patches = [[u8; 3]; 4];

/// The colours of the recorded RGB pictures.
pub const PATCHES: Patches = [[200, 40, 40], [30, 160, 90], [70, 90, 200], [128, 128, 128]];

/// 16x16 pixels with four patches of 8x8.
pub fn patches() -> RgbImage {
    RgbImage::from_fn(16, 16, |x, y| image::Rgb(PATCHES[(x / 8 + y / 8 * 2) as usize]))
}

pub fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).expect("a small picture");
    bytes.into_inner()
}

pub fn png_with_profile(picture: impl Into<DynamicImage>, profile: &[u8]) -> Vec<u8> {
    let picture: DynamicImage = picture.into();
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(profile.to_vec()).expect("PNG has profiles");
    let (width, height, color) = (picture.width(), picture.height(), picture.color());
    encoder.write_image(picture.as_bytes(), width, height, color.into()).expect("a small picture");
    bytes
}

pub fn jpeg() -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 100).encode_image(&patches()).expect("a small picture");
    bytes
}

/// `bytes` with segments put in behind the start mark: marker and content of each.
pub fn with_segments(bytes: &[u8], segments: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut out = bytes[..2].to_vec();
    for (marker, content) in segments {
        out.extend([0xFF, *marker]);
        out.extend((content.len() as u16 + 2).to_be_bytes());
        out.extend(content);
    }
    out.extend(&bytes[2..]);
    out
}

/// APP2 segments that hold `profile` in `count` pieces.
pub fn profile_segments(profile: &[u8], count: usize) -> Vec<(u8, Vec<u8>)> {
    let pieces = profile.chunks(profile.len().div_ceil(count)).zip(1u8..);
    let segment = |(piece, number)| [&b"ICC_PROFILE\0"[..], &[number, count as u8], piece].concat();
    pieces.map(|piece| (0xE2, segment(piece))).collect()
}

/// An EXIF segment that holds nothing but the orientation.
pub fn exif_segment(orientation: u8) -> (u8, Vec<u8>) {
    let mut content = b"Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    content.extend([orientation, 0, 0, 0, 0, 0, 0]);
    (0xE1, content)
}

/// A JPEG without its segment `marker`.
pub fn without_segment(bytes: &[u8], marker: u8) -> Vec<u8> {
    let start = bytes.windows(2).position(|pair| pair == [0xFF, marker]).expect("the segment");
    let length = usize::from(u16::from_be_bytes([bytes[start + 2], bytes[start + 3]]));
    [&bytes[..start], &bytes[start + 2 + length..]].concat()
}

fn png_chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut checksum = flate2::Crc::new();
    checksum.update(kind);
    checksum.update(content);
    [&(content.len() as u32).to_be_bytes(), &kind[..], content, &checksum.sum().to_be_bytes()].concat()
}

const PNG_HEADER_END: usize = 33;

/// A PNG with a chunk put in behind its header.
pub fn with_png_chunk(bytes: &[u8], kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&bytes[..PNG_HEADER_END], &png_chunk(kind, content), &bytes[PNG_HEADER_END..]].concat()
}

/// A PNG that claims a size and holds next to nothing. `kind` is bit depth and colour type.
pub fn claimed_png(width: u32, height: u32, kind: [u8; 2]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &kind, &[0, 0, 0]].concat();
    let pixels = b"\x78\x9C\x03\0\0\0\0\x01";
    [&b"\x89PNG\r\n\x1a\n"[..], &png_chunk(b"IHDR", &header), &png_chunk(b"IDAT", pixels), &png_chunk(b"IEND", b"")]
        .concat()
}
