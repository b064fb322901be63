//! The state of an optimizer on the device: slots as large as the parameters, and numbers that all parameters share.

use anyhow::Result;

use crate::{
    adapters::{Shard, Store},
    gpu::{Buffer, Gpu},
    tape::{DType, Tape, Value},
};

use super::{
    Part, Parts,
    factored::{EXTENT, Extent},
};

/// One slot of an optimizer.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotRule {
    /// As the followed implementation calls it in its state.
    pub name: &'static str,
    pub begins: Begins,
    pub holds: Holds,
}

/// What a slot holds before the first update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    Zero,
    /// A copy of the parameters.
    Parameters,
}

/// What lies in a slot of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// A value for each parameter, where the parameter lies.
    Elements,
    /// The means of rows over the last axis, packed; of a tensor that is not factored a value for each parameter, which
    /// then is named after the slot without `_row`.
    RowMeans,
    /// The means over the last axis but one, packed; nothing for a tensor that is not factored.
    ColumnMeans,
}

impl SlotRule {
    /// A value for each parameter that begins as zero.
    pub(super) const fn zero(name: &'static str) -> Self {
        Self { name, begins: Begins::Zero, holds: Holds::Elements }
    }

    /// A value for each parameter that begins as the parameter.
    pub(super) const fn copy(name: &'static str) -> Self {
        Self { name, begins: Begins::Parameters, holds: Holds::Elements }
    }

    /// The means that second moments are factored into, as [`super::factored::estimate`] keeps them.
    pub(super) const fn second_moments() -> [Self; 2] {
        [Self::means("exp_avg_sq_row", Holds::RowMeans), Self::means("exp_avg_sq_col", Holds::ColumnMeans)]
    }

    pub(super) const fn means(name: &'static str, holds: Holds) -> Self {
        Self { name, begins: Begins::Zero, holds }
    }
}

/// All state of an optimizer.
pub struct State {
    slots: Vec<SlotRule>,
    shards: Vec<ShardState>,
    /// With what it begins as.
    shared: Option<(Buffer, Vec<f32>)>,
}

struct ShardState {
    /// Its place among the store's shards.
    shard: usize,
    slots: Vec<Buffer>,
    tensors: Option<TensorTable>,
}

/// The shapes of a shard's tensors on the device.
struct TensorTable {
    buffer: Buffer,
    rows: Vec<Extent>,
}

/// One slot of one tensor, on the host.
#[derive(Clone, Debug)]
pub struct TensorState {
    /// Its place among the store's tensors.
    pub tensor: usize,
    /// As the followed implementation calls it: `exp_avg`.
    pub slot: &'static str,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl State {
    pub(super) fn new(store: &Store, slots: Vec<SlotRule>, shared: Vec<f32>, by_tensor: bool) -> Self {
        let shards = store.trained().map(|(index, shard)| {
            let declare = |rule: &SlotRule| Buffer::declare(format!("{} {index}", rule.name), bytes_of(shard));
            let slots = slots.iter().map(declare).collect();
            ShardState { shard: index, slots, tensors: by_tensor.then(|| TensorTable::new(store, index)) }
        });
        let shards = shards.collect();
        let numbers = Buffer::declare("optimizer numbers", 4 * shared.len() as u64);
        let shared = (!shared.is_empty()).then_some((numbers, shared));
        Self { slots, shards, shared }
    }

    /// Device memory of everything.
    pub fn bytes(&self) -> u64 {
        let tables = self.shards.iter().filter_map(|shard| shard.tensors.as_ref()).map(|table| table.buffer.bytes());
        self.buffers().map(|(_, buffer)| buffer.bytes()).sum::<u64>() + tables.sum::<u64>()
    }

    /// Begins anew, from the parameters that lie in `store`.
    pub fn reset(&self, gpu: &Gpu, store: &Store) {
        for state in &self.shards {
            for (rule, buffer) in self.slots.iter().zip(&state.slots) {
                match rule.begins {
                    Begins::Zero => gpu.clear(&buffer.whole()),
                    Begins::Parameters => gpu.copy(&store.shards[state.shard].parameters.whole(), &buffer.whole()),
                }
            }
            if let Some(table) = &state.tensors {
                gpu.upload(&table.buffer.whole(), bytemuck::cast_slice(&table.rows));
            }
        }
        if let Some((buffer, begin)) = &self.shared {
            gpu.upload(&buffer.whole(), bytemuck::cast_slice(begin));
        }
    }

