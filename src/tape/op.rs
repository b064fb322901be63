//! What an op is: a rule that lowers to kernel launches, and a rule that records its gradient.

use std::{fmt::Debug, ops::Range};

use crate::gpu::{Access, Buffer, Caps, Cost, KernelSpec};

use super::{DType, Tape, Value};

/// One op with its parameters. The values it connects lie in the node.
pub trait Op: Debug {
    /// Name in labels and errors: the stem of its shader and source file.
    fn name(&self) -> &'static str;

    /// Appends the launches that compute the outputs from the inputs.
    fn lower(&self, lowering: &mut Lowering<'_>);

    /// Whether the outputs are quickly computed again, from inputs that are kept in any case or are smaller; see
    /// [`super::Checkpointing::Cheap`].
    fn is_cheap(&self) -> bool {
        false
    }

    /// Whether the outputs are as large as a weight and built from small trained values: backward computes them again where
    /// it reads them, whatever [`super::Checkpointing`] says, so that no step keeps such weights of all layers at once. They
    /// are to be recorded beside what reads them.
    fn is_rebuilt(&self) -> bool {
        false
    }

    /// Whether the output is the sum of the two inputs and nothing else.
    fn is_sum(&self) -> bool {
        false
    }

    /// The output to which the op adds [`Lowering::addend`], as its last addend, where there is one; `None` if it cannot
    /// add anything.
    fn sum_output(&self) -> Option<usize> {
        None
    }

    /// Records nodes that compute the gradients that are wanted, and hands them to [`Backward::give`].
    fn backward(&self, _backward: &mut Backward<'_>) {
        panic!("{} has no gradient", self.name());
    }
}

/// One storage binding of a launch.
#[derive(Clone, Debug)]
pub struct Arg {
    pub value: Value,
    /// Elements of the value that are bound; all where absent. They start at a multiple of 256 bytes.
    pub range: Option<Range<usize>>,
}

impl From<Value> for Arg {
    fn from(value: Value) -> Self {
        Self { value, range: None }
    }
}

impl Value {
    /// Some elements of this value, as a binding.
    pub fn part(self, elements: Range<usize>) -> Arg {
        Arg { value: self, range: Some(elements) }
    }
}

/// One kernel launch over values.
#[derive(Clone, Debug)]
pub struct Launch {
    pub kernel: KernelSpec,
    pub label: String,
    pub args: Vec<Arg>,
    pub params: Vec<u8>,
    pub workgroups: [u32; 3],
    pub cost: Cost,
}

impl Launch {
    pub fn args_with_access(&self) -> impl Iterator<Item = (&Arg, Access)> {
        self.args.iter().zip(self.kernel.bindings.iter().copied())
    }
}

/// What is computed once from weights: by which launches, and where it lies.
#[derive(Default)]
pub(super) struct Preparation {
    pub launches: Vec<Launch>,
    pub values: Vec<(Buffer, Value)>,
}

/// What [`Op::lower`] sees and fills.
pub struct Lowering<'a> {
    pub(super) tape: &'a mut Tape,
    pub(super) caps: &'a Caps,
    pub(super) label: String,
    pub(super) inputs: &'a [Value],
    pub(super) outputs: &'a [Value],
    pub(super) addend: Option<Value>,
    pub(super) launches: &'a mut Vec<Launch>,
    pub(super) preparation: &'a mut Preparation,
}

