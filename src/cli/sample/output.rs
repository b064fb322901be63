//! The files of `lora-wgpu sample`.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use image::RgbImage;

use crate::{
    sample::{animation, png},
    weights::write_atomically,
};

/// The folder that the pictures go to, once the name is known to be one for them.
///
/// # Errors
/// A name that says another format, or that is a folder's.
pub(super) fn folder_for(path: &Path, animated: bool) -> Result<PathBuf> {
    let shown = path.display();
    match ending(path).as_deref() {
        None if animated && !path.as_os_str().is_empty() => return Ok(path.to_owned()),
        Some("gif") if animated => {}
        Some("png") => ensure!(!path.is_dir(), "--out: {shown} is a folder; add the picture's name"),
        _ if animated => bail!("--out {shown}: an animation is a .gif, a .png or a folder"),
        _ => bail!("--out {shown}: pictures are written as PNG; give a name that ends in .png"),
    }
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    Ok(folder.map_or_else(|| PathBuf::from("."), Path::to_owned))
}

fn ending(path: &Path) -> Option<String> {
    path.extension().map(|ending| ending.to_string_lossy().to_lowercase())
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
    match ending(path).as_deref() {
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
