//! `conv3x3` at the shapes of the U-Net and the VAE.

use lora_wgpu::{
    ops::{self, ConvGeometry, Panels},
    tape::{Checkpointing, DType},
};

use super::rows::Row;

/// The longest sums have some 20,000 terms.
const TOLERANCE: f64 = 1e-5;

/// Side of the picture, channels in and out, geometry. The first three make up most of a step and are timed with weights
/// in f32 too.
const SHAPES: [(usize, usize, usize, ConvGeometry); 11] = [
    (64, 320, 320, ConvGeometry::Same),
    (32, 640, 640, ConvGeometry::Same),
    (16, 1280, 1280, ConvGeometry::Same),
    (8, 1280, 1280, ConvGeometry::Same),
    (8, 2560, 1280, ConvGeometry::Same),
    (16, 2560, 1280, ConvGeometry::Same),
    (64, 960, 320, ConvGeometry::Same),
    (64, 320, 320, ConvGeometry::Down),
    (64, 4, 320, ConvGeometry::Same),
    (64, 320, 4, ConvGeometry::Same),
    (256, 128, 128, ConvGeometry::Same),
];

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (index, (side, c_in, c_out, geometry)) in SHAPES.into_iter().enumerate() {
        let dtypes: &[DType] = if index < 3 { &[DType::F32, DType::F16] } else { &[DType::F16] };
        for &dtype in dtypes {
            rows.push(forward(1, side, c_in, c_out, geometry, dtype));
            rows.push(backward(1, side, c_in, c_out, geometry, dtype));
        }
    }
    rows.push(forward(2, 32, 640, 640, ConvGeometry::Same, DType::F16));
    rows.push(backward(2, 32, 640, 640, ConvGeometry::Same, DType::F16));
    rows
}

fn forward(images: usize, side: usize, c_in: usize, c_out: usize, geometry: ConvGeometry, dtype: DType) -> Row {
    Row {
        name: format!("conv3x3 {images}×{side}² {c_in}→{c_out} {geometry:?} {dtype:?}"),
        operands: vec![
            (vec![images, side, side, c_in], DType::F32),
            (weight_shape(c_in, c_out), dtype),
            (vec![c_out], DType::F32),
        ],
        record: Box::new(move |tape, values| ops::conv3x3(tape, values[0], values[1], Some(values[2]), geometry)),
        tolerance: TOLERANCE,
    }
}

/// As models keep it on the device.
fn weight_shape(c_in: usize, c_out: usize) -> Vec<usize> {
    [&[9], &Panels::of(c_in, c_out).shape()[..]].concat()
}

fn backward(images: usize, side: usize, c_in: usize, c_out: usize, geometry: ConvGeometry, dtype: DType) -> Row {
    let out = geometry.output_length(side);
    Row {
        name: format!("conv3x3 d_x {images}×{side}² {c_in}→{c_out} {geometry:?} {dtype:?}"),
        operands: vec![
            (vec![images, side, side, c_in], DType::F32),
            (weight_shape(c_in, c_out), dtype),
            (vec![images, out, out, c_out], DType::F32),
        ],
        record: Box::new(move |tape, values| {
            let result = ops::conv3x3(tape, values[0], values[1], None, geometry);
            let gradients = tape.backward(&[(result, values[2])], &[values[0]], Checkpointing::Off, ops::add);
            gradients[0].expect("the output depends on x")
        }),
        tolerance: TOLERANCE,
    }
}
