use lora_wgpu::{
    ops::{self, Mask},
    tape::{Tape, Value},
};

use crate::support::{Device, Fixture, Tensor, assert_close, devices, evaluate, evaluate_with_gradients};

/// Softmax weights and sums over up to 160 channels in f32; exp alone costs a few units in the last place.
const TOLERANCE: f64 = 2e-5;

#[derive(Clone, Copy, Debug)]
struct Case {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    head: usize,
    mask: Mask,
}

const fn case(batch: usize, queries: usize, keys: usize, heads: usize, head: usize) -> Case {
    Case { batch, queries, keys, heads, head, mask: Mask::None }
}

const fn causal(batch: usize, tokens: usize, heads: usize, head: usize) -> Case {
    Case { batch, queries: tokens, keys: tokens, heads, head, mask: Mask::Causal }
}

impl Case {
    /// q, k, v, and the upstream gradient.
    fn tensors(&self) -> [Tensor; 4] {
        let shape = |rows| [self.batch, rows, self.heads * self.head];
        let [q, k] = [self.queries, self.keys].map(shape);
        [Tensor::random(&q, 1), Tensor::random(&k, 2), Tensor::random(&k, 3), Tensor::random(&q, 4)]
    }

    fn record(self) -> impl Fn(&mut Tape, &[Value]) -> Vec<Value> {
        move |tape, values| vec![ops::attention(tape, values[0], values[1], values[2], self.heads, self.mask)]
    }
}

/// out, d_q, d_k, d_v by plain loops.
fn loops(case: &Case, [q, k, v, d_out]: &[Tensor; 4]) -> [Vec<f64>; 4] {
    let mut results = [q, q, k, v].map(|tensor| vec![0.0; tensor.data.len()]);
    for batch in 0..case.batch {
        for head in 0..case.heads {
            for query in 0..case.queries {
                one_query(case, [q, k, v, d_out], [batch, head, query], &mut results);
            }
        }
    }
    results
}

/// Adds what one query of one head contributes to out, d_q, d_k and d_v.
fn one_query(case: &Case, tensors: [&Tensor; 4], [batch, head, query]: [usize; 3], results: &mut [Vec<f64>; 4]) {
    let start = |rows: usize, row: usize| ((batch * rows + row) * case.heads + head) * case.head;
    let at = start(case.queries, query);
    let [q, k, v, d_out] = tensors.map(|tensor| move |i: usize| f64::from(tensor.data[i]));
    let product = |a: &dyn Fn(usize) -> f64, b: &dyn Fn(usize) -> f64, j: usize| -> f64 {
        (0..case.head).map(|c| a(at + c) * b(start(case.keys, j) + c)).sum()
    };
    let keys = if case.mask == Mask::Causal { query + 1 } else { case.keys };
    let scale = (case.head as f64).sqrt().recip();
    let scores: Vec<f64> = (0..keys).map(|j| product(&q, &k, j) * scale).collect();
    let largest = scores.iter().copied().fold(f64::MIN, f64::max);
    let total: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
    let p: Vec<f64> = scores.iter().map(|score| (score - largest).exp() / total).collect();
    let dp: Vec<f64> = (0..keys).map(|j| product(&d_out, &v, j)).collect();
    let delta: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
    let [out, d_q, d_k, d_v] = results;
    for j in 0..keys {
        let ds = p[j] * (dp[j] - delta) * scale;
        for c in 0..case.head {
            let key = start(case.keys, j) + c;
            out[at + c] += p[j] * v(key);
            d_q[at + c] += ds * k(key);
            d_k[key] += ds * q(at + c);
            d_v[key] += p[j] * d_out(at + c);
        }
    }
}

fn check(device: &Device, case: &Case) {
    let tensors = case.tensors();
    let [out, gradients @ ..] = loops(case, &tensors);
    let result = evaluate_with_gradients(&device.gpu, &tensors[..3], case.record(), &tensors[3], &[0, 1, 2]);
    assert_close(&format!("{} {case:?}: out", device.name), &result.outputs[0], &out, TOLERANCE);
    for ((actual, expected), name) in result.gradients.iter().zip(&gradients).zip(["d_q", "d_k", "d_v"]) {
        let actual = actual.as_ref().expect("all three are wanted");
        // With a single key the softmax is constant and these are sums of rounding errors.
        if expected.iter().any(|value| value.abs() > 1e-12) {
            assert_close(&format!("{} {case:?}: {name}", device.name), actual, expected, TOLERANCE);
        } else {
            assert!(actual.iter().all(|value| value.abs() < 1e-4), "{} {case:?}: {name} is not zero", device.name);
        }
    }
}

