//! Tensors under their reference names.

use safetensors::Dtype;

use crate::{
    nn::nhwc_to_nchw,
    weights::{
        OwnedTensor, StorageType,
        lora::{AdapterModule, AdapterTensor, Part},
    },
};

use super::file::tensor_name;

/// Collects tensors under their reference names, in PyTorch's layout.
#[derive(Default)]
pub(super) struct Recorder(pub Vec<OwnedTensor>);

impl Recorder {
    pub fn floats(&mut self, name: &str, values: &[f32], shape: &[usize]) {
        self.0.push(OwnedTensor::f32(name, values, shape));
    }

    pub fn doubles(&mut self, name: &str, values: &[f64]) {
        let (dtype, bytes) = (StorageType::Other(Dtype::F64), bytemuck::cast_slice(values).to_vec());
        self.0.push(OwnedTensor { name: name.to_owned(), dtype, shape: vec![values.len()], bytes });
    }

    /// Channels-last pixels, written channels first.
    pub fn pixels(&mut self, name: &str, values: &[f32], shape: &[usize; 4]) {
        let &[batch, height, width, channels] = shape;
        let values = nhwc_to_nchw(values, channels, height * width);
        self.floats(name, &values, &[batch, channels, height, width]);
    }

    pub fn any(&mut self, name: &str, values: &[f32], shape: &[usize]) {
        match shape {
            &[batch, height, width, channels] => self.pixels(name, values, &[batch, height, width, channels]),
            _ => self.floats(name, values, shape),
        }
    }

    pub fn adapters(&mut self, prefix: &str, modules: &[AdapterModule]) {
        for AdapterModule { site, tensors, .. } in modules {
            let network = if site.part == Part::TextEncoder { "lora_te/" } else { "" };
            for AdapterTensor { name, shape, values } in tensors {
                self.floats(&format!("{prefix}/{network}{}", tensor_name(&site.path, name)), values, shape);
            }
        }
    }
}
