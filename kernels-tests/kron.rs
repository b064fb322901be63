use lora_wgpu::{
    ops::{self, KronShape},
    tape::{Tape, Value},
};

use crate::support::{Fixture, Matrix, Tensor, assert_close, devices, evaluate_with_gradients};

const TOLERANCE: f64 = 1e-5;

const fn shape(l: usize, m: usize, k: usize, n: usize, taps: usize) -> KronShape {
    KronShape { l, m, k, n, taps }
}

/// Padded and even factors, blocks that are no multiples of four, long rows, many blocks.
const SHAPES: [KronShape; 6] = [
    shape(1, 1, 4, 4, 1),
    shape(2, 3, 10, 4, 1),
    shape(4, 4, 5, 7, 1),
    shape(4, 2, 5, 6, 9),
    shape(2, 2, 6, 300, 9),
    shape(16, 20, 20, 16, 1),
];

fn record(shape: KronShape) -> impl Fn(&mut Tape, &[Value]) -> Vec<Value> {
    move |tape, values| vec![ops::kron(tape, values[0], values[1], shape)]
}

/// Where an element of the result comes from: i, j of w1 and p, c of w2.
fn origin(shape: KronShape, row: usize, column: usize) -> [usize; 4] {
    let block = shape.n * shape.taps;
    [row / shape.k, column / block, row % shape.k, column % block]
}

/// The product, and the gradients of both factors as they are stored.
fn plain(shape: KronShape, w1: &Matrix, w2: &Matrix, d_out: &Matrix) -> [Matrix; 3] {
    let out = Matrix::new(d_out.rows, d_out.columns, |row, column| {
        let [i, j, p, c] = origin(shape, row, column);
        w1.at(i, j) * w2.at(p, c)
    });
    let [mut d_w1, mut d_w2] = [w1, w2].map(|factor| Matrix::new(factor.rows, factor.columns, |_, _| 0.0));
    for row in 0..d_out.rows {
        for column in 0..d_out.columns {
            let [i, j, p, c] = origin(shape, row, column);
            d_w1.data[i * w1.columns + j] += d_out.at(row, column) * w2.at(p, c);
            d_w2.data[p * w2.columns + c] += d_out.at(row, column) * w1.at(i, j);
        }
    }
    [out, d_w1, d_w2]
}

#[test]
fn agrees_with_plain_loops_and_leaves_padding_alone() {
    for shape in SHAPES {
        let block = shape.n * shape.taps;
        let w1 = Tensor::random(&[shape.l, shape.m], 1).padded();
        let w2 = Tensor::random(&[shape.k, block], 2).padded();
        let upstream = Tensor::random(&[shape.l * shape.k, shape.m * block], 3);
        let [out, d_w1, d_w2] = plain(shape, &Matrix::of(&w1), &Matrix::of(&w2), &Matrix::of(&upstream));
        for device in devices() {
            let inputs = [w1.clone(), w2.clone()];
            let result = evaluate_with_gradients(&device.gpu, &inputs, record(shape), &upstream, &[0, 1]);
            let what = format!("{}: {shape:?}", device.name);
            assert_close(&what, &result.outputs[0], &out.data, 1e-7);
            for (gradient, expected) in result.gradients.iter().zip([&d_w1, &d_w2]) {
                let gradient = gradient.as_ref().unwrap();
                assert_close(&what, gradient, &expected.data, TOLERANCE);
                let pairs = gradient.iter().zip(&expected.data);
                assert!(pairs.filter(|(_, expected)| **expected == 0.0).all(|(d, _)| *d == 0.0), "{what}: padding");
            }
        }
    }
}

#[test]
fn agrees_with_pytorch() {
    let fixture = Fixture::open("kron");
    for (name, shape) in [("linear", shape(4, 8, 6, 10, 1)), ("conv", shape(4, 4, 6, 5, 9))] {
        let tensor = |part: &str| fixture.tensor(&format!("{name}/{part}"));
        let inputs = ["w1", "w2"].map(|factor| tensor(factor).padded());
        let columns = shape.m * shape.n * shape.taps;
        let upstream = Tensor::new(&[shape.l * shape.k, columns], tensor("upstream").data);
        for device in devices() {
            let result = evaluate_with_gradients(&device.gpu, &inputs, record(shape), &upstream, &[0, 1]);
            let what = format!("{}: {name}", device.name);
            assert_close(&what, &result.outputs[0], &fixture.expected(&format!("{name}/out")), 1e-7);
            for (gradient, factor) in result.gradients.iter().zip(["w1", "w2"]) {
                let expected = Matrix::of(&tensor(&format!("d_{factor}")).padded()).data;
                assert_close(&what, gradient.as_ref().unwrap(), &expected, TOLERANCE);
            }
        }
    }
}
