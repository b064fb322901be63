use lora_wgpu::{ops, tape::DType};

use crate::support::{Fixture, Matrix, Tensor, assert_close, devices, evaluate_with_gradients};

const TOLERANCE: f64 = 1e-5;
/// Positions of x, down and up among the inputs: what has a gradient.
const TRAINED: [(usize, &str); 3] = [(0, "x"), (2, "down"), (3, "up")];

#[test]
fn matches_pytorch() {
    let fixture = Fixture::open("lora_linear");
    for device in devices() {
        for case in ["rank_4", "rank_12"] {
            let tensor = |name: &str| fixture.tensor(&format!("{case}/{name}"));
            let has_bias = case == "rank_4";
            let mut inputs = ["x", "weight", "down", "up", "scale"].map(tensor).to_vec();
            inputs.extend(has_bias.then(|| tensor("bias")));
            // Twice the layer's output: the gradient arrives from the middle of a graph.
            let record = |tape: &mut _, v: &[_]| {
                let out = ops::lora_linear(tape, v[0], v[1], v.get(5).copied(), v[2], v[3], v[4]);
                vec![ops::add(tape, out, out)]
            };
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &tensor("upstream"), &[0, 2, 3]);
            assert_close(device.name, &result.outputs[0], &fixture.expected(&format!("{case}/out")), TOLERANCE);
            for (index, name) in TRAINED {
                let expected = fixture.expected(&format!("{case}/d_{name}"));
                let what = format!("{}: {case} d_{name}", device.name);
                assert_close(&what, result.gradients[index].as_ref().unwrap(), &expected, TOLERANCE);
            }
        }
    }
}

#[test]
fn every_subset_of_gradients_matches_plain_loops() {
    for (k, n) in [(36, 68), (128, 36)] {
        check_every_subset(k, n);
    }
}

fn check_every_subset(k: usize, n: usize) {
    let (rows, rank, scale) = (131, 8, 0.3f32);
    let x = Tensor::random(&[rows, k], 1);
    let weight = Tensor::random(&[n, k], 2).stored_as(DType::F16);
    let (down, up) = (Tensor::random(&[rank, k], 3), Tensor::random(&[n, rank], 4));
    let upstream = Tensor::random(&[rows, n], 5);
    let inputs = [x, weight, down, up, Tensor::new(&[1], vec![scale])];
    let [x, weight, down, up] = [0, 1, 2, 3].map(|index| Matrix::of(&inputs[index]));
    let inputs = inputs.map(|input| if input.dtype == DType::F16 { input.in_panels() } else { input });
    let (scale, d_y) = (f64::from(scale), Matrix::of(&upstream));
    let h = x.times(&down.transposed());
    let y = x.times(&weight.transposed()).plus(scale, &h.times(&up.transposed()));
    let d_h = d_y.times(&up);
    let d_x = d_y.times(&weight).plus(scale, &d_h.times(&down)).data;
    let scaled = |matrix: Matrix| matrix.data.iter().map(|value| scale * value).collect();
    let gradients: [Vec<f64>; 3] = [d_x, scaled(d_h.transposed().times(&x)), scaled(d_y.transposed().times(&h))];
    for device in devices() {
        for wanted in [vec![0], vec![2], vec![3], vec![2, 3], vec![0, 2, 3]] {
            let record = |tape: &mut _, v: &[_]| vec![ops::lora_linear(tape, v[0], v[1], None, v[2], v[3], v[4])];
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &wanted);
            let what = format!("{}: wanted {wanted:?}", device.name);
            assert_close(&what, &result.outputs[0], &y.data, TOLERANCE);
            for ((index, _), expected) in
                TRAINED.iter().zip(&gradients).filter(|((index, _), _)| wanted.contains(index))
            {
                assert_close(&what, result.gradients[*index].as_ref().unwrap(), expected, TOLERANCE);
            }
        }
    }
}
