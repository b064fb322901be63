//! BLIP's words for pictures.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::{
    data::{
        image::decode,
        vision_input::{blip_input, patches},
        wordpiece::WordPieceTokenizer,
    },
    diffusion::{Purpose, Stream},
    gpu::Gpu,
    weights::ModelFolder,
};

use super::{
    ahead::ahead,
    captioner::{BlipParts, Captioner},
    generate::{GenerationOptions, Marks, generate},
    job::CaptionerJob,
};

/// The vocabulary that BLIP's folders carry.
const VOCABULARY: &str = "vocab.txt";
/// What ends a caption.
const SEPARATOR: &str = "[SEP]";

/// Words for each of `pictures`, or why a picture could not be used, to `each`.
///
/// # Errors
/// A model that does not fit together, options that its captions cannot meet, a failure of the device, and the first
/// error of `each`.
pub(super) fn caption_pictures(
    gpu: &Gpu,
    job: &CaptionerJob,
    pictures: &[(usize, &Path)],
    mut each: impl FnMut(usize, Result<String>) -> Result<()>,
) -> Result<()> {
    let tokenizer = tokenizer_of(&job.model)?;
    let parts = BlipParts::open(&job.model)?;
    let mut prompt = vec![parts.begin];
    prompt.extend(tokenizer.tokens(&job.prompt_prefix)?);
    job.generation.check(prompt.len())?;
    let GenerationOptions { num_beams, max_length, .. } = job.generation;
    let mut captioner = Captioner::new(gpu, &parts, num_beams, max_length)?;
    let fits = tokenizer.id(SEPARATOR) == Some(parts.end) && tokenizer.size() <= captioner.vocabulary();
    ensure!(fits, "{} is not the vocabulary of this model", job.model.file(VOCABULARY).display());
    let (size, patch) = (captioner.image().image_size(), captioner.image().patch);
    let read = |path: &Path| Ok(patches(&blip_input(&decode(path)?, size), size, patch));
    ahead(pictures, read, |index, patches| {
        let patches = match patches {
            Ok(patches) => patches,
            Err(unusable) => return each(index, Err(unusable)),
        };
        captioner.look(gpu, &patches);
        let mut uniform = uniform_numbers(job.seed, index);
        let mut next = |tokens: &[u32], parents: &[usize]| captioner.next(gpu, tokens, parents);
        let ids = generate(&prompt, &job.generation, &Marks { end: parts.end }, &mut uniform, &mut next)?;
        each(index, Ok(tokenizer.decode(&ids)))
    })
}

fn tokenizer_of(model: &ModelFolder) -> Result<WordPieceTokenizer> {
    let own = model.file(VOCABULARY);
    if own.exists() { WordPieceTokenizer::open(&own) } else { WordPieceTokenizer::embedded() }
}

/// Numbers in [0, 1) of picture `index`, the same whatever was captioned before it.
fn uniform_numbers(seed: u64, index: usize) -> impl FnMut() -> f64 {
    const BITS: u32 = 53;
    let stream = Stream::new(seed, Purpose::Caption, 0, index as u32);
    let mut drawn = 0;
    move || {
        drawn += 1;
        stream.below(1 << BITS, drawn) as f64 / (1u64 << BITS) as f64
    }
}
