//! The factors of adapters on the device, times a strength that may change between replays.

use crate::{
    gpu::{Buffer, BufferSlice, Gpu},
    tape::{DType, Tape, Value},
};

/// Elements between two factors: the strictest binding alignment, 256 bytes.
const STRIDE: usize = 64;

/// The distinct factors of a set of adapters.
pub struct Scales {
    factors: Vec<f32>,
    buffer: Buffer,
}

impl Scales {
    pub fn new(label: &str, factors: impl Iterator<Item = f32>) -> Self {
        let factors = factors.fold(Vec::new(), |mut known: Vec<f32>, factor| {
            if !known.contains(&factor) {
                known.push(factor);
            }
            known
        });
        let buffer = Buffer::declare(label, 4 * (STRIDE * factors.len()) as u64);
        Self { factors, buffer }
    }

    /// Another set of the same factors, with a strength of its own.
    pub fn twin(&self, label: &str) -> Self {
        Self::new(label, self.factors.iter().copied())
    }

    /// A factor on a tape, (1).
    pub fn on(&self, tape: &mut Tape, factor: f32) -> Value {
        let index = self.factors.iter().position(|&known| known == factor).expect("the factor of a module");
        let slice = BufferSlice { buffer: self.buffer.clone(), offset: 4 * (STRIDE * index) as u64, bytes: 4 };
        tape.external("adapter scale", &[1], DType::F32, &slice)
    }

    /// Writes every factor times `strength`.
    pub fn set_strength(&self, gpu: &Gpu, strength: f32) {
        let mut values = vec![0f32; STRIDE * self.factors.len()];
        values.iter_mut().step_by(STRIDE).zip(&self.factors).for_each(|(value, factor)| *value = strength * factor);
        gpu.upload(&self.buffer.whole(), bytemuck::cast_slice(&values));
    }
}
