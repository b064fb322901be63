//! Writing safetensors: the layout of the reference implementation, byte for byte except for the metadata's order.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use safetensors::tensor::{Dtype, TensorInfo};
use serde_json::{Map, Value};

use super::atomic_file::write_checked;
use super::safetensors_file::{SafetensorsFile, StorageType};

/// A tensor about to be written.
#[derive(Clone, Debug)]
pub struct OwnedTensor {
    pub name: String,
    pub dtype: StorageType,
    pub shape: Vec<usize>,
    /// Little-endian, row-major.
    pub bytes: Vec<u8>,
}

impl OwnedTensor {
    /// An f32 tensor of row-major `values`.
    pub fn f32(name: &str, values: &[f32], shape: &[usize]) -> Self {
        let bytes = bytemuck::cast_slice(values).to_vec();
        Self { name: name.to_owned(), dtype: StorageType::F32, shape: shape.to_vec(), bytes }
    }

    /// A tensor of row-major whole numbers.
    pub fn i64(name: &str, values: &[i64], shape: &[usize]) -> Self {
        let (dtype, bytes) = (StorageType::Other(Dtype::I64), bytemuck::cast_slice(values).to_vec());
        Self { name: name.to_owned(), dtype, shape: shape.to_vec(), bytes }
    }
}

/// Writes a safetensors file atomically, and reads it back before it takes its name.
/// Equal arguments give equal bytes.
///
/// # Errors
/// Two tensors of one name, trouble with the disk, or a file that reads back differently.
pub fn write_safetensors(
    path: &Path,
    mut tensors: Vec<OwnedTensor>,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    sort(&mut tensors);
    let header = encode_header(&tensors, metadata).with_context(|| format!("cannot write {}", path.display()))?;
    write_checked(
        path,
        |out| {
            out.write_all(&header)?;
            tensors.iter().try_for_each(|tensor| out.write_all(&tensor.bytes))
        },
        |written| compare(written, &tensors),
    )
}

/// The bytes of the whole file, for hashing.
pub(super) fn encode(tensors: &mut [OwnedTensor], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    sort(tensors);
    let mut bytes = encode_header(tensors, metadata)?;
    tensors.iter().for_each(|tensor| bytes.extend_from_slice(&tensor.bytes));
    Ok(bytes)
}

/// Widest element first, so that every tensor is aligned; then by name.
fn sort(tensors: &mut [OwnedTensor]) {
    tensors.sort_by(|a, b| {
        let (a_type, b_type) = (Dtype::from(a.dtype), Dtype::from(b.dtype));
        b_type.cmp(&a_type).then_with(|| a.name.cmp(&b.name))
    });
}

/// The header's length, then JSON padded with spaces to a multiple of eight.
fn encode_header(tensors: &[OwnedTensor], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".to_owned(), serde_json::to_value(metadata)?);
    }
    let mut offset = 0;
    for tensor in tensors {
        let end = offset + tensor.bytes.len();
        let info = TensorInfo { dtype: tensor.dtype.into(), shape: tensor.shape.clone(), data_offsets: (offset, end) };
        if header.insert(tensor.name.clone(), serde_json::to_value(info)?).is_some() {
            bail!("two tensors are named {}", tensor.name);
        }
        offset = end;
    }
    let mut json = serde_json::to_vec(&Value::Object(header))?;
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut json);
    Ok(bytes)
}

fn compare(path: &Path, expected: &[OwnedTensor]) -> Result<()> {
    let file = SafetensorsFile::open(path)?;
    for tensor in expected {
        let same = file.get(&tensor.name).is_some_and(|stored| {
            stored.dtype == tensor.dtype && stored.shape == tensor.shape && stored.bytes == tensor.bytes
        });
        if !same {
            bail!("tensor {} reads back differently: the disk or its driver is at fault", tensor.name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::test_files::f32_tensor;

    fn half_tensor(name: &str) -> OwnedTensor {
        OwnedTensor { name: name.to_owned(), dtype: StorageType::F16, shape: vec![3], bytes: vec![0; 6] }
    }

    #[test]
    fn the_reference_reader_accepts_what_we_write() -> Result<()> {
        let metadata = BTreeMap::from([("title".to_owned(), "苏绣".to_owned())]);
        let bytes = encode(&mut [half_tensor("a"), f32_tensor("z", &[2])], &metadata)?;
        let file = safetensors::SafeTensors::deserialize(&bytes)?;
        assert_eq!(file.tensor("z")?.data(), f32_tensor("z", &[2]).bytes);
        assert_eq!(file.tensor("a")?.shape(), [3]);
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes)?;
        assert_eq!(header.offset_keys(), ["z", "a"]);
        assert_eq!(header.metadata().as_ref().map(|m| m["title"].as_str()), Some("苏绣"));
        Ok(())
    }

    #[test]
    fn two_tensors_of_one_name_are_refused() {
        let error = encode(&mut [half_tensor("a"), half_tensor("a")], &BTreeMap::new());
        assert!(error.expect_err("a name twice").to_string().contains("named a"));
    }

    #[test]
    fn comparing_notices_a_changed_bit() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.safetensors");
        let mut tensors = vec![f32_tensor("a", &[2])];
        write_safetensors(&path, tensors.clone(), &BTreeMap::new())?;
        compare(&path, &tensors)?;
        tensors[0].bytes[3] ^= 1;
        assert!(compare(&path, &tensors).is_err());
        Ok(())
    }
}
