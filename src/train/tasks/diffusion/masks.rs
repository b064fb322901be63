//! The examples' masks at the size of their latents.

use anyhow::Result;

use crate::{
    config::TrainConfig,
    data::{
        dataset::Example,
        image::inspect,
        latent_cache::CacheKey,
        masks::Mask,
        names::{counted, file_name},
    },
    families::SD_V1,
    size::Size,
    train::events::{Event, Tell, say},
};

use super::kept::Kept;

/// Pixels along each side of one place of a latent.
const CELL: usize = SD_V1.latent.cell;

/// How much each pixel of the examples' latents counts, (H, W), 0 to 1; nothing where no loss is masked.
///
/// # Errors
/// A mask that does not decode, named; a failure of the disk.
pub(super) fn load_masks(examples: &[Example], config: &TrainConfig, tell: &mut Tell<'_>) -> Result<Vec<Vec<f32>>> {
    if !config.loss.is_masked() {
        return Ok(Vec::new());
    }
    let target = config.resolution;
    let latent = target.cells(CELL);
    let masked: Vec<(usize, &Mask)> =
        examples.iter().enumerate().filter_map(|(index, example)| Some((index, example.mask.as_ref()?))).collect();
    let keys = || masked.iter().map(|&(index, mask)| key(&examples[index], mask, target)).collect();
    let mut kept = Kept::open(config, masked.len(), keys)?;
    kept.notes().iter().for_each(|note| say(tell, &format!("note: {note}")));
    let missing = kept.missing();
    for (done, &at) in missing.iter().enumerate() {
        let (index, mask) = masked[at];
        kept.put(at, &[latent.height, latent.width], mask.load(&examples[index].path, target)?.square_means(CELL))?;
        tell(&Event::Phase { items: "masks read", done: done + 1, of: missing.len() });
    }
    let mut masks = vec![vec![1.0; latent.area()]; examples.len()];
    masked.iter().zip(kept.all()).for_each(|(&(index, _), values)| masks[index] = values);
    let black = examples.iter().zip(&masks).filter(|(_, mask)| mask.iter().all(|&value| value == 0.0));
    let black = black.map(|(example, _)| file_name(&example.path)).collect();
    let warning = counted("pictures of which nothing counts, for all that is left of their mask is black", black);
    warning.iter().for_each(|warning| say(tell, &format!("warning: {warning}")));
    Ok(masks)
}

fn key(example: &Example, mask: &Mask, target: Size) -> Result<CacheKey> {
    let (path, channel) = mask.source(&example.path);
    CacheKey::for_mask(path, channel, inspect(&example.path)?.size, target)
}
