//! Where trained tensors lie on the device: flat f32 shards, one or more for each parameter group.

use anyhow::Result;

use crate::{
    gpu::{Buffer, BufferSlice, Gpu},
    nn::padded,
    tape::{DType, Tape, Value},
};

/// Tensors begin at multiples of this many elements: 256 bytes, the strictest binding alignment.
const ALIGNMENT: usize = 64;

/// A trained tensor by its shape in files. On the device it is a matrix of its first axis by the others, both padded with
/// zeros to multiples of four, or a vector padded likewise. Padding stays zero, because its gradients are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorShape {
    /// As PyTorch has it.
    pub shape: Vec<usize>,
    /// Whether it lies as a vector: one axis, or magnitudes whose other axes have length 1.
    pub vector: bool,
}

impl TensorShape {
    pub fn matrix(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), vector: false }
    }

    pub fn vector(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), vector: true }
    }

    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Rows and columns without padding; a vector is one row.
    fn sizes(&self) -> (usize, usize) {
        match self.vector {
            true => (1, self.elements()),
            false => (self.shape[0], self.elements() / self.shape[0]),
        }
    }

    /// Shape on the device.
    pub fn stored(&self) -> Vec<usize> {
        let (rows, columns) = self.sizes();
        if self.vector { vec![padded(columns)] } else { vec![padded(rows), padded(columns)] }
    }

    fn stored_elements(&self) -> usize {
        self.stored().iter().product()
    }
}

/// One tensor's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub tensor: TensorShape,
    pub shard: usize,
    /// In elements.
    pub offset: usize,
}

/// One contiguous part of the parameters, small enough for a storage binding, with its gradients.
pub struct Shard {
    /// Which of the groups; `None`: never updated.
    pub group: Option<usize>,
    pub elements: usize,
    pub parameters: Buffer,
    pub gradients: Buffer,
    /// Gradients of several micro-batches; equals `gradients` where there is one per step.
    pub accumulated: Buffer,
}

/// All trained tensors.
pub struct Store {
    pub shards: Vec<Shard>,
    pub tensors: Vec<Placed>,
}

impl Store {
    /// Lays out `tensors`, each with its group, in shards of at most `max_binding` bytes; `accumulate` asks for a second
    /// set of gradients. Nothing is allocated yet.
    pub fn new(tensors: Vec<(TensorShape, Option<usize>)>, max_binding: u64, accumulate: bool) -> Self {
        let limit = (max_binding / 4) as usize;
        let mut shards: Vec<(Option<usize>, usize)> = Vec::new();
        let mut placed = Vec::with_capacity(tensors.len());
        for (tensor, group) in tensors {
            let length = tensor.stored_elements().next_multiple_of(ALIGNMENT);
            let open = shards.iter().rposition(|(of, used)| *of == group && used + length <= limit);
            let shard = open.unwrap_or_else(|| {
                shards.push((group, 0));
                shards.len() - 1
            });
            placed.push(Placed { tensor, shard, offset: shards[shard].1 });
            shards[shard].1 += length;
        }
        let shards = shards.into_iter().enumerate();
        let shards = shards.map(|(index, (group, elements))| Shard::new(index, group, elements, accumulate)).collect();
        Self { shards, tensors: placed }
    }

    /// Device memory of parameters and gradients.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(Shard::bytes).sum()
    }

    /// Number of trained values, padding left out.
    pub fn parameter_count(&self) -> usize {
        self.tensors.iter().map(|placed| placed.tensor.elements()).sum()
    }

    /// Shards that an optimizer updates.
    pub fn trained(&self) -> impl Iterator<Item = (usize, &Shard)> {
        self.shards.iter().enumerate().filter(|(_, shard)| shard.group.is_some())
    }

    /// Whether gradients of several micro-batches are added up.
    pub fn accumulates(&self) -> bool {
        self.shards.iter().any(|shard| !shard.accumulated.same_as(&shard.gradients))
    }

    /// Whether a tensor is ever updated.
    pub fn is_trained(&self, tensor: usize) -> bool {
        self.shards[self.tensors[tensor].shard].group.is_some()
    }

    /// Uploads every tensor's values, in their order in files, and clears the gradients.
    pub fn write(&self, gpu: &Gpu, values: &[Vec<f32>]) {
        self.write_into(gpu, values, |shard| &shard.parameters);
        for shard in &self.shards {
            gpu.clear(&shard.gradients.whole());
            gpu.clear(&shard.accumulated.whole());
        }
    }

    /// Uploads every tensor's values, in their order in files, into one of each shard's buffers.
    pub fn write_into(&self, gpu: &Gpu, values: &[Vec<f32>], buffer: impl Fn(&Shard) -> &Buffer) {
        for (index, shard) in self.shards.iter().enumerate() {
            gpu.upload(&buffer(shard).whole(), bytemuck::cast_slice(&self.flat(index, values)));
        }
    }

    /// The values of every tensor of a shard, where they lie, with zeros between them.
    pub fn flat(&self, shard: usize, values: &[Vec<f32>]) -> Vec<f32> {
        let mut flat = vec![0f32; self.shards[shard].elements];
        let here = self.tensors.iter().zip(values).filter(|(placed, _)| placed.shard == shard);
        here.for_each(|(placed, values)| placed.store(values, &mut flat));
        flat
    }

    /// The bytes of every shard's parameters.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn read_bytes(&self, gpu: &Gpu) -> Result<Vec<Vec<u8>>> {
        self.shards.iter().map(|shard| Ok(gpu.read(&shard.parameters.whole())?)).collect()
    }

    /// Puts back what [`Store::read_bytes`] gave.
    pub fn write_bytes(&self, gpu: &Gpu, bytes: &[Vec<u8>]) {
        self.shards.iter().zip(bytes).for_each(|(shard, bytes)| gpu.upload(&shard.parameters.whole(), bytes));
    }

    /// Starts a new sum of gradients.
    pub fn clear_accumulated(&self, gpu: &Gpu) {
        self.shards.iter().for_each(|shard| gpu.clear(&shard.accumulated.whole()));
    }

    /// Every tensor's values, in their order in files, out of one of each shard's buffers.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn read(&self, gpu: &Gpu, buffer: impl Fn(&Shard) -> &Buffer) -> Result<Vec<Vec<f32>>> {
        let read = |shard: &Shard| Ok(bytemuck::pod_collect_to_vec(&gpu.read(&buffer(shard).whole())?));
        let shards: Vec<Vec<f32>> = self.shards.iter().map(read).collect::<Result<_>>()?;
        Ok(self.tensors.iter().map(|placed| placed.load(&shards[placed.shard])).collect())
    }

    /// Puts a tensor's parameters onto a tape, in their stored shape.
    pub fn parameter(&self, tape: &mut Tape, tensor: usize, name: &str) -> Value {
        let placed = &self.tensors[tensor];
        let slice = placed.slice(&self.shards[placed.shard].parameters);
        tape.external(name, &placed.tensor.stored(), DType::F32, &slice)
    }

    /// Lets a tensor's gradient be computed into its shard.
    pub fn place_gradient(&self, tape: &mut Tape, tensor: usize, gradient: Value) {
        let placed = &self.tensors[tensor];
        tape.place(gradient, &placed.slice(&self.shards[placed.shard].gradients));
    }
}

