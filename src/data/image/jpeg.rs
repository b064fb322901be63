//! The segments of a JPEG file (ITU T.81, annex B): whether the file is whole, and what the decoder keeps to itself.

const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;
const APP2: u8 = 0xE2;
const APP14: u8 = 0xEE;

/// What the segments before the picture's data say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// 1 is grey, 3 colour, 4 inks.
    pub components: u8,
    /// Adobe's programs wrote it: inks are stored inverted, 255 being none.
    pub adobe: bool,
    /// It holds a part of a colour profile at least.
    pub has_profile: bool,
}

/// Reads the segments in front of the first scan.
pub fn header(bytes: &[u8]) -> Header {
    let mut header = Header::default();
    for (marker, payload) in segments(bytes).take_while(|&(marker, _)| marker != START_OF_SCAN) {
        match marker {
            // Start of frame, without the tables DHT, JPG and DAC between them.
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                header.components = payload.get(5).copied().unwrap_or_default();
            }
            APP2 => header.has_profile |= payload.starts_with(b"ICC_PROFILE\0"),
            APP14 => header.adobe |= payload.starts_with(b"Adobe"),
            _ => {}
        }
    }
    header
}

/// Whether the file goes on to its end mark. A thumbnail inside a segment has an end mark of its own, and data may
/// follow the picture's, so neither a search nor a look at the last bytes would do.
pub fn is_complete(bytes: &[u8]) -> bool {
    segments(bytes).any(|(marker, _)| marker == END_OF_IMAGE)
}

/// Markers with the content of their segments, up to the end mark or to where the file breaks off.
fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut position = 2;
    std::iter::from_fn(move || {
        let marker = next_marker(bytes, &mut position)?;
        // Restart marks, TEM and the end stand alone.
        if matches!(marker, 0x01 | 0xD0..=0xD7 | END_OF_IMAGE) {
            return Some((marker, &[][..]));
        }
        let length = bytes.get(position..position + 2)?;
        let end = position + usize::from(u16::from_be_bytes([length[0], length[1]]));
        let payload = bytes.get(position + 2..end.min(bytes.len())).unwrap_or_default();
        position = end;
        Some((marker, payload))
    })
}

/// The next marker at or behind `position`, which moves past it. Stuffed bytes (FF 00) inside a scan are no markers.
fn next_marker(bytes: &[u8], position: &mut usize) -> Option<u8> {
    let rest = bytes.get(*position..)?;
    let found = rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF))?;
    *position += found + 2;
    Some(rest[found + 1])
}
