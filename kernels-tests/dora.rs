use lora_wgpu::{
    ops::{self, DoraAxis, DoraShape},
    tape::{Tape, Value},
};

use crate::support::{Fixture, Matrix, Tensor, assert_close, devices, evaluate_with_gradients};

const TOLERANCE: f64 = 1e-5;
const EPS: f64 = f32::EPSILON as f64;

fn record(shape: DoraShape) -> impl Fn(&mut Tape, &[Value]) -> Vec<Value> {
    move |tape, values| vec![ops::dora(tape, values[0], values[1], shape)]
}

fn group(shape: DoraShape, row: usize, column: usize) -> usize {
    if shape.axis == DoraAxis::Out { row } else { column / shape.taps }
}

/// Each group's sum over a ⊙ b.
fn sums(shape: DoraShape, a: &Matrix, b: &Matrix) -> Vec<f64> {
    let mut sums = vec![0.0; if shape.axis == DoraAxis::Out { a.rows } else { a.columns / shape.taps }];
    for row in 0..a.rows {
        for column in 0..a.columns {
            sums[group(shape, row, column)] += a.at(row, column) * b.at(row, column);
        }
    }
    sums
}

/// out, d_v and d_magnitude.
fn plain(shape: DoraShape, v: &Matrix, magnitude: &[f64], d_out: &Matrix) -> [Vec<f64>; 3] {
    let norms: Vec<f64> = sums(shape, v, v).iter().map(|sum| sum.sqrt() + EPS).collect();
    let d_magnitude: Vec<f64> = sums(shape, v, d_out).iter().zip(&norms).map(|(sum, norm)| sum / norm).collect();
    let each = |element: &dyn Fn(usize, usize, usize) -> f64| {
        Matrix::new(v.rows, v.columns, |row, column| element(row, column, group(shape, row, column))).data
    };
    let out = each(&|row, column, g| magnitude[g] * v.at(row, column) / norms[g]);
    let d_v = each(&|row, column, g| {
        let along = if shape.detached { 0.0 } else { v.at(row, column) / norms[g] * d_magnitude[g] };
        magnitude[g] / norms[g] * (d_out.at(row, column) - along)
    });
    [out, d_v, d_magnitude]
}

/// Every axis, taps, and way of the gradient.
fn shapes() -> impl Iterator<Item = DoraShape> {
    let axes = [DoraAxis::Out, DoraAxis::In].into_iter();
    axes.flat_map(|axis| {
        [(1, false), (1, true), (9, false), (9, true)].map(|(taps, detached)| DoraShape { axis, taps, detached })
    })
}

#[test]
fn agrees_with_plain_loops() {
    for shape in shapes() {
        // From one vector to rows and columns of several runs and chunks.
        for [out, channels] in [[4, 4], [20, 12], [36, 68], [12, 1280], [600, 8]] {
            let v = Tensor::random(&[out, channels * shape.taps], 1);
            let magnitude = Tensor::random(&[if shape.axis == DoraAxis::Out { out } else { channels }], 2);
            let upstream = Tensor::random(&v.shape, 3);
            let of_magnitude = Matrix::of(&magnitude).data;
            let expected = plain(shape, &Matrix::of(&v), &of_magnitude, &Matrix::of(&upstream));
            for device in devices() {
                let inputs = [v.clone(), magnitude.clone()];
                let result = evaluate_with_gradients(&device.gpu, &inputs, record(shape), &upstream, &[0, 1]);
                let what = format!("{}: {out} × {channels} {shape:?}", device.name);
                assert_close(&what, &result.outputs[0], &expected[0], TOLERANCE);
                for (gradient, expected) in result.gradients.iter().zip(&expected[1..]) {
                    assert_close(&what, gradient.as_ref().unwrap(), expected, TOLERANCE);
                }
            }
        }
    }
}

#[test]
fn groups_of_zeros_stay_zero() {
    for shape in shapes() {
        let groups = if shape.axis == DoraAxis::Out { 8 } else { 36 };
        let zeros = |shape: &[usize]| Tensor::new(shape, vec![0.0; shape.iter().product()]);
        let inputs = [zeros(&[8, 36 * shape.taps]), zeros(&[groups])];
        let upstream = Tensor::random(&inputs[0].shape, 1);
        for device in devices() {
            let result = evaluate_with_gradients(&device.gpu, &inputs, record(shape), &upstream, &[0, 1]);
            let gradients = result.gradients.into_iter().map(|gradient| gradient.unwrap());
            for values in result.outputs.into_iter().chain(gradients) {
                assert!(values.iter().all(|&value| value == 0.0), "{}: {shape:?}", device.name);
            }
        }
    }
}

#[test]
fn agrees_with_pytorch() {
    let fixture = Fixture::open("dora");
    for shape in shapes() {
        let axis = if shape.axis == DoraAxis::Out { "out" } else { "in" };
        let name = format!("{axis}_{}_{}", shape.taps, if shape.detached { "peft" } else { "lycoris" });
        let matrix = |part: &str| {
            let tensor = fixture.tensor(&format!("{name}/{part}"));
            Tensor::new(&[tensor.shape[0], tensor.data.len() / tensor.shape[0]], tensor.data)
        };
        let expected = |part: &str| fixture.expected(&format!("{name}/{part}"));
        let magnitude = matrix("magnitude");
        let inputs = [matrix("v"), Tensor::new(&[magnitude.data.len()], magnitude.data)];
        for device in devices() {
            let result = evaluate_with_gradients(&device.gpu, &inputs, record(shape), &matrix("upstream"), &[0, 1]);
            let what = format!("{}: {name}", device.name);
            assert_close(&what, &result.outputs[0], &expected("out"), TOLERANCE);
            let [d_v, d_magnitude] = [0, 1].map(|index| result.gradients[index].as_ref().unwrap());
            assert_close(&what, d_v, &expected("d_v"), TOLERANCE);
            assert_close(&what, d_magnitude, &expected("d_magnitude"), TOLERANCE);
        }
    }
}
