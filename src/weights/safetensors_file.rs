//! A memory-mapped safetensors file: <https://huggingface.co/docs/safetensors>.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use memmap2::Mmap;
use safetensors::tensor::{Dtype, Metadata};

/// The header's length is a little-endian u64.
const LENGTH_BYTES: usize = 8;
/// The format's own limit on its header.
const HEADER_LIMIT: u64 = 100_000_000;

/// How a tensor's elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageType {
    F32,
    F16,
    BF16,
    /// Integers, f64, fp8: known to the format, never computed with here.
    Other(Dtype),
}

impl StorageType {
    /// Whether weights may be stored so.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::BF16)
    }

    /// Whether one of the fp8 formats.
    pub fn is_fp8(self) -> bool {
        matches!(
            self,
            Self::Other(Dtype::F8_E4M3 | Dtype::F8_E5M2 | Dtype::F8_E4M3FNUZ | Dtype::F8_E5M2FNUZ | Dtype::F8_E8M0)
        )
    }
}

impl From<Dtype> for StorageType {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::BF16,
            other => Self::Other(other),
        }
    }
}

impl From<StorageType> for Dtype {
    fn from(storage: StorageType) -> Self {
        match storage {
            StorageType::F32 => Self::F32,
            StorageType::F16 => Self::F16,
            StorageType::BF16 => Self::BF16,
            StorageType::Other(dtype) => dtype,
        }
    }
}

impl fmt::Display for StorageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Dtype::from(*self).fmt(f)
    }
}

/// A view of one tensor inside a mapped file.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    pub name: &'a str,
    pub dtype: StorageType,
    pub shape: &'a [usize],
    /// Little-endian, row-major; not aligned to the element size in every file.
    pub bytes: &'a [u8],
}

#[derive(Debug)]
struct Entry {
    dtype: StorageType,
    shape: Vec<usize>,
    range: Range<usize>,
}

/// Where a file's bytes are.
#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    /// In the program itself.
    Embedded(&'static [u8]),
    Generated(Vec<u8>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Embedded(bytes) => bytes,
            Self::Generated(bytes) => bytes,
        }
    }
}

/// An open safetensors file. Its tensors are views into the map: nothing is read before it is touched.
#[derive(Debug)]
pub struct SafetensorsFile {
    path: PathBuf,
    bytes: Bytes,
    tensors: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

impl SafetensorsFile {
    /// Maps the file and reads its header.
    ///
    /// # Errors
    /// A file that cannot be opened, is cut short, or is something else (a pickle, a web page, …), each named.
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(path, Bytes::Mapped(map_file(path)?))
    }

    /// A file that is part of the program; `name` stands for its path.
    ///
    /// # Errors
    /// As [`SafetensorsFile::open`].
    pub fn embedded(name: &Path, bytes: &'static [u8]) -> Result<Self> {
        Self::read(name, Bytes::Embedded(bytes))
    }

    /// Whether it is part of the program.
    pub fn is_embedded(&self) -> bool {
        matches!(self.bytes, Bytes::Embedded(_))
    }

    /// What stands for a file where only its shapes matter: all tensors are views of the same random numbers.
    pub(super) fn generated(tensors: &[(String, Vec<usize>)], dtype: StorageType) -> Self {
        let elements = |shape: &[usize]| shape.iter().product::<usize>();
        let most = tensors.iter().map(|(_, shape)| elements(shape)).max().unwrap_or(0);
        let (bytes, width) = random_bytes(most, dtype);
        let entry = |(name, shape): &(String, Vec<usize>)| {
            (name.clone(), Entry { dtype, shape: shape.clone(), range: 0..elements(shape) * width })
        };
        let tensors = tensors.iter().map(entry).collect();
        Self { path: PathBuf::new(), bytes: Bytes::Generated(bytes), tensors, metadata: BTreeMap::new() }
    }

    fn read(path: &Path, bytes: Bytes) -> Result<Self> {
        let (header, data_start) = parse_header(&bytes).with_context(|| format!("cannot read {}", path.display()))?;
        let tensors = header
            .tensors()
            .into_iter()
            .map(|(name, info)| {
                let (start, end) = info.data_offsets;
                let entry = Entry {
                    dtype: info.dtype.into(),
                    shape: info.shape.clone(),
                    range: data_start + start..data_start + end,
                };
                (name, entry)
            })
            .collect();
        let metadata = header.metadata().clone().unwrap_or_default();
        Ok(Self { path: path.to_owned(), bytes, tensors, metadata: metadata.into_iter().collect() })
    }

