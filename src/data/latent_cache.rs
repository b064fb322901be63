//! What the VAE made of a picture, and a picture's mask, kept on disk so that the next run need not compute it.
//!
//! Entries are found by content: the key is a hash of everything they depend on, so a changed picture, size or model
//! simply is another entry. An entry is a safetensors file `<key>.safetensors` with one f32 tensor `values` and a
//! checksum.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::image::MaskChannel;
use anyhow::{Context, Result, ensure};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::size::Size;

/// Part of every key: raise it when the meaning of an entry changes.
const FORMAT_VERSION: u32 = 3;
const TENSOR: &str = "values";
const CHECKSUM: &str = "blake3";

/// The name of an entry: a hash of what it depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey(blake3::Hash);

impl CacheKey {
    /// The key of a picture's latents, the picture being brought to `size`. `model` names the VAE and how it is run.
    pub fn for_picture(path: &Path, size: Size, model: &str) -> Result<Self> {
        let picture = hash_of(path)?;
        Ok(Self::new(&[b"picture", picture.as_bytes(), size_bytes(size).as_flattened(), model.as_bytes()]))
    }

    /// The key of a mask in a `channel` of the file at `path`, of a picture of the size `picture` that is brought to
    /// `target`.
    pub fn for_mask(path: &Path, channel: MaskChannel, picture: Size, target: Size) -> Result<Self> {
        let kind: &[u8] = match channel {
            MaskChannel::First => b"mask",
            MaskChannel::Alpha => b"alpha",
        };
        let sizes = [picture, target].map(size_bytes);
        Ok(Self::new(&[kind, hash_of(path)?.as_bytes(), sizes.as_flattened().as_flattened()]))
    }

    fn new(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&FORMAT_VERSION.to_le_bytes());
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Self(hasher.finalize())
    }
}

fn hash_of(path: &Path) -> Result<blake3::Hash> {
    let hash =
        File::open(path).and_then(|file| blake3::Hasher::new().update_reader(file).map(|hasher| hasher.finalize()));
    hash.with_context(|| format!("cannot read {}", path.display()))
}

fn size_bytes(Size { width, height }: Size) -> [[u8; 8]; 2] {
    [width as u64, height as u64].map(u64::to_le_bytes)
}

/// Latents by key, in a folder.
#[derive(Debug)]
pub struct LatentCache {
    folder: PathBuf,
    notes: Vec<String>,
}

impl LatentCache {
    /// The cache in `folder`, which is made where it is missing; a later run finds the entries again.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the cache folder {}", folder.display()))?;
        Ok(Self { folder: folder.to_owned(), notes: Vec::new() })
    }

    /// The values of an entry. A damaged file counts as absent and leaves a note.
    pub fn get(&mut self, key: &CacheKey) -> Option<Vec<f32>> {
        let path = entry_path(&self.folder, key);
        if !path.exists() {
            return None;
        }
        match read_entry(&path) {
            Ok(values) => Some(values),
            Err(error) => {
                self.notes.push(format!("the cache file {} is damaged and is made again: {error:#}", path.display()));
                None
            }
        }
    }

    /// Stores `values` of the given shape; the file appears whole or not at all. Refuses values that are not finite: a
    /// cache must not preserve them.
    pub fn put(&mut self, key: &CacheKey, shape: &[usize], values: &[f32]) -> Result<()> {
        ensure!(values.iter().all(|value| value.is_finite()), "latents hold a value that is not finite");
        write_entry(&self.folder, key, shape, values)
            .with_context(|| format!("cannot write to the cache folder {}", self.folder.display()))
    }

    /// What there is to tell the user since the last call.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}

fn entry_path(folder: &Path, key: &CacheKey) -> PathBuf {
    folder.join(format!("{}.safetensors", key.0.to_hex()))
}

