//! Reverse-mode differentiation as a rewrite: it appends nodes to the tape.

use std::collections::HashMap;

use super::{
    Tape, Value,
    op::Backward,
    record::{Block, Node},
};

/// Which activations backward keeps. Gradients are bit-equal. Weights built from trained factors are never kept
/// ([`super::Op::is_rebuilt`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpointing {
    /// Everything backward reads stays in memory.
    Off,
    /// What is quickly computed ([`super::Op::is_cheap`]) is computed again where backward reads it.
    Cheap,
    /// What lies inside a block is computed again when backward reaches it.
    Blocks,
}

impl Tape {
    /// Records the gradients of `wanted`, given gradients of some values (`seeds`: value and its gradient).
    ///
    /// A gradient is recorded only for values that descend from `wanted` and lead to a seed. `add` records the sum of
    /// two gradients. The answer holds `None` where a wanted value leads to no seed.
    pub fn backward(
        &mut self,
        seeds: &[(Value, Value)],
        wanted: &[Value],
        checkpointing: Checkpointing,
        add: fn(&mut Self, Value, Value) -> Value,
    ) -> Vec<Option<Value>> {
        let descends = self.descendants(wanted);
        let mut gradients = Gradients { known: HashMap::new(), add };
        for &(value, gradient) in seeds {
            gradients.accumulate(self, value, gradient);
        }
        let mut recomputed = Recomputed::new(self, checkpointing);
        for index in (0..self.nodes.len()).rev() {
            let node = self.nodes[index].clone();
            let d_outputs: Vec<_> = node.outputs.iter().map(|value| gradients.known.get(value).copied()).collect();
            let wants: Vec<bool> = node.inputs.iter().map(|value| descends[value.0]).collect();
            if d_outputs.iter().all(Option::is_none) || !wants.contains(&true) {
                continue;
            }
            let rename = recomputed.for_node(self, index, &node);
            let d_inputs = self.backward_of(&node, d_outputs, wants, &rename);
            for (&input, gradient) in node.inputs.iter().zip(d_inputs) {
                if let Some(gradient) = gradient {
                    gradients.accumulate(self, input, gradient);
                }
            }
        }
        wanted.iter().map(|value| gradients.known.get(value).copied()).collect()
    }

    fn backward_of(
        &mut self,
        node: &Node,
        d_outputs: Vec<Option<Value>>,
        wanted: Vec<bool>,
        rename: &HashMap<Value, Value>,
    ) -> Vec<Option<Value>> {
        let renamed = |values: &[Value]| values.iter().map(|value| *rename.get(value).unwrap_or(value)).collect();
        let inputs: Vec<Value> = renamed(&node.inputs);
        let outputs = renamed(&node.outputs);
        let d_inputs = vec![None; inputs.len()];
        self.scope(&format!("d {}", node.label), |tape| {
            let mut backward = Backward { tape, inputs, outputs, d_outputs, wanted, d_inputs };
            node.op.backward(&mut backward);
            backward.d_inputs
        })
    }

    /// For each value, whether it is computed from one of `sources` (or is one).
    fn descendants(&self, sources: &[Value]) -> Vec<bool> {
        let mut descends = vec![false; self.values.len()];
        for source in sources {
            descends[source.0] = true;
        }
        for node in &self.nodes {
            if node.inputs.iter().any(|value| descends[value.0]) {
                for output in &node.outputs {
                    descends[output.0] = true;
                }
            }
        }
        descends
    }
}

struct Gradients {
    known: HashMap<Value, Value>,
    add: fn(&mut Tape, Value, Value) -> Value,
}

impl Gradients {
    fn accumulate(&mut self, tape: &mut Tape, value: Value, gradient: Value) {
        let sum = match self.known.get(&value) {
            Some(&so_far) => (self.add)(tape, so_far, gradient),
            None => gradient,
        };
        self.known.insert(value, sum);
    }
}

/// Values that are computed again where backward reads them: those of the block that it is in, and single ones outside of
/// blocks.
struct Recomputed {
    blocks: Vec<Block>,
    current: Option<usize>,
    /// What stands for the current block's values.
    of_block: HashMap<Value, Value>,
    /// Nodes of the values that are computed again one by one.
    nodes: HashMap<Value, usize>,
    /// What stands for those that have been read so far.
    single: HashMap<Value, Value>,
}

impl Recomputed {
    fn new(tape: &Tape, checkpointing: Checkpointing) -> Self {
        let blocks = if checkpointing == Checkpointing::Blocks { tape.blocks.clone() } else { Vec::new() };
        let mut nodes = HashMap::new();
        for (index, node) in tape.nodes.iter().enumerate() {
            let cheap = checkpointing == Checkpointing::Cheap && node.op.is_cheap();
            // A view keeps what it shows.
            let shows = |value: &Value| nodes.contains_key(&tape.root(*value).0);
            let again = cheap || node.op.is_rebuilt() || node.outputs.iter().any(shows);
            if again && !blocks.iter().any(|block| block.nodes.contains(&index)) {
                nodes.extend(node.outputs.iter().map(|&output| (output, index)));
            }
        }
        Self { blocks, current: None, of_block: HashMap::new(), nodes, single: HashMap::new() }
    }

    /// Old value to recomputed value for `node`, which is at `index`. What turns out not to be read is dropped by the compiler.
    fn for_node(&mut self, tape: &mut Tape, index: usize, node: &Node) -> HashMap<Value, Value> {
        self.enter_block(tape, index);
        node.inputs.iter().for_each(|&input| self.compute_single(tape, input));
        let mut renamed = self.single.clone();
        // What a single op keeps for its own gradient, as a norm its statistics, is small.
        renamed.retain(|value, _| !node.outputs.contains(value));
        renamed.extend(&self.of_block);
        renamed
    }

    /// Records the nodes of the block around node `index` again, where backward has not been in it.
    fn enter_block(&mut self, tape: &mut Tape, index: usize) {
        let block = self.blocks.iter().position(|block| block.nodes.contains(&index));
        if block == self.current {
            return;
        }
        self.current = block;
        self.of_block.clear();
        for at in block.map_or(0..0, |block| self.blocks[block].nodes.clone()) {
            let node = tape.nodes[at].clone();
            node.inputs.iter().for_each(|&input| self.compute_single(tape, input));
            let stands_for = |value| self.of_block.get(&value).or_else(|| self.single.get(&value));
            let outputs = tape.repeat(&node, |value| *stands_for(value).unwrap_or(&value));
            self.of_block.extend(node.outputs.iter().copied().zip(outputs));
        }
    }

    /// Records the node of a single value once more, and those before it.
    fn compute_single(&mut self, tape: &mut Tape, value: Value) {
        let Some(&index) = self.nodes.get(&value).filter(|_| !self.single.contains_key(&value)) else { return };
        let node = tape.nodes[index].clone();
        node.inputs.iter().for_each(|&input| self.compute_single(tape, input));
        let outputs = tape.repeat(&node, |value| *self.single.get(&value).unwrap_or(&value));
        self.single.extend(node.outputs.iter().copied().zip(outputs));
    }
}