    /// Every buffer with a name of its own: with their bytes, put back after [`State::reset`], and those of the parameters
    /// a run goes on as if it had never stopped. The names are the same for the same store and optimizer.
    pub fn buffers(&self) -> impl Iterator<Item = (String, &Buffer)> {
        let slots = self.shards.iter().flat_map(|state| {
            let named = self.slots.iter().zip(&state.slots);
            named.map(move |(rule, buffer)| (format!("{}/{}", rule.name, state.shard), buffer))
        });
        slots.chain(self.shared.iter().map(|(buffer, _)| ("shared".to_owned(), buffer)))
    }

    /// The estimated distance to the solution, which the learning rate is multiplied by, of optimizers that have one.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn distance(&self, gpu: &Gpu) -> Result<Option<f32>> {
        let Some((buffer, _)) = &self.shared else { return Ok(None) };
        Ok(bytemuck::pod_collect_to_vec(&gpu.read(&buffer.whole())?).first().copied())
    }

    /// Every slot of every trained tensor.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn read(&self, gpu: &Gpu, store: &Store) -> Result<Vec<TensorState>> {
        let mut all = Vec::new();
        for state in &self.shards {
            for (rule, buffer) in self.slots.iter().zip(&state.slots) {
                let flat: Vec<f32> = bytemuck::pod_collect_to_vec(&gpu.read(&buffer.whole())?);
                let tensors = store.tensors.iter().enumerate().filter(|(_, placed)| placed.shard == state.shard);
                for (tensor, placed) in tensors {
                    let Some((slot, shape, packed)) = rule.of_tensor(&placed.tensor.shape) else { continue };
                    let values = match packed {
                        true => flat[placed.offset..][..shape.iter().product()].to_vec(),
                        false => placed.load(&flat),
                    };
                    all.push(TensorState { tensor, slot, shape, values });
                }
            }
        }
        Ok(all)
    }

    /// Everything that is updated, as values of a tape.
    pub(super) fn parts(&self, tape: &mut Tape, store: &Store, settings: &[Value]) -> Parts {
        let part = |state: &ShardState| {
            let shard = &store.shards[state.shard];
            let group = shard.group.expect("only trained shards have state");
            Part {
                parameters: shard.on(tape, &shard.parameters),
                gradients: shard.on(tape, &shard.accumulated),
                slots: state.slots.iter().map(|slot| shard.on(tape, slot)).collect(),
                tensors: state.tensors.as_ref().map(|table| table.on(tape)),
                settings: settings[group],
                group,
            }
        };
        let shards = self.shards.iter().map(part).collect();
        let shared = self
            .shared
            .as_ref()
            .map(|(buffer, begin)| tape.external(buffer.label(), &[begin.len()], DType::F32, &buffer.whole()));
        Parts { shards, shared }
    }
}

impl SlotRule {
    /// Name, shape and whether packed, of this slot of a tensor of `shape`.
    fn of_tensor(&self, shape: &[usize]) -> Option<(&'static str, Vec<usize>, bool)> {
        let (axes, name) = (shape.len(), self.name);
        match self.holds {
            Holds::Elements => Some((name, shape.to_vec(), false)),
            Holds::RowMeans if axes < 2 => Some((name.trim_end_matches("_row"), shape.to_vec(), true)),
            Holds::RowMeans => Some((name, shape[..axes - 1].to_vec(), true)),
            Holds::ColumnMeans if axes < 2 => None,
            Holds::ColumnMeans => Some((name, [&shape[..axes - 2], &shape[axes - 1..]].concat(), true)),
        }
    }
}

impl TensorTable {
    fn new(store: &Store, shard: usize) -> Self {
        let rows: Vec<Extent> = store.tensors.iter().filter(|placed| placed.shard == shard).map(Extent::of).collect();
        Self { buffer: Buffer::declare(format!("tensors {shard}"), (4 * EXTENT * rows.len()) as u64), rows }
    }

    fn on(&self, tape: &mut Tape) -> Value {
        tape.external(self.buffer.label(), &[self.rows.len(), EXTENT], DType::U32, &self.buffer.whole())
    }
}

fn bytes_of(shard: &Shard) -> u64 {
    4 * shard.elements as u64
}
