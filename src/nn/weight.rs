//! A frozen tensor on the device.

use crate::{
    gpu::{Buffer, BufferSlice},
    tape::{DType, Tape, Value},
};

/// A frozen tensor in the shape and type that kernels read: declared at once, filled by [`super::Built::upload`].
#[derive(Clone, Debug)]
pub struct Weight {
    pub name: String,
    pub shape: Vec<usize>,
    pub dtype: DType,
    pub slice: BufferSlice,
}

impl Weight {
    pub(super) fn declare(name: &str, shape: &[usize], dtype: DType) -> Self {
        let bytes = (shape.iter().product::<usize>() * dtype.bytes()) as u64;
        let slice = Buffer::declare(name, bytes).whole();
        Self { name: name.to_owned(), shape: shape.to_vec(), dtype, slice }
    }

    /// The tensor as a value of `tape`.
    pub fn on(&self, tape: &mut Tape) -> Value {
        tape.external(&self.name, &self.shape, self.dtype, &self.slice)
    }
}
