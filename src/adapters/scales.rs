//! The factors of adapters on the device, times a strength that may change between replays.

use crate::{
    gpu::{Buffer, BufferSlice, Gpu},
    tape::{DType, Tape, Value},
};

/// Elements between two factors: the strictest binding alignment, 256 bytes.
const ALIGNMENT: usize = 64;

/// A number that an adapter is multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factor {
    value: f32,
    /// Whether the strength goes into it.
    by_strength: bool,
}

impl Factor {
    pub fn by_strength(value: f32) -> Self {
        Self { value, by_strength: true }
    }

    pub fn fixed(value: f32) -> Self {
        Self { value, by_strength: false }
    }
}

/// The distinct factors of a set of adapters.
pub struct Scales {
    factors: Vec<Factor>,
    /// How often each factor is repeated: for every rank once.
    width: usize,
    buffer: Buffer,
    /// Whether the strength may be another than 1.
    pub varies: bool,
}

impl Scales {
    /// At strength 1, for adapters of at most `ranks` ranks.
    pub fn new(label: &str, factors: impl Iterator<Item = Factor>, ranks: usize) -> Self {
        let factors = factors.fold(Vec::new(), |mut known: Vec<Factor>, factor| {
            if !known.contains(&factor) {
                known.push(factor);
            }
            known
        });
        let width = ranks.next_multiple_of(ALIGNMENT);
        let buffer = Buffer::declare(label, 4 * (width * factors.len()) as u64);
        Self { factors, width, buffer, varies: false }
    }

    /// Another set of the same factors, with a strength of its own.
    pub fn with_strength(&self, label: &str) -> Self {
        Self { varies: true, ..Self::new(label, self.factors.iter().copied(), self.width) }
    }

    /// A factor on a tape, (1).
    pub fn on(&self, tape: &mut Tape, factor: Factor) -> Value {
        tape.external("adapter scale", &[1], DType::F32, &self.slice(factor, 1))
    }

    /// A factor on a tape once for each of `ranks` ranks, (1, ranks).
    pub fn row_on(&self, tape: &mut Tape, factor: Factor, ranks: usize) -> Value {
        tape.external("adapter scales", &[1, ranks], DType::F32, &self.slice(factor, ranks))
    }

    fn slice(&self, factor: Factor, count: usize) -> BufferSlice {
        let index = self.factors.iter().position(|&known| known == factor).expect("a factor that was declared");
        let offset = 4 * (self.width * index) as u64;
        BufferSlice { buffer: self.buffer.clone(), offset, bytes: 4 * count as u64 }
    }

    /// Writes every factor, those that the strength goes into times `strength`.
    pub fn set_strength(&self, gpu: &Gpu, strength: f32) {
        let value = |factor: &Factor| if factor.by_strength { strength * factor.value } else { factor.value };
        let values: Vec<f32> =
            self.factors.iter().flat_map(|factor| std::iter::repeat_n(value(factor), self.width)).collect();
        gpu.upload(&self.buffer.whole(), bytemuck::cast_slice(&values));
    }
}
