//! CLIP's tags for pictures.

use std::path::Path;

use anyhow::Result;

use crate::{
    data::{
        image::decode,
        tokenizer::ClipTokenizer,
        vision_input::{clip_input, patches},
    },
    gpu::Gpu,
};

use super::{
    ahead::ahead,
    job::{Event, TaggerJob, Watch},
    tagger::{ClipParts, ImageEmbedder, embed_prompts, unit},
    tags::choose,
};

/// What CLIP makes of a picture.
pub(super) struct Tagged {
    /// The best of each group, in the order of groups.
    pub tags: Vec<String>,
    /// Unit vector.
    pub vector: Vec<f32>,
}

/// Tags of each of `pictures`, or why a picture could not be used, to `each`.
///
/// # Errors
/// A model that does not fit together, a failure of the device, and the first error of `each`.
pub(super) fn tag_pictures(
    gpu: &Gpu,
    job: &TaggerJob,
    pictures: &[(usize, &Path)],
    watch: &mut Watch<'_>,
    mut each: impl FnMut(usize, Result<Tagged>, &mut Watch<'_>) -> Result<()>,
) -> Result<()> {
    let parts = ClipParts::open(&job.model)?;
    let scale = parts.logit_scale()?;
    let tag_vectors = tag_vectors(gpu, job, &parts, watch)?;
    let embedder = ImageEmbedder::new(gpu, &parts)?;
    let (size, patch) = (embedder.image().image_size(), embedder.image().patch);
    let read = |path: &Path| Ok(patches(&clip_input(&decode(path)?, size), size, patch));
    let _ = watch(Event::Begins("pictures tagged", pictures.len()));
    ahead(pictures, read, |index, patches| {
        let patches = match patches {
            Ok(patches) => patches,
            Err(unusable) => return each(index, Err(unusable), watch),
        };
        let vector = embedder.embed(gpu, &patches)?;
        let similarities: Vec<f32> = tag_vectors.iter().map(|tag| dot(tag, &vector)).collect();
        let chosen = choose(&job.tags, &similarities, scale, job.threshold, job.most);
        let tags = chosen.iter().map(|chosen| job.tags.tags[chosen.index].tag.clone()).collect();
        each(index, Ok(Tagged { tags, vector }), watch)
    })
}

/// A unit vector for each tag: the mean over its prompts.
fn tag_vectors(gpu: &Gpu, job: &TaggerJob, parts: &ClipParts, watch: &mut Watch<'_>) -> Result<Vec<Vec<f32>>> {
    let tokenizer = ClipTokenizer::new()?;
    let prompts: Vec<Vec<String>> = (0..job.tags.tags.len()).map(|index| job.tags.prompts(index)).collect();
    let tokens: Vec<Vec<u32>> =
        prompts.iter().flatten().map(|prompt| tokenizer.tokens(prompt)).collect::<Result<_>>()?;
    let _ = watch(Event::Begins("prompts of tags", tokens.len()));
    let vectors = embed_prompts(gpu, parts, &tokens, |count| {
        let _ = watch(Event::Done(count));
    })?;
    let _ = watch(Event::Ends);
    let mut vectors = vectors.into_iter();
    Ok(prompts.iter().map(|prompts| mean(vectors.by_ref().take(prompts.len()))).collect())
}

/// The mean of unit vectors, at length 1 again.
fn mean(vectors: impl Iterator<Item = Vec<f32>>) -> Vec<f32> {
    let sum = vectors.reduce(|sum, vector| sum.iter().zip(&vector).map(|(sum, x)| sum + x).collect());
    unit(&sum.unwrap_or_default())
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
