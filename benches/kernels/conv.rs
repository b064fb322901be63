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
            let conv = Conv { images: 1, side, c_in, c_out, geometry, dtype };
            rows.extend([conv.forward(), conv.backward()]);
        }
    }
    let two = Conv { images: 2, side: 32, c_in: 640, c_out: 640, geometry: ConvGeometry::Same, dtype: DType::F16 };
    rows.extend([two.forward(), two.backward()]);
    rows
}

/// A convolution of `images` square pictures, with weights of `dtype`.
#[derive(Clone, Copy)]
struct Conv {
    images: usize,
    side: usize,
    c_in: usize,
    c_out: usize,
    geometry: ConvGeometry,
    dtype: DType,
}

impl Conv {
    fn forward(self) -> Row {
        let Self { images, side, c_in, c_out, geometry, dtype } = self;
        Row {
            name: format!("conv3x3 {images}×{side}² {c_in}→{c_out} {geometry:?} {dtype:?}"),
            operands: vec![
                (vec![images, side, side, c_in], DType::F32),
                (self.weight_shape(), dtype),
                (vec![c_out], DType::F32),
            ],
            record: Box::new(move |tape, values| ops::conv3x3(tape, values[0], values[1], Some(values[2]), geometry)),
            tolerance: TOLERANCE,
        }
    }

    /// As models keep it on the device.
    fn weight_shape(self) -> Vec<usize> {
        [&[9], &Panels::of(self.c_in, self.c_out).shape()[..]].concat()
    }

    fn backward(self) -> Row {
        let Self { images, side, c_in, c_out, geometry, dtype } = self;
        let out = geometry.output_length(side);
        Row {
            name: format!("conv3x3 d_x {images}×{side}² {c_in}→{c_out} {geometry:?} {dtype:?}"),
            operands: vec![
                (vec![images, side, side, c_in], DType::F32),
                (self.weight_shape(), dtype),
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
}
