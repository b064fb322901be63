//! The files of `lora-wgpu sample`.

use std::{
    ffi::OsStr,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use image::RgbImage;

use crate::{
    sample::{animation, png},
    weights::write_atomically,
};

/// The folder that the pictures go to.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        _ if path.extension().is_none() => path.to_owned(),
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// `out.png`, or `out-00001.png` and so on where there are several.
pub(super) fn numbered(path: &Path, index: usize, count: usize) -> PathBuf {
    if count == 1 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{:05}.png", index + 1))
}

/// Writes a picture with its infotext, and says where.
pub(super) fn save(path: &Path, picture: &RgbImage, infotext: &str, out: &mut dyn Write) -> Result<()> {
    write(path, &png::encode(picture, infotext)?, out)
}

/// Writes frames as a GIF, an animated PNG, or numbered pictures in a folder, as the path's ending says.
pub(super) fn save_animation(
    path: &Path,
    frames: Vec<RgbImage>,
    infotexts: &[String],
    fps: u16,
    out: &mut dyn Write,
) -> Result<()> {
    match path.extension().and_then(OsStr::to_str).map(str::to_lowercase).as_deref() {
        None => {
            for (number, (frame, infotext)) in (1..).zip(frames.iter().zip(infotexts)) {
                save(&path.join(format!("{number:05}.png")), frame, infotext, out)?;
            }
            Ok(())
        }
        Some("gif") => write(path, &animation::gif(frames, fps.into())?, out),
        Some(_) => write(path, &animation::apng(&frames, fps)?, out),
    }
}

fn write(path: &Path, bytes: &[u8], out: &mut dyn Write) -> Result<()> {
    write_atomically(path, |file| file.write_all(bytes)).context("--out")?;
    Ok(writeln!(out, "{}", path.display())?)
}
