//! Numbers of a LoRA file's tensors.

use anyhow::{Result, bail};

use crate::weights::half_convert::first_non_finite;
use crate::weights::safetensors_file::Tensor;

pub(super) fn scalar(tensor: &Tensor) -> Result<f32> {
    match finite_values(tensor)?[..] {
        [value] => Ok(value),
        _ => bail!("{} has shape {:?}, expected one number", tensor.name, tensor.shape),
    }
}

pub(super) fn finite_values(tensor: &Tensor) -> Result<Vec<f32>> {
    if let Some(index) = first_non_finite(tensor) {
        bail!("{} holds NaN or infinity at element {index}: the file is broken", tensor.name);
    }
    tensor.to_f32()
}
