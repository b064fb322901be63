//! Whether a JPEG file holds its whole picture.

const END_OF_IMAGE: u8 = 0xD9;

/// Walks the segments of a JPEG file up to its end mark (ITU T.81, annex B). A thumbnail inside a segment has an end
/// mark of its own, and data may follow the picture's, so neither a search nor a look at the last bytes would do.
pub fn is_complete(bytes: &[u8]) -> bool {
    let mut position = 2;
    while let Some(marker) = next_marker(bytes, &mut position) {
        match marker {
            END_OF_IMAGE => return true,
            // Restart marks and TEM stand alone.
            0x01 | 0xD0..=0xD7 => {}
            _ => {
                let Some(length) = bytes.get(position..position + 2) else { return false };
                position += usize::from(u16::from_be_bytes([length[0], length[1]]));
            }
        }
    }
    false
}

/// The next marker at or behind `position`, which moves past it. Stuffed bytes (FF 00) inside a scan are no markers.
fn next_marker(bytes: &[u8], position: &mut usize) -> Option<u8> {
    let rest = bytes.get(*position..)?;
    let found = rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF))?;
    *position += found + 2;
    Some(rest[found + 1])
}
