//! What a file holds beside its first picture, and whether it claims a colour profile.

use std::io::{BufRead, Read, Seek, SeekFrom};

use anyhow::Result;
use image::{AnimationDecoder, ImageFormat, codecs::gif::GifDecoder};

/// What the file says before a pixel is decoded.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// It moves: further frames follow the first.
    pub animated: bool,
    /// It holds a colour profile, readable or not.
    pub profile: bool,
}

/// Reads the claims of a PNG, WebP or GIF file; those of other formats are found where they are decoded.
pub fn claims(mut file: impl BufRead + Seek, format: ImageFormat) -> Result<Claims> {
    file.rewind()?;
    match format {
        ImageFormat::Png => png(file),
        ImageFormat::WebP => webp(file),
        ImageFormat::Gif => Ok(Claims { animated: gif_moves(file), profile: false }),
        _ => Ok(Claims::default()),
    }
}

/// Walks the chunks in front of the pixels (PNG, third edition, 5.3).
fn png(mut file: impl BufRead + Seek) -> Result<Claims> {
    file.seek(SeekFrom::Start(8))?;
    let mut claims = Claims::default();
    let mut head = [0; 8];
    while file.read_exact(&mut head).is_ok() {
        let [l0, l1, l2, l3, kind @ ..] = head;
        match &kind {
            b"iCCP" => claims.profile = true,
            b"acTL" => claims.animated = true,
            b"IDAT" | b"IEND" => break,
            _ => {}
        }
        const CHECKSUM: i64 = 4;
        file.seek_relative(i64::from(u32::from_be_bytes([l0, l1, l2, l3])) + CHECKSUM)?;
    }
    Ok(claims)
}

/// Reads the flags of the extended header (RFC 9649, 2.7).
fn webp(mut file: impl Read) -> Result<Claims> {
    let mut head = [0; 21];
    file.read_exact(&mut head)?;
    let flags = if &head[12..16] == b"VP8X" { head[20] } else { 0 };
    Ok(Claims { animated: flags & 0x02 != 0, profile: flags & 0x20 != 0 })
}

fn gif_moves(file: impl BufRead + Seek) -> bool {
    GifDecoder::new(file).is_ok_and(|decoder| decoder.into_frames().nth(1).is_some())
}
