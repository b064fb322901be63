//! Updates that work tensor by tensor, on the shapes that files have: what Adafactor and CAME have in common.

use crate::{
    adapters::Placed,
    gpu::{
        Access::{self, Read, Write},
        Cost, KernelSpec,
    },
    ops::workgroup_grid,
    tape::{Arg, Lowering, Op, Tape, Value},
};

use super::{Part, UpdateValues};

/// Numbers of an [`Extent`].
pub(super) const EXTENT: usize = 10;

/// How a tensor lies in its shard, as the kernels read it: its last two axes are matrices, of which there may be many
/// along up to two axes before.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Extent {
    offset: u32,
    elements: u32,
    rows: u32,
    columns: u32,
    batches: u32,
    inner: u32,
    outer_stride: u32,
    inner_stride: u32,
    row_stride: u32,
    factored: u32,
}

impl Extent {
    /// # Panics
    /// Where a tensor has no or more than four axes.
    pub(super) fn of(placed: &Placed) -> Self {
        let shape = &placed.tensor.shape;
        assert!((1..=4).contains(&shape.len()), "a trained tensor of shape {shape:?}");
        let mut axes = [1; 4];
        axes[4 - shape.len()..].copy_from_slice(shape);
        let [outer, inner, rows, columns] = axes;
        let mut strides = [inner * rows * columns, rows * columns, columns];
        if let ([_, .., row], false) = (&placed.tensor.stored()[..], placed.tensor.vector) {
            // A matrix of the first axis by the others: only the first one's stride is padded.
            strides[4 - shape.len()] = *row;
        }
        let [outer_stride, inner_stride, row_stride] = strides.map(|stride| stride as u32);
        Self {
            offset: placed.offset as u32,
            elements: placed.tensor.elements() as u32,
            rows: rows as u32,
            columns: columns as u32,
            batches: (outer * inner) as u32,
            inner: inner as u32,
            outer_stride,
            inner_stride,
            row_stride,
            factored: u32::from(shape.len() >= 2),
        }
    }
}

/// A kernel by tensor: its tensors' table comes first, then what it reads and writes.
pub(super) struct TensorKernel {
    pub name: &'static str,
    pub file: &'static str,
    pub entry: &'static str,
    /// Floating-point operations of one parameter.
    pub flops: u64,
}

#[derive(Debug)]
struct ByTensor {
    name: &'static str,
    kernel: KernelSpec,
    flops: u64,
    /// Place of the output among the bindings, where the op has one.
    output: Option<usize>,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    tensors: u32,
}

impl TensorKernel {
    /// Records a launch that updates some of `values` in place.
    pub(super) fn record(self, tape: &mut Tape, tensors: Value, values: &[(Value, Access)]) {
        let op = self.op(values, None);
        tape.push_effect(op, &inputs(tensors, values));
    }

    fn op(&self, values: &[(Value, Access)], output: Option<usize>) -> ByTensor {
        let mut bindings = vec![Read];
        bindings.extend(values.iter().map(|(_, access)| *access));
        if let Some(at) = output {
            bindings.insert(at, Write);
        }
        let kernel = KernelSpec::new(self.file, self.entry, &bindings);
        ByTensor { name: self.name, kernel, flops: self.flops, output }
    }
}

fn inputs(tensors: Value, values: &[(Value, Access)]) -> Vec<Value> {
    std::iter::once(tensors).chain(values.iter().map(|(value, _)| *value)).collect()
}

/// Place of `update` among the bindings of the estimate.
const ESTIMATED: usize = 4;

/// The gradients of a shard over the square roots of their second moments, which are kept in the first two slots
/// (`SlotRule::second_moments`); clipped tensor by tensor. The settings begin with beta, 1 − beta, eps and threshold.
pub(super) fn estimate(tape: &mut Tape, part: &Part, update: UpdateValues<'_>) -> Value {
    let kernel = TensorKernel { name: "factored_update", file: "factored_update.wgsl", entry: "estimate", flops: 30 };
    let [rows, columns] = [0, 1].map(|slot| part.slots[slot]);
    let values = [(part.gradients, Read), (rows, Write), (columns, Write), (update.clip, Read), (part.settings, Read)];
    let op = kernel.op(&values, Some(ESTIMATED));
    let tensors = part.tensors.expect("asked for by `by_tensor`");
    let shape = tape.shape(part.parameters).to_vec();
    tape.push(op, &inputs(tensors, &values), &[("update", &shape, crate::tape::DType::F32)])[0]
}

impl Op for ByTensor {
    fn name(&self) -> &'static str {
        self.name
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let mut args: Vec<Arg> = (0..lowering.input_count()).map(|index| lowering.input(index).into()).collect();
        if let Some(at) = self.output {
            args.insert(at, lowering.output(0).into());
        }
        let tensors = lowering.shape(lowering.input(0))[0];
        let count = args.iter().map(|arg| lowering.elements(arg.value)).max().unwrap_or_default() as u64;
        let cost = Cost { flops: self.flops * count, bytes: 4 * count * args.len() as u64 };
        let params = Params { tensors: tensors as u32 };
        lowering.launch(self.kernel.clone(), args, &params, workgroup_grid(tensors), cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::TensorShape;

    /// Where the kernels look for every value, in the order of files.
    fn addresses(extent: &Extent) -> Vec<usize> {
        let of = |element: u32| {
            let (line, column) = (element / extent.columns, element % extent.columns);
            let (batch, row) = (line / extent.rows, line % extent.rows);
            let batch = batch / extent.inner * extent.outer_stride + batch % extent.inner * extent.inner_stride;
            (extent.offset + batch + row * extent.row_stride + column) as usize
        };
        (0..extent.elements).map(of).collect()
    }

    #[test]
    fn values_are_found_where_the_store_puts_them() {
        for shape in [&[5, 7][..], &[4, 8, 3, 3], &[3, 5, 1, 1], &[3, 2, 5], &[6], &[6, 1], &[1, 6], &[5, 1, 1, 1]] {
            for tensor in [TensorShape::matrix(shape), TensorShape::vector(shape)] {
                if shape.len() == 1 && !tensor.vector {
                    continue;
                }
                let placed = Placed { tensor, shard: 0, offset: 64 };
                let extent = Extent::of(&placed);
                let found = addresses(&extent);
                let values: Vec<f32> = (1..=found.len()).map(|value| value as f32).collect();
                let mut shard = vec![0.0; 1024];
                placed.store(&values, &mut shard);
                assert_eq!(found.iter().map(|&at| shard[at]).collect::<Vec<_>>(), values, "{placed:?}");
            }
        }
    }
}
