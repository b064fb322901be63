//! A recorded tape of every op, with its gradients: what the shader checks collect kernels from.
//!
//! Tapes are only lowered, never run, so that shapes may be as large as tile tables need.

use std::sync::atomic::{AtomicUsize, Ordering};

use lora_wgpu::{
    adapters::{Store, TensorShape},
    config::OptimizerSettings,
    ops::{self, Capped, ConvGeometry, DoraAxis, DoraShape, KronShape, LossInputs, LossKind, Mask},
    optim::Ema,
    tape::{Checkpointing, DType, Tape, Value},
};

use crate::optimizers;

/// Storage types of frozen weights.
const WEIGHT_TYPES: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// Storage types of activations.
const ACTIVATION_TYPES: [DType; 2] = [DType::F32, DType::F16];

const OF_ONE_TYPE: [fn(&mut Tape); 16] = [
    accumulate,
    add_to_weight,
    cached_attention,
    cap_norm,
    combine,
    conv_taps,
    convert,
    dora,
    ema,
    grad_norm,
    kron,
    loss_scale,
    matmul,
    multiply_add,
    softmax,
    weighted_loss,
];

const OF_ANY_TYPE: [fn(&mut Tape, DType); 18] = [
    activations,
    add,
    add_channels,
    attention,
    concat,
    conv3x3,
    crop,
    dropout,
    geglu,
    group_norm,
    join_chunks,
    layer_norm,
    linear,
    lora_linear,
    multiply,
    scale,
    scale_rows,
    upsample_nearest,
];

/// Every op on its own tape, in the shapes and types that choose between its kernels.
pub fn tapes() -> Vec<Tape> {
    let plain = OF_ONE_TYPE.into_iter().map(|record| recorded(record));
    let typed = OF_ANY_TYPE.into_iter().flat_map(|record| ACTIVATION_TYPES.map(|dtype| (record, dtype)));
    let updates = OptimizerSettings::all().map(|settings| optimizers::recorded(settings.kind));
    plain.chain(updates).chain(typed.map(|(record, dtype)| recorded(|tape| record(tape, dtype)))).collect()
}

fn recorded(record: impl FnOnce(&mut Tape)) -> Tape {
    let mut tape = Tape::new();
    record(&mut tape);
    tape
}

fn input(tape: &mut Tape, shape: &[usize]) -> Value {
    activation(tape, shape, DType::F32)
}

fn activation(tape: &mut Tape, shape: &[usize], dtype: DType) -> Value {
    static INPUTS: AtomicUsize = AtomicUsize::new(0);
    let number = INPUTS.fetch_add(1, Ordering::Relaxed);
    tape.input_of(&format!("input {number}"), shape, dtype).value
}

/// Keeps an op's output and its gradients by `wanted`.
fn keep(tape: &mut Tape, out: Value, wanted: &[Value]) {
    tape.keep("out", out);
    let (shape, dtype) = (tape.shape(out).to_vec(), tape.dtype(out));
    let upstream = activation(tape, &shape, dtype);
    for gradient in tape.backward(&[(out, upstream)], wanted, Checkpointing::Off, ops::add) {
        tape.keep("gradient", gradient.expect("a wanted input leads to the output"));
    }
}

fn accumulate(tape: &mut Tape) {
    let (into, gradients) = (input(tape, &[8]), input(tape, &[8]));
    ops::accumulate(tape, into, gradients);
}

fn activations(tape: &mut Tape, dtype: DType) {
    for op in [ops::silu, ops::gelu, ops::quick_gelu] {
        let x = activation(tape, &[2, 8], dtype);
        let out = op(tape, x);
        keep(tape, out, &[x]);
    }
}

fn add(tape: &mut Tape, dtype: DType) {
    let (a, b) = (activation(tape, &[2, 8], dtype), activation(tape, &[2, 8], dtype));
    let out = ops::add(tape, a, b);
    keep(tape, out, &[a, b]);
}

fn add_channels(tape: &mut Tape, dtype: DType) {
    let (x, y) = (activation(tape, &[2, 5, 8], dtype), input(tape, &[2, 8]));
    let out = ops::add_channels(tape, x, y);
    keep(tape, out, &[x, y]);
}

fn add_to_weight(tape: &mut Tape) {
    for stored in WEIGHT_TYPES {
        for (taps, shape) in [(1, &[12, 8][..]), (9, &[9, 8, 12])] {
            let weight = activation(tape, shape, stored);
            let (delta, scale) = (input(tape, &[12, 8 * taps]), input(tape, &[1]));
            let out = ops::add_to_weight(tape, weight, taps, delta, scale);
            keep(tape, out, &[delta]);
        }
    }
}

/// The head sizes of SD v1.5's networks and of small test checkpoints; only the VAE has 512, and no gradient there.
fn attention(tape: &mut Tape, dtype: DType) {
    let crossed = [4, 40, 80, 160].map(|head| (head, 1024, Mask::None));
    for (head, queries, mask) in crossed.into_iter().chain([(64, 77, Mask::Causal)]) {
        let [q, k, v] = [queries, 77, 77].map(|rows| activation(tape, &[1, rows, 2 * head], dtype));
        let out = ops::attention(tape, q, k, v, 2, mask);
        keep(tape, out, &[q, k, v]);
    }
    let x = activation(tape, &[1, 4096, 512], dtype);
    let out = ops::attention(tape, x, x, x, 1, Mask::None);
    keep(tape, out, &[]);
}

