//! Sums that the op behind one of their addends computes on the way: a residual, or a gradient that several ops
//! contribute to, costs no launch and no trip through memory of its own. The other addend comes last, so that f32 bits are
//! those of a sum of its own: a value that is kept for reading, or recomputed, changes none.

use std::collections::{HashMap, HashSet};

use super::{Tape, Value, value::Storage};

impl Tape {
    /// Hands sums over to the nodes that compute their later addend, where nobody else reads it.
    pub(super) fn fuse_sums(&mut self) {
        let readers = self.readers();
        let producers = self.producers();
        let kept: HashSet<Value> = self.kept.iter().map(|(_, value)| self.root(*value).0).collect();
        let mut fused = HashSet::new();
        for sum in 0..self.nodes.len() {
            if !self.nodes[sum].op.is_sum() {
                continue;
            }
            let &[a, b] = &self.nodes[sum].inputs[..] else { panic!("a sum has two addends") };
            for (addend, other) in [(a, b), (b, a)] {
                let only_here = readers.get(&addend) == Some(&1) && !kept.contains(&addend);
                if only_here && self.takes(&producers, addend, other) {
                    let producer = producers[&addend];
                    let output = self.nodes[sum].outputs[0];
                    let node = &mut self.nodes[producer];
                    node.outputs[node.op.sum_output().expect("checked above")] = output;
                    node.addend = Some(other);
                    fused.insert(sum);
                    break;
                }
            }
        }
        self.retain_nodes(|index| !fused.contains(&index));
    }

    /// Whether the node that computes `addend` can add `other` to it, which must be there by then and stay as it is.
    fn takes(&self, producers: &HashMap<Value, usize>, addend: Value, other: Value) -> bool {
        let Some(&producer) = producers.get(&addend) else { return false };
        let node = &self.nodes[producer];
        let other_root = self.root(other).0;
        let planned = matches!(self.values[addend.0].storage, Storage::Planned);
        let there_by_then = match self.values[other_root.0].storage {
            Storage::Planned => producers.get(&other_root).is_some_and(|&other| other < producer),
            Storage::Input => true,
            Storage::Buffer(_) | Storage::View { .. } => false,
        };
        let added_to = node.op.sum_output().map(|output| node.outputs[output]);
        planned && there_by_then && node.addend.is_none() && added_to == Some(addend)
    }

    /// How many nodes read each value, or a part of it.
    fn readers(&self) -> HashMap<Value, usize> {
        let mut readers = HashMap::new();
        for &input in self.nodes.iter().flat_map(|node| &node.inputs) {
            *readers.entry(self.root(input).0).or_insert(0) += 1;
        }
        readers
    }

    /// The node that computes each value.
    fn producers(&self) -> HashMap<Value, usize> {
        let nodes = self.nodes.iter().enumerate();
        nodes.flat_map(|(index, node)| node.outputs.iter().map(move |&output| (output, index))).collect()
    }
}
