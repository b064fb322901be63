//! Lowering a tape and planning its memory: which values share which buffers.

use std::collections::{HashMap, HashSet};

use crate::gpu::{Buffer, Caps, GpuError};

use super::{
    Launch, Lowering, Tape, Value,
    op::Preparation,
    value::{Storage, ValueInfo},
};

/// A lowered tape with a slot for every value: everything about a program but its memory.
pub struct Plan {
    pub(super) name: String,
    pub(super) tape: Tape,
    pub(super) launches: Vec<Launch>,
    pub(super) preparation: Preparation,
    /// Slot of each planned value.
    pub(super) slots: HashMap<Value, usize>,
    /// Bytes of each slot, largest first.
    pub(super) slot_bytes: Vec<u64>,
}

impl Plan {
    /// Drops nodes that nobody reads, fuses sums into what computes their addends, lowers the rest for a device and assigns slots.
    ///
    /// # Errors
    /// A value larger than the device's largest buffer.
    pub fn new(name: &str, mut tape: Tape, caps: &Caps) -> Result<Self, GpuError> {
        tape.drop_unread_nodes();
        tape.fuse_sums();
        let (launches, preparation) = lower(&mut tape, caps);
        let lifetimes = lifetimes(&tape, &launches);
        for (value, _) in &lifetimes {
            check_size(&tape.values[value.0], caps)?;
        }
        let (slots, slot_bytes) = assign_slots(&tape, lifetimes);
        Ok(Self { name: name.to_owned(), tape, launches, preparation, slots, slot_bytes })
    }

    /// Bytes of inputs and kept outputs.
    pub fn kept_bytes(&self) -> u64 {
        let kept = self.tape.kept.iter().map(|(_, value)| self.tape.root(*value).0);
        let own: HashSet<Value> = self.tape.inputs.iter().copied().chain(kept).collect();
        let bytes = |value: &Value| match self.tape.values[value.0].storage {
            Storage::Buffer(_) => 0,
            _ => self.tape.values[value.0].bytes(),
        };
        own.iter().map(bytes).sum()
    }

    /// Names and shapes of the values that survive a replay.
    pub fn kept_shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.tape.kept.iter().map(|(name, value)| (name.clone(), self.tape.shape(*value).to_vec())).collect()
    }

    /// The launches before the first replay, then those of each one.
    pub fn launches(&self) -> impl Iterator<Item = &Launch> {
        self.preparation.launches.iter().chain(&self.launches)
    }
}

/// Bytes of slots that serve all of `plans`, one program running at a time: slot `i` is as large as any plan's slot `i`.
fn shared_slots<'a>(plans: impl Iterator<Item = &'a Plan>) -> Vec<u64> {
    plans.fold(Vec::new(), |mut shared: Vec<u64>, plan| {
        shared.resize(shared.len().max(plan.slot_bytes.len()), 0);
        shared.iter_mut().zip(&plan.slot_bytes).for_each(|(most, bytes)| *most = (*most).max(*bytes));
        shared
    })
}

/// Bytes of the slots that all of `plans` share, one program running at a time.
pub fn shared_bytes<'a>(plans: impl Iterator<Item = &'a Plan>) -> u64 {
    shared_slots(plans).iter().sum()
}

/// Bytes of what `plans` compute once from weights; buffers that several of them share count once.
pub fn prepared_bytes<'a>(plans: impl Iterator<Item = &'a Plan>) -> u64 {
    let mut distinct: Vec<&Buffer> = Vec::new();
    for (buffer, _) in plans.flat_map(|plan| &plan.preparation.values) {
        if !distinct.iter().any(|other| other.same_as(buffer)) {
            distinct.push(buffer);
        }
    }
    distinct.into_iter().map(Buffer::bytes).sum()
}

pub(super) fn union_of_slots(plans: &[Plan]) -> Vec<Buffer> {
    let slots = shared_slots(plans.iter()).into_iter().enumerate();
    slots.map(|(slot, bytes)| Buffer::declare(format!("slot {slot}"), bytes)).collect()
}

fn check_size(info: &ValueInfo, caps: &Caps) -> Result<(), GpuError> {
    if info.bytes() > caps.max_buffer {
        return Err(GpuError::BufferTooLarge { what: info.name.clone(), bytes: info.bytes(), limit: caps.max_buffer });
    }
    Ok(())
}

impl Tape {
    /// Keeps the nodes that lead to a kept value or write into a buffer that outlives the program.
    fn drop_unread_nodes(&mut self) {
        let mut read: HashSet<Value> = self.kept.iter().map(|(_, value)| *value).collect();
        let mut keep = vec![false; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let lasting =
                |value: &Value| read.contains(value) || matches!(self.values[value.0].storage, Storage::Buffer(_));
            if node.effect || node.outputs.iter().any(lasting) {
                keep[index] = true;
                read.extend(&node.inputs);
            }
        }
        self.retain_nodes(|index| keep[index]);
        self.blocks.clear();
    }
}

fn lower(tape: &mut Tape, caps: &Caps) -> (Vec<Launch>, Preparation) {
    let (mut launches, mut preparation) = (Vec::new(), Preparation::default());
    for node in tape.nodes.clone() {
        let label = node.label.clone();
        let (inputs, outputs, addend) = (&node.inputs[..], &node.outputs[..], node.addend);
        let (launches, preparation) = (&mut launches, &mut preparation);
        let mut lowering = Lowering { tape, caps, label, inputs, outputs, addend, launches, preparation };
        node.op.lower(&mut lowering);
    }
    (launches, preparation)
}

/// First and last launch that touches each planned value.
fn lifetimes(tape: &Tape, launches: &[Launch]) -> Vec<(Value, (usize, usize))> {
    let kept: HashSet<Value> = tape.kept.iter().map(|(_, value)| tape.root(*value).0).collect();
    let mut spans: HashMap<Value, (usize, usize)> = HashMap::new();
    for (at, launch) in launches.iter().enumerate() {
        for arg in &launch.args {
            let (root, _) = tape.root(arg.value);
            if matches!(tape.values[root.0].storage, Storage::Planned) && !kept.contains(&root) {
                spans.entry(root).and_modify(|span| span.1 = at).or_insert((at, at));
            }
        }
    }
    spans.into_iter().collect()
}

/// Greedy by size: large values first, each into the smallest slot that is free during its life.
fn assign_slots(tape: &Tape, mut lifetimes: Vec<(Value, (usize, usize))>) -> (HashMap<Value, usize>, Vec<u64>) {
    let bytes = |value: Value| tape.values[value.0].bytes();
    lifetimes.sort_by_key(|&(value, (first, _))| (std::cmp::Reverse(bytes(value)), first, value));
    let mut slots: Vec<(u64, Vec<(usize, usize)>)> = Vec::new();
    let mut assigned = HashMap::new();
    for (value, span) in lifetimes {
        let free = |spans: &Vec<(usize, usize)>| spans.iter().all(|other| span.1 < other.0 || other.1 < span.0);
        // Slots come largest first, so that the last free one wastes least.
        let slot = slots.iter().rposition(|(_, spans)| free(spans)).unwrap_or_else(|| {
            slots.push((bytes(value), Vec::new()));
            slots.len() - 1
        });
        slots[slot].1.push(span);
        assigned.insert(value, slot);
    }
    (assigned, slots.into_iter().map(|(bytes, _)| bytes).collect())
}
