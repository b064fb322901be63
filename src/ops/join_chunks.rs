//! Text longer than CLIP's 75 tokens: the states of its chunks as one sequence.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Backward, Lowering, Op, Tape, Value},
};

use super::{bands::flat_workgroups, quads::launch_quads};

/// Input `states`.
#[derive(Debug)]
struct JoinChunks;

/// Input `d_out`.
#[derive(Debug)]
struct JoinChunksBackward;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
    quads: u32,
    chunks: u32,
    length: u32,
}

/// The states `(B·n, L, C)` of `chunks` = n chunks of each text, each between a begin and an end token, as `(B, (L − 2)·n + 2,
/// C)`: the first chunk's begin, what lies between in each chunk, the last chunk's end (sd-scripts' `strategy_sd.py`). The
/// states themselves where n is 1.
///
/// # Panics
/// Where the first dimension is no multiple of n, a chunk holds fewer than 3 states, or C is no multiple of 4.
pub fn join_chunks(tape: &mut Tape, states: Value, chunks: usize) -> Value {
    let shape = tape.shape(states);
    let &[rows, length, channels] = shape else { panic!("join_chunks: {shape:?}") };
    let fits = chunks > 0 && rows % chunks == 0 && length > 2 && channels % 4 == 0;
    assert!(fits, "join_chunks: {shape:?} of {chunks} chunks");
    if chunks == 1 {
        return states;
    }
    tape.push_one(JoinChunks, &[states], &[rows / chunks, (length - 2) * chunks + 2, channels])
}

impl Op for JoinChunks {
    fn name(&self) -> &'static str {
        "join_chunks"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        launch(lowering, "forward", lowering.input(0), lowering.output(0));
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        let (shape, d_out) = (backward.tape.shape(backward.input(0)).to_vec(), backward.d_output(0));
        let d_states = backward.tape.push_one(JoinChunksBackward, &[d_out], &shape);
        backward.give(0, d_states);
    }
}

impl Op for JoinChunksBackward {
    fn name(&self) -> &'static str {
        "join_chunks_backward"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        launch(lowering, "backward", lowering.output(0), lowering.input(0));
    }
}

/// The kernel computes one of `states` and `joined` from the other.
fn launch(lowering: &mut Lowering<'_>, entry: &'static str, states: Value, joined: Value) {
    let &[rows, length, channels] = lowering.shape(states) else { unreachable!("checked while recording") };
    let chunks = rows / lowering.shape(joined)[0];
    let (from, to) = if entry == "forward" { (states, joined) } else { (joined, states) };
    let elements = lowering.elements(to);
    let params = Params {
        count: (elements / 4) as u32,
        quads: (channels / 4) as u32,
        chunks: chunks as u32,
        length: length as u32,
    };
    let kernel = KernelSpec::new("join_chunks.wgsl", entry, &[Read, Write]);
    let cost = Cost { flops: 0, bytes: 8 * elements as u64 };
    launch_quads(lowering, from, &kernel, vec![from.into(), to.into()], &params, flat_workgroups(elements / 4), cost);
}