    /// Lets the system take back the memory of what was read: a mapped file counts as memory of this process until then.
    /// Whatever is read again is mapped again.
    pub(super) fn release_pages(&self) {
        #[cfg(unix)]
        if let Bytes::Mapped(map) = &self.bytes {
            // SAFETY: the pages of a read-only map of a file hold nothing that the file does not hold.
            // Where the system refuses the advice, memory stays in use: no reason to fail.
            let _ = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole file, header included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The header's `__metadata__`.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// One tensor by its name in the file.
    pub fn get(&self, name: &str) -> Option<Tensor<'_>> {
        self.tensors.get_key_value(name).map(|(name, entry)| self.view(name, entry))
    }

    /// All tensors, ordered by name.
    pub fn tensors(&self) -> impl Iterator<Item = Tensor<'_>> {
        self.tensors.iter().map(|(name, entry)| self.view(name, entry))
    }

    fn view<'a>(&'a self, name: &'a str, entry: &'a Entry) -> Tensor<'a> {
        Tensor { name, dtype: entry.dtype, shape: &entry.shape, bytes: &self.bytes[entry.range.clone()] }
    }
}

fn map_file(path: &Path) -> Result<Mmap> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let info = file.metadata().with_context(|| format!("cannot open {}", path.display()))?;
    if info.is_dir() {
        bail!("{} is a folder, not a .safetensors file", path.display());
    }
    if info.len() == 0 {
        bail!("{} is empty: download or copy it again", path.display());
    }
    // SAFETY: the map is read-only, and model files are not rewritten in place while they are in use; our own
    // writer renames a new file over an old one, which leaves an existing map intact.
    unsafe { Mmap::map(&file) }.with_context(|| format!("cannot map {} into memory", path.display()))
}

/// Returns the header and the offset of the first tensor byte.
fn parse_header(bytes: &[u8]) -> Result<(Metadata, usize)> {
    refuse_other_formats(bytes)?;
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        bail!("it is not a safetensors file: {} bytes are too few", bytes.len());
    };
    let length = u64::from_le_bytes(*length);
    if length > HEADER_LIMIT || rest.first().is_some_and(|&byte| byte != b'{') {
        bail!("it is not a safetensors file: it does not begin with a safetensors header");
    }
    let length = usize::try_from(length).expect("below the header limit");
    let Some(header) = rest.get(..length) else {
        bail!("it is cut short within its header: download or copy it again");
    };
    let header: Metadata = serde_json::from_slice(header).context("its safetensors header is damaged")?;
    let data_start = LENGTH_BYTES + length;
    check_length(data_start.saturating_add(header.data_len()), bytes.len())?;
    Ok((header, data_start))
}

fn check_length(expected: usize, actual: usize) -> Result<()> {
    if actual < expected {
        bail!("it is cut short: its header announces {expected} bytes and it has {actual}; download or copy it again");
    }
    if actual > expected {
        bail!("it is damaged: its header announces {expected} bytes and it has {actual}; download or copy it again");
    }
    Ok(())
}

const PICKLE: &str = "it is a PyTorch pickle (.ckpt, .pt or .bin), which can run code when opened. Convert it to \
    .safetensors first: in AUTOMATIC1111's Checkpoint Merger tab choose \"No interpolation\" and \"safetensors\", \
    or for a plain checkpoint run\n  python -c \"import sys, torch, safetensors.torch as s; \
    d = torch.load(sys.argv[1], map_location='cpu', weights_only=True); d = d.get('state_dict', d); \
    s.save_file({k: v.clone().contiguous() for k, v in d.items() if torch.is_tensor(v)}, sys.argv[2])\" \
    in.ckpt out.safetensors";

