//! Attention at the shapes of the U-Net for 512×512 pictures, of CLIP, and of the demo's small U-Net.

use lora_wgpu::{
    ops::{self, Mask},
    tape::{Checkpointing, DType, Tape, Value},
};

use super::rows::Row;

/// Queries, keys, heads, head size.
type Shape = [usize; 4];

type Record = Box<dyn Fn(&mut Tape, &[Value]) -> Value>;

pub fn rows() -> Vec<Row> {
    let shapes: [(&str, Shape, Mask); 6] = [
        ("self", [576, 576, 8, 8], Mask::None),
        ("self", [4096, 4096, 8, 40], Mask::None),
        ("self", [1024, 1024, 8, 80], Mask::None),
        ("self", [256, 256, 8, 160], Mask::None),
        ("cross", [4096, 77, 8, 40], Mask::None),
        ("clip", [77, 77, 12, 64], Mask::Causal),
    ];
    shapes
        .into_iter()
        .flat_map(|(kind, shape, mask)| [forward(kind, shape, mask), backward(kind, shape, mask)])
        .collect()
}

fn forward(kind: &str, shape: Shape, mask: Mask) -> Row {
    row(
        format!("attention {kind} {}", text(shape)),
        shape,
        Box::new(move |tape, values| record(tape, values, shape, mask)),
    )
}

/// All three gradients. Where they have one shape their sum is verified, otherwise that of k and v.
fn backward(kind: &str, shape: Shape, mask: Mask) -> Row {
    let name = format!("attention forward and backward {kind} {}", text(shape));
    let record = move |tape: &mut Tape, values: &[Value]| {
        let out = record(tape, values, shape, mask);
        let gradients = tape.backward(&[(out, values[3])], &values[..3], Checkpointing::Off, ops::add);
        let [d_q, d_k, d_v] = [0, 1, 2].map(|index| gradients[index].expect("every input leads to the output"));
        let d_context = ops::add(tape, d_k, d_v);
        if shape[0] == shape[1] {
            return ops::add(tape, d_q, d_context);
        }
        tape.keep("d_q", d_q);
        d_context
    };
    row(name, shape, Box::new(record))
}

fn record(tape: &mut Tape, values: &[Value], [_, _, heads, _]: Shape, mask: Mask) -> Value {
    ops::attention(tape, values[0], values[1], values[2], heads, mask)
}

fn row(name: String, [queries, keys, heads, head]: Shape, record: Record) -> Row {
    let operand = |rows: usize| (vec![1, rows, heads * head], DType::F32);
    let operands = vec![operand(queries), operand(keys), operand(keys), operand(queries)];
    Row { name, operands, record, tolerance: 2e-5 }
}

fn text([queries, keys, heads, head]: Shape) -> String {
    format!("{heads} heads {queries}x{keys}x{head}")
}