#[test]
fn agrees_with_pytorch() {
    let fixture = Fixture::open("attention");
    let cases = [
        ("self_40", 2, Mask::None),
        ("self_80", 2, Mask::None),
        ("self_160", 2, Mask::None),
        ("cross_16", 2, Mask::None),
        ("causal_64", 2, Mask::Causal),
    ];
    for device in devices() {
        for (name, heads, mask) in cases {
            let inputs = ["q", "k", "v"].map(|input| fixture.tensor(&format!("{name}/{input}")));
            let record = |tape: &mut Tape, values: &[Value]| {
                vec![ops::attention(tape, values[0], values[1], values[2], heads, mask)]
            };
            let upstream = fixture.tensor(&format!("{name}/upstream"));
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &[0, 1, 2]);
            let what = format!("{} {name}", device.name);
            assert_close(&what, &result.outputs[0], &fixture.expected(&format!("{name}/out")), TOLERANCE);
            for (gradient, of) in result.gradients.iter().zip(["d_q", "d_k", "d_v"]) {
                let actual = gradient.as_ref().expect("all three are wanted");
                assert_close(&format!("{what} {of}"), actual, &fixture.expected(&format!("{name}/{of}")), TOLERANCE);
            }
        }
    }
}

#[test]
fn a_head_of_512_channels_agrees_with_pytorch() {
    let fixture = Fixture::open("attention");
    let inputs = ["q", "k", "v"].map(|input| fixture.tensor(&format!("single_head_512/{input}")));
    for device in devices() {
        let record = |tape: &mut Tape, values: &[Value]| {
            vec![ops::attention(tape, values[0], values[1], values[2], 1, Mask::None)]
        };
        let outputs = evaluate(&device.gpu, &inputs, record);
        assert_close(device.name, &outputs[0], &fixture.expected("single_head_512/out"), TOLERANCE);
    }
}

#[test]
fn agrees_with_plain_loops_for_small_heads() {
    for device in devices() {
        for case in [
            case(1, 1, 1, 1, 4),
            case(2, 5, 1, 2, 8),
            case(2, 7, 77, 3, 16),
            case(1, 131, 3, 1, 12),
            case(1, 131, 67, 2, 8),
        ] {
            check(device, &case);
        }
    }
}

#[test]
fn agrees_with_plain_loops_for_the_models_heads() {
    for device in devices() {
        for case in [case(2, 65, 77, 2, 40), case(1, 127, 65, 1, 40), case(2, 33, 31, 2, 80), case(1, 17, 19, 2, 160)] {
            check(device, &case);
        }
    }
}

#[test]
fn agrees_with_plain_loops_under_a_causal_mask() {
    for device in devices() {
        for case in [causal(2, 77, 12, 64), causal(1, 65, 1, 40), causal(3, 7, 2, 4)] {
            check(device, &case);
        }
    }
}

#[test]
fn agrees_with_plain_loops_where_scores_take_several_chunks() {
    // 2051 · 2053 scores are 17 MB, a little more than the software drivers' kernels hold at a time.
    for device in devices() {
        check(device, &case(1, 2051, 2053, 1, 4));
    }
}

#[test]
fn any_subset_of_gradients_may_be_wanted() {
    let case = case(1, 9, 13, 2, 8);
    let tensors = case.tensors();
    let [_, expected @ ..] = loops(&case, &tensors);
    for device in devices() {
        for wanted in [vec![0], vec![1], vec![2], vec![0, 2], vec![1, 2]] {
            let result = evaluate_with_gradients(&device.gpu, &tensors[..3], case.record(), &tensors[3], &wanted);
            for (index, (gradient, expected)) in result.gradients.iter().zip(&expected).enumerate() {
                assert_eq!(gradient.is_some(), wanted.contains(&index));
                if let Some(actual) = gradient {
                    assert_close(device.name, actual, expected, TOLERANCE);
                }
            }
        }
    }
}

#[test]
fn survives_scores_far_apart() {
    // Scores of some thousands: exp of anything but differences would overflow.
    let case = case(1, 6, 11, 1, 8);
    let [q, k, v, _] = case.tensors();
    let tensors = [q.scaled(100.0), k.scaled(30.0), v, Tensor::random(&[1, 6, 8], 4)];
    let [out, ..] = loops(&case, &tensors);
    for device in devices() {
        let outputs = evaluate(&device.gpu, &tensors[..3], case.record());
        // f32 scores of this size are off by 1e-4, and so are the weights.
        assert_close(device.name, &outputs[0], &out, 1e-3);
    }
}
