//! The tape itself: recording.

use std::{
    ops::Range,
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::gpu::{Buffer, BufferSlice};

use super::{
    DType, Input, Lowering, Op, Value,
    op::Backward,
    value::{Storage, ValueInfo},
};

/// One recorded op.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub op: Rc<dyn Op>,
    pub label: String,
    pub inputs: Vec<Value>,
    pub outputs: Vec<Value>,
    /// What is added to the output that [`Op::sum_output`] names.
    pub addend: Option<Value>,
    /// Writes into its inputs' buffers, and so is kept though nobody reads an output.
    pub effect: bool,
}

/// A named stretch of nodes whose values may be recomputed in backward instead of kept.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub nodes: Range<usize>,
}

/// A recorded computation: plain data, walked by backward, the memory plan, the compiler and the tests.
#[derive(Debug)]
pub struct Tape {
    /// Tells the inputs of one tape from those of another.
    pub(super) id: u64,
    pub(super) values: Vec<ValueInfo>,
    pub(super) nodes: Vec<Node>,
    pub(super) blocks: Vec<Block>,
    pub(super) inputs: Vec<Value>,
    pub(super) kept: Vec<(String, Value)>,
    observed: Vec<(String, Value)>,
    scope: Vec<String>,
}

impl Tape {
    #[expect(clippy::new_without_default, reason = "every tape is another one")]
    pub fn new() -> Self {
        static TAPES: AtomicU64 = AtomicU64::new(0);
        Self {
            id: TAPES.fetch_add(1, Ordering::Relaxed),
            values: Vec::new(),
            nodes: Vec::new(),
            blocks: Vec::new(),
            inputs: Vec::new(),
            kept: Vec::new(),
            observed: Vec::new(),
            scope: Vec::new(),
        }
    }

    pub fn shape(&self, value: Value) -> &[usize] {
        &self.values[value.0].shape
    }

    pub fn dtype(&self, value: Value) -> DType {
        self.values[value.0].dtype
    }

    pub fn elements(&self, value: Value) -> usize {
        self.shape(value).iter().product()
    }

    pub fn name(&self, value: Value) -> &str {
        &self.values[value.0].name
    }

