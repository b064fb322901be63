//! Norms, activations and sums at the shapes of SD v1.5's U-Net at 512×512, batch 1.

use lora_wgpu::{
    ops,
    tape::{Checkpointing, DType, Tape, Value},
};

use super::rows::{Operand, Row};

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (side, channels) in [(64, 320), (64, 640), (64, 960), (8, 1280)] {
        rows.extend(group_norm(side, channels));
    }
    rows.extend(layer_norm(4096, 320));
    rows.extend(geglu(4096, 1280));
    let operands = vec![operand(&[1, 64, 64, 320]); 2];
    rows.push(row("add 64²×320".into(), operands, |tape, values| ops::add(tape, values[0], values[1])));
    rows
}

fn operand(shape: &[usize]) -> Operand {
    (shape.to_vec(), DType::F32)
}

fn row(name: String, operands: Vec<Operand>, record: impl Fn(&mut Tape, &[Value]) -> Value + 'static) -> Row {
    Row { name, operands, record: Box::new(record), tolerance: 1e-5 }
}

/// The gradient of `output` by `input`, given that by `output`.
fn gradient(tape: &mut Tape, output: Value, d_output: Value, input: Value) -> Value {
    tape.backward(&[(output, d_output)], &[input], Checkpointing::Off, ops::add)[0].expect("the input is used")
}

/// Forward alone, and both directions: operands x, gamma, beta, d_y.
fn both(
    name: &str,
    x: &[usize],
    weights: usize,
    d_y: &[usize],
    record: impl Fn(&mut Tape, &[Value]) -> Value + Copy + 'static,
) -> [Row; 2] {
    let mut operands = vec![operand(x), operand(d_y)];
    operands.extend((0..weights).map(|_| operand(&x[x.len() - 1..])));
    let forward = row(format!("{name} forward"), operands.clone(), record);
    let both = row(format!("{name} forward, backward"), operands, move |tape, values| {
        let y = record(tape, values);
        gradient(tape, y, values[1], values[0])
    });
    [forward, both]
}

fn group_norm(side: usize, channels: usize) -> [Row; 2] {
    let shape = [1, side, side, channels];
    both(&format!("group_norm+silu {side}²×{channels}"), &shape, 2, &shape, |tape, values| {
        ops::group_norm(tape, values[0], values[2], values[3], 32, 1e-5, true)
    })
}

fn layer_norm(tokens: usize, channels: usize) -> [Row; 2] {
    let shape = [1, tokens, channels];
    both(&format!("layer_norm {tokens}×{channels}"), &shape, 2, &shape, |tape, values| {
        ops::layer_norm(tape, values[0], values[2], values[3], 1e-5)
    })
}

fn geglu(tokens: usize, width: usize) -> [Row; 2] {
    let name = format!("geglu {tokens}×{}", 2 * width);
    both(&name, &[1, tokens, 2 * width], 0, &[1, tokens, width], |tape, values| ops::geglu(tape, values[0]))
}
