//! Values: what flows between ops.

use half::{bf16, f16};

use crate::gpu::BufferSlice;

/// Element type of a value as it lies in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    F32,
    F16,
    BF16,
    U32,
}

impl DType {
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    /// Whether these bytes hold no infinity and no NaN.
    pub(super) fn all_finite(self, bytes: &[u8]) -> bool {
        let halves = || bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        match self {
            Self::F32 => bytemuck::pod_collect_to_vec::<u8, f32>(bytes).into_iter().all(f32::is_finite),
            Self::F16 => halves().all(|bits| f16::from_bits(bits).is_finite()),
            Self::BF16 => halves().all(|bits| bf16::from_bits(bits).is_finite()),
            Self::U32 => true,
        }
    }
}

/// A handle to a value on a [`super::Tape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(super) usize);

/// What the host writes before a replay: a value of one tape, and the handle that [`super::Program::write`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Input {
    pub value: Value,
    pub(super) tape: u64,
}

/// Where a value's bytes lie.
#[derive(Clone, Debug)]
pub(super) enum Storage {
    /// In a slot that the memory plan chooses, shared with values that live at other times.
    Planned,
    /// In a buffer of its own, written by the host before a replay.
    Input,
    /// In a buffer that outlives the program: weights, parameters, gradients.
    Buffer(BufferSlice),
    /// In another value's bytes, from this byte offset.
    View { root: Value, offset: u64 },
}

#[derive(Clone, Debug)]
pub(super) struct ValueInfo {
    pub name: String,
    pub shape: Vec<usize>,
    pub dtype: DType,
    pub storage: Storage,
}

impl ValueInfo {
    pub fn bytes(&self) -> u64 {
        (self.shape.iter().product::<usize>() * self.dtype.bytes()) as u64
    }
}
