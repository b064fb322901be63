//! Recorded PyTorch tensors: `fixtures/<op>.safetensors`, made by `tools/record_ops/<op>.py`.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use super::Tensor;

/// The recorded tensors of one op.
pub struct Fixture {
    bytes: Vec<u8>,
}

impl Fixture {
    pub fn open(op: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("kernels-tests/fixtures/{op}.safetensors"));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { bytes }
    }

    /// A recorded tensor; f32, f64 and i64 ones come as f32.
    pub fn tensor(&self, name: &str) -> Tensor {
        let (shape, data) = self.load(name);
        Tensor::new(&shape, data.iter().map(|&value| value as f32).collect())
    }

    /// A recorded tensor's values, as what a result is held against.
    pub fn expected(&self, name: &str) -> Vec<f64> {
        self.load(name).1
    }

    fn load(&self, name: &str) -> (Vec<usize>, Vec<f64>) {
        let tensors = SafeTensors::deserialize(&self.bytes).expect("a valid fixture");
        let view = tensors.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let bytes = view.data();
        let values = match view.dtype() {
            Dtype::F32 => bytes.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
            Dtype::F64 => bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
            Dtype::I64 => bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
            other => panic!("{name}: unexpected type {other:?}"),
        };
        (view.shape().to_vec(), values)
    }
}
