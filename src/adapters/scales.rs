//! The factors of adapters on the device, times a strength that may change between replays.

use crate::{
    gpu::{Buffer, BufferSlice, Gpu},
    tape::{DType, Tape, Value},
};

/// Elements between two factors: the strictest binding alignment, 256 bytes.
const STRIDE: usize = 64;

/// A number that an adapter is multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factor {
    value: f32,
    /// Whether the strength goes into it.
    by_strength: bool,
}

impl Factor {
    pub const fn by_strength(value: f32) -> Self {
        Self { value, by_strength: true }
    }

    pub const fn fixed(value: f32) -> Self {
        Self { value, by_strength: false }
    }
}

/// The distinct factors of a set of adapters.
pub struct Scales {
    factors: Vec<Factor>,
    buffer: Buffer,
    /// Whether the strength may be another than 1.
    pub varies: bool,
}

impl Scales {
    /// At strength 1.
    pub fn new(label: &str, factors: impl Iterator<Item = Factor>) -> Self {
        let factors = factors.fold(Vec::new(), |mut known: Vec<Factor>, factor| {
            if !known.contains(&factor) {
                known.push(factor);
            }
            known
        });
        let buffer = Buffer::declare(label, 4 * (STRIDE * factors.len()) as u64);
        Self { factors, buffer, varies: false }
    }

    /// Another set of the same factors, with a strength of its own.
    pub fn with_strength(&self, label: &str) -> Self {
        Self { varies: true, ..Self::new(label, self.factors.iter().copied()) }
    }

    /// A factor on a tape, (1).
    pub fn on(&self, tape: &mut Tape, factor: Factor) -> Value {
        let index = self.factors.iter().position(|&known| known == factor).expect("a factor that was declared");
        let offset = 4 * (STRIDE * index) as u64;
        let slice = BufferSlice { buffer: self.buffer.clone(), offset, bytes: 4 };
        tape.external("adapter scale", &[1], DType::F32, &slice)
    }

    /// Writes every factor, those that the strength goes into times `strength`.
    pub fn set_strength(&self, gpu: &Gpu, strength: f32) {
        let value = |factor: &Factor| if factor.by_strength { strength * factor.value } else { factor.value };
        let mut values = vec![0f32; STRIDE * self.factors.len()];
        values.iter_mut().step_by(STRIDE).zip(&self.factors).for_each(|(slot, factor)| *slot = value(factor));
        gpu.upload(&self.buffer.whole(), bytemuck::cast_slice(&values));
    }
}