impl Lowering<'_> {
    pub fn caps(&self) -> &Caps {
        self.caps
    }

    pub fn input(&self, index: usize) -> Value {
        self.inputs[index]
    }

    pub fn input_count(&self) -> usize {
        self.inputs.len()
    }

    pub fn output(&self, index: usize) -> Value {
        self.outputs[index]
    }

    /// What is to be added to the output that [`Op::sum_output`] names, in its shape and type.
    pub fn addend(&self) -> Option<Value> {
        self.addend
    }

    pub fn shape(&self, value: Value) -> &[usize] {
        self.tape.shape(value)
    }

    pub fn dtype(&self, value: Value) -> DType {
        self.tape.dtype(value)
    }

    pub fn elements(&self, value: Value) -> usize {
        self.tape.elements(value)
    }

    /// A value that lives only between launches of this op.
    pub fn scratch(&mut self, name: &str, shape: &[usize]) -> Value {
        let name = format!("{}.{name}", self.label);
        self.tape.planned(&name, shape, DType::F32)
    }

    /// An f32 value that `record`'s launches fill from `weight` alone: once, before a program's first replay, for all ops
    /// that want it for this `purpose`. None where `weight` is no whole buffer that outlives the program.
    pub fn prepared(
        &mut self,
        weight: Value,
        purpose: &'static str,
        shape: &[usize],
        record: impl FnOnce(&mut Self, Value),
    ) -> Option<Value> {
        let whole = self.tape.whole_buffer(weight)?;
        let bytes = (shape.iter().product::<usize>() * DType::F32.bytes()) as u64;
        let buffer = whole.derived(purpose, bytes);
        if let Some((_, value)) = self.preparation.values.iter().find(|(known, _)| known.same_as(&buffer)) {
            return Some(*value);
        }
        let value = self.tape.external(buffer.label(), shape, DType::F32, &buffer.whole());
        self.preparation.values.push((buffer, value));
        let before = self.launches.len();
        record(self, value);
        self.preparation.launches.extend(self.launches.drain(before..));
        Some(value)
    }

    /// Whether [`Lowering::prepared`] can keep what it computes from `weight`.
    pub fn outlives_program(&self, weight: Value) -> bool {
        self.tape.whole_buffer(weight).is_some()
    }

    /// Appends a launch. Bindings follow the kernel's declaration; `params` is its uniform block.
    ///
    /// # Panics
    /// Where the number of arguments or the parameter block does not fit the kernel.
    pub fn launch(
        &mut self,
        kernel: KernelSpec,
        args: Vec<Arg>,
        params: &impl bytemuck::Pod,
        workgroups: [u32; 3],
        cost: Cost,
    ) {
        let label = self.label.clone();
        assert_eq!(args.len(), kernel.bindings.len(), "{label}: arguments of {}", kernel.label());
        assert!(workgroups.iter().all(|&count| count <= 65_535), "{label}: {workgroups:?} workgroups");
        let params = bytemuck::bytes_of(params).to_vec();
        self.launches.push(Launch { kernel, label, args, params, workgroups, cost });
    }
}

/// What [`Op::backward`] sees and fills. Inputs and outputs are those of the forward node, recomputed ones where the
/// node lies in a checkpointed block.
pub struct Backward<'a> {
    pub tape: &'a mut Tape,
    pub(super) inputs: Vec<Value>,
    pub(super) outputs: Vec<Value>,
    pub(super) d_outputs: Vec<Option<Value>>,
    pub(super) wanted: Vec<bool>,
    pub(super) d_inputs: Vec<Option<Value>>,
}

impl Backward<'_> {
    pub fn input(&self, index: usize) -> Value {
        self.inputs[index]
    }

    pub fn input_count(&self) -> usize {
        self.inputs.len()
    }

    pub fn output(&self, index: usize) -> Value {
        self.outputs[index]
    }

    /// Gradient of output `index`.
    ///
    /// # Panics
    /// Where that output does not lead to the loss; an op with one differentiable output never sees that.
    pub fn d_output(&self, index: usize) -> Value {
        self.d_outputs[index].expect("a node is visited only where its gradient is known")
    }

    /// Whether anybody wants the gradient of input `index`.
    pub fn wants(&self, index: usize) -> bool {
        self.wanted[index]
    }

    /// Hands over the gradient of input `index`.
    pub fn give(&mut self, index: usize, gradient: Value) {
        let input = self.inputs[index];
        assert_eq!(self.tape.shape(gradient), self.tape.shape(input), "shape of a gradient");
        assert_eq!(self.tape.dtype(gradient), self.tape.dtype(input), "element type of a gradient");
        self.d_inputs[index] = Some(gradient);
    }
}
