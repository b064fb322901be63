//! What recorded cases ask of their files: numbers in the header, and tensors that must be there.

use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use safetensors::Dtype;

use super::safetensors_file::{SafetensorsFile, StorageType, Tensor};

impl SafetensorsFile {
    /// A text of the header.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn header_text(&self, key: &str) -> Result<&str> {
        self.metadata().get(key).map(String::as_str).with_context(|| format!("the header lacks `{key}`"))
    }

    /// A number of the header, where all values are texts.
    ///
    /// # Errors
    /// There is none of this name, or it is no number.
    pub fn header_number<T: FromStr>(&self, key: &str) -> Result<T> {
        let text = self.header_text(key)?;
        text.parse().ok().with_context(|| format!("the header's `{key}` is {text:?}, not a number"))
    }

    /// A tensor that must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn require(&self, name: &str) -> Result<Tensor<'_>> {
        self.get(name).with_context(|| format!("there is no tensor `{name}`"))
    }

    /// A tensor of whole numbers.
    ///
    /// # Errors
    /// It is not there, or not stored as I64.
    pub fn integers(&self, name: &str) -> Result<Vec<i64>> {
        let tensor = self.require(name)?;
        ensure!(tensor.dtype == StorageType::Other(Dtype::I64), "`{name}` is stored as {}, not I64", tensor.dtype);
        Ok(bytemuck::pod_collect_to_vec(tensor.bytes))
    }
}
