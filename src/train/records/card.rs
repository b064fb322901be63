//! What a WebUI shows of a LoRA: `<name>.json` with the words to use, and `<name>.preview.png`, a sheet of training
//! pictures until somebody puts a better picture there.

use std::path::Path;

use anyhow::Result;
use image::{RgbImage, imageops};
use serde_json::json;

use crate::{
    config::Provenance, data::image::load_at_size, families::SD_V1, sample::png, size::Size, weights::write_atomically,
};

/// The strength to begin with: what WebUIs put into the prompt when the card is clicked.
pub const PREFERRED_WEIGHT: f64 = 0.8;

/// Writes both files beside the LoRA `file`. Those that exist stay: somebody may have edited them.
///
/// # Errors
/// Trouble with the disk, or with a picture.
pub(in crate::train) fn write(file: &Path, provenance: &Provenance, pictures: &[&Path], size: Size) -> Result<()> {
    let [words, preview] = ["json", "preview.png"].map(|extension| file.with_extension(extension));
    if !words.exists() {
        let text = serde_json::to_vec_pretty(&facts(provenance))?;
        write_atomically(&words, |out| out.write_all(&text))?;
    }
    if !preview.exists() {
        let bytes = png::encode(&sheet(pictures, size)?, "")?;
        write_atomically(&preview, |out| out.write_all(&bytes))?;
    }
    Ok(())
}

/// The keys that AUTOMATIC1111's and Forge's cards read.
fn facts(provenance: &Provenance) -> serde_json::Value {
    let license = provenance.license.as_ref().map(|license| format!("Licence: {license}"));
    let author = provenance.author.as_ref().map(|author| format!("Author: {author}"));
    let notes: Vec<String> = [author, license].into_iter().flatten().collect();
    json!({
        "description": provenance.description.clone().unwrap_or_default(),
        "sd version": SD_V1.labels.card,
        "activation text": provenance.trigger_phrase.clone().unwrap_or_default(),
        "preferred weight": PREFERRED_WEIGHT,
        "negative text": "",
        "notes": notes.join("\n"),
    })
}

/// One picture, or four of them in two rows, in all as large as a training picture.
fn sheet(pictures: &[&Path], size: Size) -> Result<RgbImage> {
    let per_side = if pictures.len() < 4 { 1 } else { 2 };
    let size = size.cells(per_side);
    let (width, height) = (size.width as u32, size.height as u32);
    let mut sheet = RgbImage::new(width * per_side as u32, height * per_side as u32);
    for cell in 0..per_side * per_side {
        let chosen = cell * pictures.len() / (per_side * per_side);
        let picture = load_at_size(pictures[chosen], size)?;
        let tile = RgbImage::from_raw(width, height, picture.rgb).expect("a picture has the size it was brought to");
        let (left, top) = (cell % per_side * size.width, cell / per_side * size.height);
        imageops::replace(&mut sheet, &tile, left as i64, top as i64);
    }
    Ok(sheet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use std::path::PathBuf;

    const SIZE: Size = Size::new(16, 24);
    const COLOURS: [[u8; 3]; 4] = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]];

    fn pictures(folder: &Path) -> Vec<PathBuf> {
        let save = |colour: [u8; 3]| {
            let path = folder.join(format!("{colour:?}.png"));
            RgbImage::from_pixel(16, 24, Rgb(colour)).save(&path).unwrap();
            path
        };
        COLOURS.map(save).to_vec()
    }

    #[test]
    fn a_card_has_the_words_and_four_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = pictures(folder.path());
        let paths: Vec<&Path> = pictures.iter().map(PathBuf::as_path).collect();
        let provenance = Provenance { trigger_phrase: Some("suzhou embroidery".into()), ..Provenance::default() };
        write(&folder.path().join("silk.safetensors"), &provenance, &paths, SIZE).unwrap();
        let words: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.path().join("silk.json")).unwrap()).unwrap();
        assert_eq!(words["activation text"], "suzhou embroidery");
        assert_eq!(words["sd version"], "SD1");
        let preview = image::open(folder.path().join("silk.preview.png")).unwrap().into_rgb8();
        assert_eq!(preview.dimensions(), (16, 24));
        let corners = [(0, 0), (15, 0), (0, 23), (15, 23)].map(|(x, y)| preview.get_pixel(x, y).0);
        assert_eq!(corners, COLOURS);
    }

    #[test]
    fn an_edited_card_stays() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = pictures(folder.path());
        for name in ["silk.json", "silk.preview.png"] {
            std::fs::write(folder.path().join(name), "mine").unwrap();
        }
        write(&folder.path().join("silk.safetensors"), &Provenance::default(), &[&pictures[0]], SIZE).unwrap();
        for name in ["silk.json", "silk.preview.png"] {
            assert_eq!(std::fs::read(folder.path().join(name)).unwrap(), b"mine");
        }
    }
}