fn cached_attention(tape: &mut Tape) {
    let step = activation(tape, &[4], DType::U32);
    let [cache, row] = [&[3, 30, 128][..], &[3, 128]].map(|shape| input(tape, shape));
    let next = ops::extend_cache(tape, step, cache, row);
    let out = ops::cached_attention(tape, step, row, next, next, 2);
    tape.keep("out", out);
}

fn cap_norm(tape: &mut Tape) {
    let [down, up, scale, largest, clip] =
        [&[16, 320][..], &[640, 16], &[1], &[1], &[4]].map(|shape| input(tape, shape));
    ops::cap_norm(tape, Capped { down, up, scale }, largest, clip);
}

fn combine(tape: &mut Tape) {
    let (a, b, coefficients) = (input(tape, &[2, 8]), input(tape, &[2, 8]), input(tape, &[2, 2]));
    let out = ops::combine(tape, a, b, coefficients);
    keep(tape, out, &[]);
}

fn concat(tape: &mut Tape, dtype: DType) {
    let (a, b) = (activation(tape, &[2, 8], dtype), activation(tape, &[2, 4], dtype));
    let out = ops::concat(tape, a, b);
    keep(tape, out, &[a, b]);
}

fn conv3x3(tape: &mut Tape, dtype: DType) {
    let geometries = [ConvGeometry::Same, ConvGeometry::Down, ConvGeometry::DownAsymmetric];
    for (stored, geometry) in WEIGHT_TYPES.into_iter().flat_map(|stored| geometries.map(|geometry| (stored, geometry)))
    {
        // From too small for a tile to enough for the largest, by way of all slices.
        for side in [4, 18, 23, 32, 44, 64, 128] {
            let x = activation(tape, &[1, side, side, 320], dtype);
            let (weight, bias) = (activation(tape, &[9, 320, 320], stored), input(tape, &[320]));
            let (out, trained) = (ops::conv3x3(tape, x, weight, Some(bias), geometry), [x, weight]);
            keep(tape, out, if stored == DType::F32 { &trained } else { &trained[..1] });
        }
    }
    // A LoRA's down projection.
    let (x, weight) = (activation(tape, &[1, 64, 64, 320], dtype), input(tape, &[9, 320, 4]));
    let out = ops::conv3x3(tape, x, weight, None, ConvGeometry::Same);
    keep(tape, out, &[x, weight]);
}

fn conv_taps(tape: &mut Tape) {
    let v = input(tape, &[8, 36]);
    let out = ops::conv_taps(tape, v);
    keep(tape, out, &[v]);
}

fn dora(tape: &mut Tape) {
    for (axis, groups) in [(DoraAxis::Out, 8), (DoraAxis::In, 4)] {
        let (v, magnitude) = (input(tape, &[8, 36]), input(tape, &[groups]));
        let out = ops::dora(tape, v, magnitude, DoraShape { axis, taps: 9, detached: false });
        keep(tape, out, &[v, magnitude]);
    }
}

fn dropout(tape: &mut Tape, dtype: DType) {
    let (h, key) = (activation(tape, &[2, 8], dtype), activation(tape, &[2], DType::U32));
    let out = ops::dropout(tape, h, key, 1, 0.1);
    keep(tape, out, &[h]);
}

fn ema(tape: &mut Tape) {
    let store = Store::new(vec![(TensorShape::matrix(&[4, 8]), Some(0))], 1 << 20, false);
    let weight = input(tape, &[1]);
    Ema::new(&store).record(tape, &store, weight);
}

fn geglu(tape: &mut Tape, dtype: DType) {
    let x = activation(tape, &[2, 16], dtype);
    let out = ops::geglu(tape, x);
    keep(tape, out, &[x]);
}

fn convert(tape: &mut Tape) {
    let x = input(tape, &[2, 8]);
    let half = ops::convert(tape, x, DType::F16);
    let out = ops::convert(tape, half, DType::F32);
    tape.keep("out", out);
}

fn grad_norm(tape: &mut Tape) {
    let (gradients, max_norm) = ([8, 12].map(|count| input(tape, &[count])), input(tape, &[1]));
    let loss_scale = input(tape, &[4]);
    let out = ops::grad_norm(tape, &gradients, max_norm, loss_scale);
    keep(tape, out, &[]);
}

fn group_norm(tape: &mut Tape, dtype: DType) {
    for silu in [false, true] {
        let x = activation(tape, &[2, 8, 8, 64], dtype);
        let (gamma, beta) = (input(tape, &[64]), input(tape, &[64]));
        let out = ops::group_norm(tape, x, gamma, beta, 32, 1e-5, silu);
        keep(tape, out, &[x]);
    }
}

fn join_chunks(tape: &mut Tape, dtype: DType) {
    let states = activation(tape, &[4, 5, 8], dtype);
    let out = ops::join_chunks(tape, states, 2);
    keep(tape, out, &[states]);
}

