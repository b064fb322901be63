//! Reverse-mode differentiation as a rewrite: it appends nodes to the tape.

use std::collections::HashMap;

use super::{
    Tape, Value,
    op::Backward,
    record::{Block, Node},
};

/// Which activations backward keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpointing {
    /// Everything backward reads stays in memory.
    Off,
    /// What lies inside a block is computed again when backward reaches it. Gradients are bit-equal.
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
        let blocks = if checkpointing == Checkpointing::Blocks { self.blocks.clone() } else { Vec::new() };
        let mut recomputed = Recomputed::new(blocks);
        for index in (0..self.nodes.len()).rev() {
            let node = self.nodes[index].clone();
            let d_outputs: Vec<_> = node.outputs.iter().map(|value| gradients.known.get(value).copied()).collect();
            let wants: Vec<bool> = node.inputs.iter().map(|value| descends[value.0]).collect();
            if d_outputs.iter().all(Option::is_none) || !wants.contains(&true) {
                continue;
            }
            let rename = recomputed.for_node(self, index);
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

/// Recomputed values of the block that backward is in.
struct Recomputed {
    blocks: Vec<Block>,
    current: Option<usize>,
    renamed: HashMap<Value, Value>,
}

impl Recomputed {
    fn new(blocks: Vec<Block>) -> Self {
        Self { blocks, current: None, renamed: HashMap::new() }
    }

    /// Old value to recomputed value for node `index`; records the block's nodes again when it is entered.
    /// What turns out not to be read is dropped by the compiler.
    fn for_node(&mut self, tape: &mut Tape, index: usize) -> HashMap<Value, Value> {
        let block = self.blocks.iter().position(|block| block.nodes.contains(&index));
        if block != self.current {
            self.current = block;
            self.renamed.clear();
            if let Some(block) = block {
                for at in self.blocks[block].nodes.clone() {
                    let node = tape.nodes[at].clone();
                    let outputs = tape.repeat(&node, |value| *self.renamed.get(&value).unwrap_or(&value));
                    self.renamed.extend(node.outputs.iter().copied().zip(outputs));
                }
            }
        }
        self.renamed.clone()
    }
}
