//! `upsample_nearest` and `concat` at the shapes of the U-Net and the VAE.

use lora_wgpu::{ops, tape::DType};

use super::rows::Row;

pub fn rows() -> Vec<Row> {
    vec![upsample(32, 640), upsample(128, 256), concat(64, 640, 320), concat(16, 1280, 1280)]
}

fn upsample(side: usize, channels: usize) -> Row {
    Row {
        name: format!("upsample {side}² {channels}"),
        operands: vec![(vec![1, side, side, channels], DType::F32)],
        record: Box::new(|tape, values| ops::upsample_nearest(tape, values[0])),
        tolerance: 0.0,
    }
}

fn concat(side: usize, a: usize, b: usize) -> Row {
    Row {
        name: format!("concat {side}² {a} + {b}"),
        operands: vec![(vec![1, side, side, a], DType::F32), (vec![1, side, side, b], DType::F32)],
        record: Box::new(|tape, values| ops::concat(tape, values[0], values[1])),
        tolerance: 0.0,
    }
}
