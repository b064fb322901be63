//! 3×3 convolution, as an implicit matrix product; with frozen weights, or such that were built from trained factors.

mod launch;
mod patches;
mod phase;
mod tile;
mod winograd;

use crate::tape::{Backward, DType, Lowering, Op, Tape, Value};

use super::panels::Panels;
use launch::{Gather, Picture};
use patches::Patches;
use phase::Axis;

/// Stride and padding, named by where Stable Diffusion uses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvGeometry {
    /// Stride 1, padding 1 on all sides.
    Same,
    /// Stride 2, padding 1 on all sides: the U-Net's downsampler.
    Down,
    /// Stride 2, padding 1 to the right and at the bottom only: the VAE encoder's downsampler.
    DownAsymmetric,
}

impl ConvGeometry {
    fn stride(self) -> usize {
        if self == Self::Same { 1 } else { 2 }
    }

    /// Zeros to the left and at the top.
    fn pad_before(self) -> usize {
        if self == Self::DownAsymmetric { 0 } else { 1 }
    }

    /// Output pixels of `length` input pixels along one axis, as PyTorch counts them.
    pub fn output_length(self, length: usize) -> usize {
        match self {
            Self::Same => length,
            Self::Down => length.div_ceil(2),
            Self::DownAsymmetric => length / 2,
        }
    }
}

/// The forward pass; inputs `x`, `weight` and perhaps `bias`.
#[derive(Debug)]
struct Conv3x3 {
    geometry: ConvGeometry,
}

/// The input's gradient; inputs `d_out`, `weight`.
#[derive(Debug)]
struct Conv3x3Backward {
    geometry: ConvGeometry,
}

/// The weight's gradient; inputs `d_out`, `x`.
#[derive(Debug)]
struct Conv3x3BackwardWeight {
    geometry: ConvGeometry,
}

/// `out[b, y, x, o] = bias[o] + Σ x[b, y·s + ky − p, x·s + kx − p, c] · weight[3·ky + kx, c, o]`.
///
/// Shapes: x `(B, H, W, c_in)`, weight `(9, c_in, c_out)`, or the same with each tap in [`Panels`], stored as F32, F16 or
/// BF16, bias `(c_out)`; the result is `(B, Ho, Wo, c_out)` with `Ho` and `Wo` by [`ConvGeometry::output_length`]. Channel
/// counts are multiples of four.
/// The gradient flows to `x`, and to a weight that descends from trained values: it is then a plain `(9, c_in, c_out)` in
/// F32, as its gradient is whatever the type of `x`. A weight that fills a buffer of its own counts as frozen: what is
/// computed from it once is kept.
///
/// # Panics
/// On shapes that do not fit together; in backward, where the gradient of a bias is wanted, or that of a weight in panels
/// or another type than F32.
pub fn conv3x3(tape: &mut Tape, x: Value, weight: Value, bias: Option<Value>, geometry: ConvGeometry) -> Value {
    let (x_shape, weight_shape) = (tape.shape(x), tape.shape(weight));
    let mismatch = || format!("conv3x3: x {x_shape:?}, weight {weight_shape:?}, {geometry:?}");
    let &[images, height, width, c_in] = x_shape else { panic!("{}", mismatch()) };
    let &[9, ref tap @ ..] = weight_shape else { panic!("{}", mismatch()) };
    let Some(Panels { rows: weight_in, columns: c_out, .. }) = Panels::described_by(tap) else {
        panic!("{}", mismatch())
    };
    assert!(weight_in == c_in && c_in % 4 == 0 && c_out % 4 == 0, "{}", mismatch());
    if let Some(bias) = bias {
        assert_eq!(tape.shape(bias), [c_out], "conv3x3: bias for weight {weight_shape:?}");
        assert_eq!(tape.dtype(bias), DType::F32, "conv3x3: a bias is F32");
    }
    let shape = [images, geometry.output_length(height), geometry.output_length(width), c_out];
    assert!(!shape.contains(&0), "{}", mismatch());
    let inputs: Vec<Value> = [x, weight].into_iter().chain(bias).collect();
    tape.push_one(Conv3x3 { geometry }, &inputs, &shape)
}

impl Op for Conv3x3 {
    fn name(&self) -> &'static str {
        "conv3x3"
    }

    fn sum_output(&self) -> Option<usize> {
        Some(0)
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let (images, source) = picture(lowering, lowering.input(0));
        let (_, result) = picture(lowering, lowering.output(0));
        let bias = (lowering.input_count() == 3).then(|| lowering.input(2));
        let gather = Gather {
            images,
            rows: Axis::forward(self.geometry, source.rows, result.rows),
            columns: Axis::forward(self.geometry, source.columns, result.columns),
            source,
            weight: lowering.input(1),
            transposed: false,
            bias,
            addend: lowering.addend(),
            result,
        };
        gather.launch(lowering);
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        assert!(!(2..backward.input_count()).any(|index| backward.wants(index)), "conv3x3: the bias is frozen");
        if backward.wants(0) {
            let shape = backward.tape.shape(backward.input(0)).to_vec();
            let inputs = [backward.d_output(0), backward.input(1)];
            let d_x = backward.tape.push_one(Conv3x3Backward { geometry: self.geometry }, &inputs, &shape);
            backward.give(0, d_x);
        }
        if backward.wants(1) {
            let weight = backward.input(1);
            let (shape, dtype) = (backward.tape.shape(weight).to_vec(), backward.tape.dtype(weight));
            assert!(shape.len() == 3 && dtype == DType::F32, "conv3x3: a weight {shape:?} of {dtype:?} is frozen");
            let inputs = [backward.d_output(0), backward.input(0)];
            let op = Conv3x3BackwardWeight { geometry: self.geometry };
            let d_weight = backward.tape.push(op, &inputs, &[("d_weight", &shape, DType::F32)])[0];
            backward.give(1, d_weight);
        }
    }
}

impl Op for Conv3x3Backward {
    fn name(&self) -> &'static str {
        "conv3x3_backward"
    }

    fn sum_output(&self) -> Option<usize> {
        Some(0)
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let (images, source) = picture(lowering, lowering.input(0));
        let (_, result) = picture(lowering, lowering.output(0));
        let weight = lowering.input(1);
        for rows in Axis::backward(self.geometry, source.rows, result.rows) {
            for columns in Axis::backward(self.geometry, source.columns, result.columns) {
                let addend = lowering.addend();
                let gather =
                    Gather { images, rows, columns, source, weight, transposed: true, bias: None, addend, result };
                gather.launch(lowering);
            }
        }
    }
}

impl Op for Conv3x3BackwardWeight {
    fn name(&self) -> &'static str {
        "conv3x3_backward"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let (_, d_out) = picture(lowering, lowering.input(0));
        let (images, x) = picture(lowering, lowering.input(1));
        let d_weight = lowering.output(0);
        Patches { geometry: self.geometry, images, x, d_out }.launch_d_weight(lowering, d_weight);
    }
}

/// Number of images, and a value as the launches see it.
fn picture(lowering: &Lowering<'_>, value: Value) -> (usize, Picture) {
    let &[images, rows, columns, channels] = lowering.shape(value) else { panic!("conv3x3: not a picture") };
    (images, Picture { value, rows, columns, channels })
}