impl Placed {
    fn slice(&self, buffer: &Buffer) -> BufferSlice {
        let bytes = 4 * self.tensor.stored_elements() as u64;
        BufferSlice { buffer: buffer.clone(), offset: 4 * self.offset as u64, bytes }
    }

    /// Length of a stored row.
    fn stride(&self) -> usize {
        padded(self.tensor.sizes().1)
    }

    /// Copies values, in their order in files, into a shard's.
    pub fn store(&self, values: &[f32], shard: &mut [f32]) {
        let (_, columns) = self.tensor.sizes();
        for (row, values) in values.chunks_exact(columns).enumerate() {
            shard[self.offset + row * self.stride()..][..columns].copy_from_slice(values);
        }
    }

    /// The values, in their order in files, out of a shard's.
    pub fn load(&self, shard: &[f32]) -> Vec<f32> {
        let (rows, columns) = self.tensor.sizes();
        let rows = shard[self.offset..].chunks(self.stride()).take(rows);
        rows.flat_map(|row| &row[..columns]).copied().collect()
    }
}

impl Shard {
    fn new(index: usize, group: Option<usize>, elements: usize, accumulate: bool) -> Self {
        let declare = |what: &str| Buffer::declare(format!("adapter {what} {index}"), 4 * elements as u64);
        let gradients = declare("gradients");
        let accumulated = if accumulate { declare("accumulated gradients") } else { gradients.clone() };
        Self { group, elements, parameters: declare("parameters"), gradients, accumulated }
    }

    /// A buffer as long as its own on a tape, (elements).
    pub fn on(&self, tape: &mut Tape, buffer: &Buffer) -> Value {
        tape.external(buffer.label(), &[self.elements], DType::F32, &buffer.whole())
    }

    /// Bytes of all its buffers.
    fn bytes(&self) -> u64 {
        let accumulated = if self.accumulated.same_as(&self.gradients) { 0 } else { self.accumulated.bytes() };
        self.parameters.bytes() + self.gradients.bytes() + accumulated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_lie_in_shards_of_their_group_and_come_back() {
        let tensors = vec![
            (TensorShape::matrix(&[3, 8]), Some(0)),
            (TensorShape::matrix(&[8, 3]), Some(1)),
            (TensorShape::vector(&[1, 6]), Some(0)),
            (TensorShape::matrix(&[2, 3, 3, 3]), None),
        ];
        let store = Store::new(tensors, 1 << 20, false);
        let groups: Vec<Option<usize>> = store.shards.iter().map(|shard| shard.group).collect();
        assert_eq!(groups, [Some(0), Some(1), None]);
        assert_eq!(store.tensors[3].tensor.stored(), [4, 28]);
        assert_eq!((store.tensors[2].shard, store.tensors[2].offset), (0, 64));
        assert_eq!(store.parameter_count(), 24 + 24 + 6 + 54);
        for placed in &store.tensors {
            let values: Vec<f32> = (1..=placed.tensor.elements()).map(|value| value as f32).collect();
            let mut shard = vec![0f32; store.shards[placed.shard].elements];
            placed.store(&values, &mut shard);
            assert_eq!(placed.load(&shard), values, "{placed:?}");
        }
    }

    #[test]
    fn a_full_shard_begins_another() {
        let tensor = || (TensorShape::matrix(&[8, 64]), Some(0));
        let store = Store::new(vec![tensor(), tensor(), tensor()], 4 * 1024, false);
        assert_eq!(store.tensors.iter().map(|placed| placed.shard).collect::<Vec<_>>(), [0, 0, 1]);
    }
}