/// First bytes of files that people hand over by mistake, and what to tell them.
const OTHER_FORMATS: [(&[u8], &str); 7] = [
    (b"PK\x03\x04", PICKLE),
    (b"\x80\x02", PICKLE),
    (b"\x80\x04", PICKLE),
    (b"GGUF", "it is a GGUF file; give the original .safetensors file"),
    (
        b"version https://git-lfs",
        "it is a Git LFS pointer, not the file itself: run `git lfs pull`, or download the file from its page",
    ),
    (b"<!", "it is a web page, not a model: the download failed or needs a login"),
    (b"<html", "it is a web page, not a model: the download failed or needs a login"),
];

fn refuse_other_formats(bytes: &[u8]) -> Result<()> {
    match OTHER_FORMATS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        // A safetensors header of that very length would start with the same two bytes, then zeros and a brace.
        Some((_, explanation)) if bytes.get(LENGTH_BYTES) != Some(&b'{') => bail!("{explanation}"),
        _ => Ok(()),
    }
}

/// `count` numbers within ±0.05, and the bytes that each takes.
fn random_bytes(count: usize, dtype: StorageType) -> (Vec<u8>, usize) {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 24) as f32 - 0.5) * 0.1
    };
    let bytes = match dtype {
        StorageType::F16 => (0..count).flat_map(|_| half::f16::from_f32(next()).to_le_bytes()).collect(),
        StorageType::BF16 => (0..count).flat_map(|_| half::bf16::from_f32(next()).to_le_bytes()).collect(),
        _ => (0..count).flat_map(|_| next().to_le_bytes()).collect::<Vec<u8>>(),
    };
    let width = bytes.len().checked_div(count).unwrap_or(1);
    (bytes, width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::test_files::{f32_tensor, save};

    fn open_error(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().expect("test folder");
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, bytes).expect("test file");
        let error = SafetensorsFile::open(&path).expect_err("the file is bad");
        let text = format!("{error:#}");
        assert!(text.contains("model.safetensors"), "{text}");
        text
    }

    fn good_file() -> Vec<u8> {
        let folder = tempfile::tempdir().expect("test folder");
        let path = folder.path().join("a.safetensors");
        save(&path, vec![f32_tensor("a", &[2, 3]), f32_tensor("b", &[4])]);
        std::fs::read(path).expect("just written")
    }

    #[test]
    fn finds_tensors_by_name() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.safetensors");
        save(&path, vec![f32_tensor("a", &[2, 3]), f32_tensor("b", &[4])]);
        let file = SafetensorsFile::open(&path)?;
        let tensor = file.get("a").expect("stored");
        assert_eq!((tensor.name, tensor.shape, tensor.dtype), ("a", &[2, 3][..], StorageType::F32));
        assert_eq!(tensor.bytes.len(), 24);
        assert!(file.get("c").is_none());
        Ok(())
    }

    #[test]
    fn a_file_cut_short_tells_both_lengths() {
        let file = good_file();
        let text = open_error(&file[..file.len() - 5]);
        assert!(text.contains(&format!("{} bytes", file.len())), "{text}");
        assert!(text.contains(&format!("it has {}", file.len() - 5)), "{text}");
        assert!(open_error(&file[..40]).contains("within its header"));
    }

    #[test]
    fn bytes_after_the_end_are_damage() {
        let mut file = good_file();
        file.push(0);
        assert!(open_error(&file).contains("damaged"));
    }

    #[test]
    fn a_header_length_that_looks_like_a_pickle_is_no_pickle() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.safetensors");
        let header = format!("{:640}", r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#);
        let length = (header.len() as u64).to_le_bytes();
        assert_eq!(length[..2], *b"\x80\x02");
        std::fs::write(&path, [&length[..], header.as_bytes(), &[7]].concat())?;
        assert_eq!(SafetensorsFile::open(&path)?.get("a").map(|tensor| tensor.bytes), Some(&[7][..]));
        Ok(())
    }

    #[test]
    fn other_formats_are_named() {
        assert!(open_error(b"PK\x03\x04rest of a zip").contains("Convert it to .safetensors"));
        assert!(open_error(b"\x80\x02}q\x00(X").contains("pickle"));
        assert!(open_error(b"version https://git-lfs.github.com/spec/v1").contains("git lfs pull"));
        assert!(open_error(b"<!DOCTYPE html><html>").contains("web page"));
        assert!(open_error(b"just some text, long enough").contains("not a safetensors file"));
        assert!(open_error(b"").contains("empty"));
    }
}
