//! Linears and LoRA linears at the shapes of SD v1.5's U-Net, 512×512.

use lora_wgpu::{
    ops::{self, Panels},
    tape::{Checkpointing, DType},
};

use super::rows::Row;

const TOLERANCE: f64 = 1e-5;

/// Rows × in × out of the attention projections and feed-forward layers at 64², 32², 16² and 8², and of the text.
const SHAPES: [[usize; 3]; 7] = [
    [4096, 320, 320],
    [4096, 320, 2560],
    [4096, 1280, 320],
    [1024, 640, 640],
    [256, 1280, 1280],
    [64, 1280, 1280],
    [77, 768, 320],
];

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for shape in SHAPES {
        rows.extend([DType::F32, DType::F16].map(|dtype| linear(shape, dtype)));
        rows.push(linear_input_gradient(shape));
    }
    for shape in [[4096, 320, 320], [256, 1280, 1280]] {
        for rank in [4, 16] {
            rows.push(lora_linear(shape, rank));
            rows.extend(["x", "down", "up"].map(|which| lora_linear_gradient(shape, rank, which)));
        }
    }
    rows
}

fn linear([m, k, n]: [usize; 3], dtype: DType) -> Row {
    Row {
        name: format!("linear nt {m}x{k} to {n} {dtype:?}"),
        operands: vec![(vec![m, k], DType::F32), (Panels::of(n, k).shape(), dtype), (vec![n], DType::F32)],
        record: Box::new(|tape, values| ops::linear(tape, values[0], values[1], Some(values[2]))),
        tolerance: TOLERANCE,
    }
}

fn linear_input_gradient([m, k, n]: [usize; 3]) -> Row {
    Row {
        name: format!("linear nn d_x {m}x{n} to {k} F16"),
        operands: vec![(vec![m, k], DType::F32), (Panels::of(n, k).shape(), DType::F16), (vec![m, n], DType::F32)],
        record: Box::new(|tape, values| {
            let out = ops::linear(tape, values[0], values[1], None);
            let seed = [(out, values[2])];
            let gradients = tape.backward(&seed, &values[..1], Checkpointing::Off, ops::add);
            gradients[0].expect("x leads to the output")
        }),
        tolerance: TOLERANCE,
    }
}

/// x, weight, down, up, scale and d_y of a LoRA linear.
fn lora_operands([m, k, n]: [usize; 3], rank: usize) -> Vec<(Vec<usize>, DType)> {
    let shapes = [vec![m, k], Panels::of(n, k).shape(), vec![rank, k], vec![n, rank], vec![1], vec![m, n]];
    let mut operands: Vec<_> = shapes.into_iter().map(|shape| (shape, DType::F32)).collect();
    operands[1].1 = DType::F16;
    operands
}

fn lora_linear(shape: [usize; 3], rank: usize) -> Row {
    let [m, k, n] = shape;
    Row {
        name: format!("lora_linear {m}x{k} to {n} rank {rank}"),
        operands: lora_operands(shape, rank),
        record: Box::new(|tape, v| ops::lora_linear(tape, v[0], v[1], None, v[2], v[3], v[4])),
        tolerance: TOLERANCE,
    }
}

/// The gradient of `up` reads x · downᵀ, so that the whole forward op is timed with it.
fn lora_linear_gradient(shape: [usize; 3], rank: usize, which: &'static str) -> Row {
    let [m, k, n] = shape;
    Row {
        name: format!("lora_linear d_{which} {m}x{k} to {n} rank {rank}"),
        operands: lora_operands(shape, rank),
        record: Box::new(move |tape, v| {
            let out = ops::lora_linear(tape, v[0], v[1], None, v[2], v[3], v[4]);
            let source = match which {
                "x" => v[0],
                "down" => v[2],
                _ => v[3],
            };
            let gradients = tape.backward(&[(out, v[5])], &[source], Checkpointing::Off, ops::add);
            gradients[0].expect("every operand leads to the output")
        }),
        tolerance: TOLERANCE,
    }
}
