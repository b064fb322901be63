//! What adapters other than a plain LoRA on linears need, at the shapes of SD v1.5's U-Net: weights built from factors,
//! and the gradients of such weights.

use lora_wgpu::{
    ops::{self, ConvGeometry, DoraAxis, DoraShape, KronShape, Panels},
    tape::{Checkpointing, DType, Tape, Value},
};

use super::rows::{Operand, Row};

const TOLERANCE: f64 = 1e-5;

/// Channels in and out of the convolutions that are timed.
const CHANNELS: usize = 640;

pub fn rows() -> Vec<Row> {
    let mut rows =
        vec![conv_weight_gradient(64, 320, 320), conv_weight_gradient(64, 320, 16), linear_weight_gradient()];
    rows.extend(matmul(CHANNELS, 16, 9 * CHANNELS));
    rows.extend(matmul(1280, 16, 1280));
    rows.extend([add_to_linear_weight(), add_to_conv_weight(), conv_taps()]);
    for axis in [DoraAxis::Out, DoraAxis::In] {
        rows.extend(dora(axis));
    }
    for shape in [
        KronShape { l: 32, m: 32, k: 40, n: 40, taps: 1 },
        KronShape { l: 4, m: 4, k: 320, n: 320, taps: 1 },
        KronShape { l: 20, m: 20, k: 32, n: 32, taps: 9 },
    ] {
        rows.extend(kron(shape));
    }
    rows.push(dropout());
    rows
}

fn operand(shape: &[usize]) -> Operand {
    (shape.to_vec(), DType::F32)
}

fn row(name: String, operands: Vec<Operand>, record: impl Fn(&mut Tape, &[Value]) -> Value + 'static) -> Row {
    Row { name, operands, record: Box::new(record), tolerance: TOLERANCE }
}

/// The gradient of `output` by `input`, given that by `output`.
fn gradient(tape: &mut Tape, output: Value, d_output: Value, input: Value) -> Value {
    tape.backward(&[(output, d_output)], &[input], Checkpointing::Off, ops::add)[0].expect("the input is used")
}

fn conv_weight_gradient(side: usize, c_in: usize, c_out: usize) -> Row {
    let operands = [&[1, side, side, c_in][..], &[9, c_in, c_out], &[1, side, side, c_out]].map(operand).to_vec();
    row(format!("conv3x3 d_weight {side}² {c_in}→{c_out}"), operands, |tape, v| {
        let out = ops::conv3x3(tape, v[0], v[1], None, ConvGeometry::Same);
        gradient(tape, out, v[2], v[1])
    })
}

fn linear_weight_gradient() -> Row {
    let operands = [[4096, 320], [320, 320], [4096, 320]].map(|shape| operand(&shape)).to_vec();
    row("linear d_weight 4096x320 to 320".into(), operands, |tape, v| {
        let out = ops::linear(tape, v[0], v[1], None);
        gradient(tape, out, v[2], v[1])
    })
}

/// The product, and the gradient of each factor.
fn matmul(m: usize, k: usize, n: usize) -> Vec<Row> {
    let operands = [[m, k], [k, n], [m, n]].map(|shape| operand(&shape)).to_vec();
    let name = format!("matmul {m}x{k}x{n}");
    let mut rows = vec![row(name.clone(), operands.clone(), |tape, v| ops::matmul(tape, v[0], v[1]))];
    for (index, factor) in ["a", "b"].into_iter().enumerate() {
        rows.push(row(format!("{name} d_{factor}"), operands.clone(), move |tape, v| {
            let out = ops::matmul(tape, v[0], v[1]);
            gradient(tape, out, v[2], v[index])
        }));
    }
    rows
}

fn add_to_linear_weight() -> Row {
    let operands = vec![(Panels::of(1280, 1280).shape(), DType::F16), operand(&[1280, 1280]), operand(&[1])];
    row("add_to_weight 1280→1280 F16".into(), operands, |tape, v| ops::add_to_weight(tape, v[0], 1, v[1], v[2]))
}

fn add_to_conv_weight() -> Row {
    let weight = [&[9], &Panels::of(CHANNELS, CHANNELS).shape()[..]].concat();
    let operands = vec![(weight, DType::F16), operand(&[CHANNELS, 9 * CHANNELS]), operand(&[1])];
    let name = format!("add_to_weight 3×3 {CHANNELS}→{CHANNELS} F16");
    row(name, operands, |tape, v| ops::add_to_weight(tape, v[0], 9, v[1], v[2]))
}

fn conv_taps() -> Row {
    let operands = vec![operand(&[CHANNELS, 9 * CHANNELS])];
    row(format!("conv_taps {CHANNELS}→{CHANNELS}"), operands, |tape, v| ops::conv_taps(tape, v[0]))
}

/// Forward alone, and both directions.
fn dora(axis: DoraAxis) -> [Row; 2] {
    let matrix = operand(&[CHANNELS, 9 * CHANNELS]);
    let operands = vec![matrix.clone(), operand(&[CHANNELS]), matrix];
    let shape = DoraShape { axis, taps: 9, detached: false };
    let name = format!("dora 3×3 {CHANNELS}→{CHANNELS} {axis:?}");
    let forward = row(name.clone(), operands.clone(), move |tape, v| ops::dora(tape, v[0], v[1], shape));
    let both = row(format!("{name} forward, backward"), operands, move |tape, v| {
        let out = ops::dora(tape, v[0], v[1], shape);
        gradient(tape, out, v[2], v[0])
    });
    [forward, both]
}

/// The product, and the gradient of each factor.
fn kron(shape: KronShape) -> Vec<Row> {
    let KronShape { l, m, k, n, taps } = shape;
    let operands = [[l, m], [k, n * taps], [l * k, m * n * taps]].map(|shape| operand(&shape)).to_vec();
    let name = format!("kron {l}x{m} ⊗ {k}x{n}·{taps}");
    let mut rows = vec![row(name.clone(), operands.clone(), move |tape, v| ops::kron(tape, v[0], v[1], shape))];
    for (index, factor) in ["w1", "w2"].into_iter().enumerate() {
        rows.push(row(format!("{name} d_{factor}"), operands.clone(), move |tape, v| {
            let out = ops::kron(tape, v[0], v[1], shape);
            gradient(tape, out, v[2], v[index])
        }));
    }
    rows
}

fn dropout() -> Row {
    let operands = vec![operand(&[4096, 16]), (vec![2], DType::U32)];
    row("dropout 4096×16".into(), operands, |tape, v| ops::dropout(tape, v[0], v[1], 1, 0.1))
}