fn kron(tape: &mut Tape) {
    let (w1, w2) = (input(tape, &[4, 4]), input(tape, &[8, 16]));
    let out = ops::kron(tape, w1, w2, KronShape { l: 4, m: 4, k: 5, n: 13, taps: 1 });
    keep(tape, out, &[w1, w2]);
}

fn layer_norm(tape: &mut Tape, dtype: DType) {
    let x = activation(tape, &[2, 5, 8], dtype);
    let (gamma, beta) = (input(tape, &[8]), input(tape, &[8]));
    let out = ops::layer_norm(tape, x, gamma, beta, 1e-5);
    keep(tape, out, &[x]);
}

/// From one row to enough for the largest tile.
const TOKENS: [usize; 5] = [1, 77, 1024, 4096, 16_384];

fn linear(tape: &mut Tape, dtype: DType) {
    for (stored, tokens) in WEIGHT_TYPES.into_iter().flat_map(|stored| TOKENS.map(|tokens| (stored, tokens))) {
        let x = activation(tape, &[tokens, 320], dtype);
        let (weight, bias) = (activation(tape, &[320, 320], stored), input(tape, &[320]));
        for bias in [None, Some(bias)] {
            let (out, trained) = (ops::linear(tape, x, weight, bias), [x, weight]);
            keep(tape, out, if stored == DType::F32 { &trained } else { &trained[..1] });
        }
    }
}

fn lora_linear(tape: &mut Tape, dtype: DType) {
    for tokens in TOKENS {
        let x = activation(tape, &[tokens, 320], dtype);
        let (weight, bias) = (activation(tape, &[320, 320], DType::F16), input(tape, &[320]));
        let (down, up, scale) = (input(tape, &[4, 320]), input(tape, &[320, 4]), input(tape, &[1]));
        let out = ops::lora_linear(tape, x, weight, Some(bias), down, up, scale);
        keep(tape, out, &[x, down, up]);
    }
}

fn loss_scale(tape: &mut Tape) {
    let (state, clip) = (input(tape, &[4]), input(tape, &[4]));
    ops::advance_loss_scale(tape, state, clip, 2000);
}

/// Factors of a rank, and the products of their gradients.
fn matmul(tape: &mut Tape) {
    for [m, k, n] in [[12, 8, 20], [320, 4, 320], [1280, 32, 11_520], [320, 320, 320]] {
        let (a, b) = (input(tape, &[m, k]), input(tape, &[k, n]));
        let out = ops::matmul(tape, a, b);
        keep(tape, out, &[a, b]);
    }
}

fn multiply(tape: &mut Tape, dtype: DType) {
    let (a, b) = (activation(tape, &[2, 8], dtype), activation(tape, &[2, 8], dtype));
    let out = ops::multiply(tape, a, b);
    keep(tape, out, &[a, b]);
}

fn multiply_add(tape: &mut Tape) {
    let x = input(tape, &[2, 8]);
    let out = ops::multiply_add(tape, x, 3, 0.5, 1.0);
    tape.keep("out", out);
}

fn scale(tape: &mut Tape, dtype: DType) {
    let x = activation(tape, &[2, 8], dtype);
    let out = ops::scale(tape, x, 0.5);
    keep(tape, out, &[x]);
    let factor = input(tape, &[1]);
    let out = ops::scale_by(tape, x, factor);
    keep(tape, out, &[x]);
}

fn scale_rows(tape: &mut Tape, dtype: DType) {
    let (h, mask) = (activation(tape, &[2, 5, 8], dtype), input(tape, &[2, 8]));
    let out = ops::scale_rows(tape, h, mask);
    keep(tape, out, &[h]);
}

fn crop(tape: &mut Tape, dtype: DType) {
    let x = activation(tape, &[1, 4, 6, 8], dtype);
    let out = ops::crop(tape, x, 3, 5);
    keep(tape, out, &[x]);
}

fn softmax(tape: &mut Tape) {
    let x = input(tape, &[5, 8]);
    let out = ops::softmax(tape, x, 0.5, false);
    keep(tape, out, &[x]);
}

fn upsample_nearest(tape: &mut Tape, dtype: DType) {
    let x = activation(tape, &[1, 3, 5, 8], dtype);
    let out = ops::upsample_nearest(tape, x);
    keep(tape, out, &[x]);
}

fn weighted_loss(tape: &mut Tape) {
    for kind in [LossKind::L2, LossKind::L1, LossKind::Huber, LossKind::SmoothL1] {
        for masked in [false, true] {
            let inputs = LossInputs {
                kind,
                target: input(tape, &[2, 3, 8]),
                weight: input(tape, &[2]),
                loss_scale: input(tape, &[4]),
                threshold: kind.has_threshold().then(|| input(tape, &[2])),
                mask: masked.then(|| input(tape, &[2, 3])),
            };
            let prediction = input(tape, &[2, 3, 8]);
            let loss = ops::weighted_loss(tape, prediction, &inputs);
            tape.keep("loss", loss.loss);
        }
    }
}