    /// An f32 value that the host writes before a replay; see [`super::Program::write`].
    ///
    /// # Panics
    /// Where the tape has an input of this name.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> Input {
        self.input_of(name, shape, DType::F32)
    }

    /// As [`Tape::input`], of any element type.
    ///
    /// # Panics
    /// As [`Tape::input`].
    pub fn input_of(&mut self, name: &str, shape: &[usize], dtype: DType) -> Input {
        assert!(self.inputs.iter().all(|&known| self.name(known) != name), "two inputs are called `{name}`");
        let value = self.value(name, shape, dtype, Storage::Input);
        self.inputs.push(value);
        Input { value, tape: self.id }
    }

    /// A value that lies in a buffer outliving the program: a frozen weight or a trained parameter.
    pub fn external(&mut self, name: &str, shape: &[usize], dtype: DType, slice: &BufferSlice) -> Value {
        let value = self.value(name, shape, dtype, Storage::Buffer(slice.clone()));
        let bytes = self.values[value.0].bytes();
        assert!(bytes <= slice.bytes, "{name} {shape:?} does not fit into {slice:?}");
        value
    }

    /// Records an op. `outputs` gives each output's name, shape and element type.
    pub fn push(&mut self, op: impl Op + 'static, inputs: &[Value], outputs: &[(&str, &[usize], DType)]) -> Vec<Value> {
        let label = self.label(op.name());
        let values = outputs.iter().map(|(name, shape, dtype)| self.planned(&format!("{label}.{name}"), shape, *dtype));
        let outputs: Vec<Value> = values.collect();
        self.nodes.push(Node {
            op: Rc::new(op),
            label,
            inputs: inputs.to_vec(),
            outputs: outputs.clone(),
            addend: None,
            effect: false,
        });
        outputs
    }

    /// Records an op without outputs that updates inputs in place. Those must lie in buffers that outlive the program.
    pub fn push_effect(&mut self, op: impl Op + 'static, inputs: &[Value]) {
        let label = self.label(op.name());
        let (inputs, outputs) = (inputs.to_vec(), Vec::new());
        self.nodes.push(Node { op: Rc::new(op), label, inputs, outputs, addend: None, effect: true });
    }

    /// As [`Tape::push`] for an op with a single output, whose element type is that of the first input.
    pub fn push_one(&mut self, op: impl Op + 'static, inputs: &[Value], shape: &[usize]) -> Value {
        self.push(op, inputs, &[("out", shape, self.dtype(inputs[0]))])[0]
    }

    /// The same elements under another shape.
    ///
    /// # Panics
    /// Where the number of elements differs.
    pub fn reshape(&mut self, value: Value, shape: &[usize]) -> Value {
        assert_eq!(shape.iter().product::<usize>(), self.elements(value), "reshape of {}", self.name(value));
        if self.shape(value) == shape {
            return value;
        }
        let name = self.name(value).to_owned();
        let dtype = self.dtype(value);
        let view = self.value(&name, shape, dtype, Storage::View { root: value, offset: 0 });
        let label = self.label("reshape");
        let (inputs, outputs) = (vec![value], vec![view]);
        self.nodes.push(Node { op: Rc::new(Reshape), label, inputs, outputs, addend: None, effect: false });
        view
    }

    /// Lets `value` survive the replay, to be read under `name`.
    pub fn keep(&mut self, name: &str, value: Value) {
        self.kept.push((name.to_owned(), value));
    }

    /// Notes `value` as what the module `path` gives, for [`Tape::observed`].
    pub fn observe(&mut self, path: &str, value: Value) {
        self.observed.push((path.to_owned(), value));
    }

    /// What the module `path` gives, where it was recorded.
    pub fn observed(&self, path: &str) -> Option<Value> {
        self.observed.iter().find(|(name, _)| name == path).map(|(_, value)| *value)
    }

    /// Makes `value`, a node's output, be computed right into `slice`.
    ///
    /// # Panics
    /// Where the value is a view, an input, or already lies in a buffer.
    pub fn place(&mut self, value: Value, slice: &BufferSlice) {
        let info = &mut self.values[value.0];
        assert!(matches!(info.storage, Storage::Planned), "{} has a place already", info.name);
        assert!(info.bytes() <= slice.bytes, "{} does not fit into {slice:?}", info.name);
        info.storage = Storage::Buffer(slice.clone());
    }

    /// Names what `record` records: `scope` becomes a part of the labels.
    pub fn scope<T>(&mut self, scope: &str, record: impl FnOnce(&mut Self) -> T) -> T {
        self.scope.push(scope.to_owned());
        let result = record(self);
        self.scope.pop();
        result
    }

    /// Marks what `record` records as one unit of gradient checkpointing. Blocks do not nest.
    pub fn block<T>(&mut self, record: impl FnOnce(&mut Self) -> T) -> T {
        let start = self.nodes.len();
        let result = record(self);
        self.blocks.push(Block { nodes: start..self.nodes.len() });
        result
    }

    /// The buffer that outlives the program and holds nothing but `value`.
    pub(super) fn whole_buffer(&self, value: Value) -> Option<Buffer> {
        match &self.values[value.0].storage {
            Storage::Buffer(BufferSlice { buffer, offset: 0, bytes }) if *bytes == buffer.bytes() => {
                Some(buffer.clone())
            }
            _ => None,
        }
    }

    pub(super) fn planned(&mut self, name: &str, shape: &[usize], dtype: DType) -> Value {
        self.value(name, shape, dtype, Storage::Planned)
    }

    fn value(&mut self, name: &str, shape: &[usize], dtype: DType, storage: Storage) -> Value {
        self.values.push(ValueInfo { name: name.to_owned(), shape: shape.to_vec(), dtype, storage });
        Value(self.values.len() - 1)
    }

    fn label(&self, name: &str) -> String {
        if self.scope.is_empty() { name.to_owned() } else { format!("{}:{name}", self.scope.join(".")) }
    }

    /// The value in whose bytes `value` lies, and the offset there.
    pub(super) fn root(&self, value: Value) -> (Value, u64) {
        match self.values[value.0].storage {
            Storage::View { root, offset } => {
                let (root, base) = self.root(root);
                (root, base + offset)
            }
            _ => (value, 0),
        }
    }

    /// Drops the nodes at all other places than those to `keep`.
    pub(super) fn retain_nodes(&mut self, keep: impl Fn(usize) -> bool) {
        let mut places = 0..;
        self.nodes.retain(|_| places.next().is_some_and(&keep));
    }

    /// Records `node` once more on other values: fresh outputs, inputs as `rename` says.
    pub(super) fn repeat(&mut self, node: &Node, rename: impl Fn(Value) -> Value) -> Vec<Value> {
        let mut outputs = Vec::with_capacity(node.outputs.len());
        for &output in &node.outputs {
            let mut info = self.values[output.0].clone();
            if let Storage::View { root, .. } = &mut info.storage {
                *root = rename(*root);
            }
            self.values.push(info);
            outputs.push(Value(self.values.len() - 1));
        }
        let inputs = node.inputs.iter().map(|&value| rename(value)).collect();
        let label = format!("recompute {}", node.label);
        let op = node.op.clone();
        self.nodes.push(Node { op, label, inputs, outputs: outputs.clone(), addend: None, effect: false });
        outputs
    }
}

/// Other shape, same bytes.
#[derive(Debug)]
struct Reshape;

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn is_cheap(&self) -> bool {
        true
    }

    fn lower(&self, _lowering: &mut Lowering<'_>) {}

    fn backward(&self, backward: &mut Backward<'_>) {
        let shape = backward.tape.shape(backward.input(0)).to_vec();
        let d_output = backward.d_output(0);
        let d_input = backward.tape.reshape(d_output, &shape);
        backward.give(0, d_input);
    }
}
