//! Small safetensors files for the tests of this module.

use std::collections::BTreeMap;
use std::path::Path;

use super::{OwnedTensor, StorageType, write_safetensors};

/// An f32 tensor that counts up from zero.
pub fn f32_tensor(name: &str, shape: &[usize]) -> OwnedTensor {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| i as f32).collect();
    OwnedTensor {
        name: name.to_owned(),
        dtype: StorageType::F32,
        shape: shape.to_vec(),
        bytes: bytemuck::cast_slice(&values).to_vec(),
    }
}

/// Writes tensors without metadata; makes the folder.
pub fn save(path: &Path, tensors: Vec<OwnedTensor>) {
    let folder = path.parent().expect("a test path has a folder");
    std::fs::create_dir_all(folder).expect("test folder");
    write_safetensors(path, tensors, &BTreeMap::new()).expect("test file");
}