fn write_entry(folder: &Path, key: &CacheKey, shape: &[usize], values: &[f32]) -> Result<()> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let tensor = TensorView::new(Dtype::F32, shape.to_vec(), &bytes)?;
    let metadata = HashMap::from([(CHECKSUM.to_owned(), blake3::hash(&bytes).to_string())]);
    let content = safetensors::serialize([(TENSOR, tensor)], Some(metadata))?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&content)?;
    file.persist(entry_path(folder, key))?;
    Ok(())
}

fn read_entry(path: &Path) -> Result<Vec<f32>> {
    let content = fs::read(path)?;
    let (_, metadata) = SafeTensors::read_metadata(&content)?;
    let bytes = SafeTensors::deserialize(&content)?.tensor(TENSOR)?.data().to_vec();
    let checksum = metadata.metadata().as_ref().and_then(|metadata| metadata.get(CHECKSUM));
    ensure!(checksum == Some(&blake3::hash(&bytes).to_string()), "its checksum does not fit");
    let (words, _) = bytes.as_chunks::<4>();
    Ok(words.iter().map(|&word| f32::from_le_bytes(word)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [f32; 4] = [1.0, -2.5, 1e-30, 0.0];

    fn key(name: &str) -> CacheKey {
        CacheKey::new(&[name.as_bytes()])
    }

    #[test]
    fn what_was_put_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = LatentCache::open(&folder.path().join("deep/cache")).unwrap();
        assert_eq!(cache.get(&key("a")), None);
        cache.put(&key("a"), &[2, 2], &VALUES).unwrap();
        assert_eq!(cache.get(&key("a")).as_deref(), Some(VALUES.as_slice()));
        assert_eq!(cache.get(&key("b")), None);
        assert!(cache.put(&key("a"), &[1], &[f32::NAN]).is_err());
        assert_eq!(cache.take_notes(), [""; 0]);
    }

    #[test]
    fn a_later_run_finds_the_entry_and_no_rest() {
        let folder = tempfile::tempdir().unwrap();
        LatentCache::open(folder.path()).unwrap().put(&key("a"), &[4], &VALUES).unwrap();
        assert_eq!(LatentCache::open(folder.path()).unwrap().get(&key("a")).as_deref(), Some(VALUES.as_slice()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn damaged_entries_are_told_and_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = LatentCache::open(folder.path()).unwrap();
        cache.put(&key("a"), &[4], &VALUES).unwrap();
        let path = entry_path(folder.path(), &key("a"));
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for damaged in [&whole[..whole.len() - 3], &[], &flipped] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(cache.get(&key("a")), None);
            assert!(cache.take_notes()[0].contains("is damaged"));
            cache.put(&key("a"), &[4], &VALUES).unwrap();
            assert_eq!(cache.get(&key("a")).as_deref(), Some(VALUES.as_slice()));
        }
    }

    #[test]
    fn keys_hang_on_content_size_and_model() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a.png"), folder.path().join("b.png"));
        fs::write(&first, "picture").unwrap();
        fs::write(&second, "picture").unwrap();
        let key = |path: &Path, size, model| CacheKey::for_picture(path, size, model).unwrap();
        let base = key(&first, Size::new(512, 768), "vae");
        assert_eq!(base, key(&second, Size::new(512, 768), "vae"));
        assert_ne!(base, key(&first, Size::new(768, 512), "vae"));
        assert_ne!(base, key(&first, Size::new(512, 768), "other vae"));
        fs::write(&second, "another").unwrap();
        assert_ne!(base, key(&second, Size::new(512, 768), "vae"));
        let mask = |channel, picture, target| CacheKey::for_mask(&first, channel, picture, target).unwrap();
        let of_mask = mask(MaskChannel::First, Size::square(8), Size::new(512, 768));
        for other in [
            base,
            mask(MaskChannel::Alpha, Size::square(8), Size::new(512, 768)),
            mask(MaskChannel::First, Size::new(8, 9), Size::new(512, 768)),
            mask(MaskChannel::First, Size::square(8), Size::square(512)),
        ] {
            assert_ne!(of_mask, other);
        }
        assert_ne!(CacheKey::new(&[b"ab", b"c"]), CacheKey::new(&[b"a", b"bc"]));
    }
}
