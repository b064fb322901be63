use lora_wgpu::{
    gpu::Buffer,
    ops,
    tape::{DType, Program, Tape},
};

use crate::support::{Device, Tensor, assert_close, devices};

const BATCH: usize = 3;
const ROWS: usize = 5;
const HEADS: usize = 2;
const WIDTH: usize = 24;
/// Which sequence each one goes on from, step by step.
const PARENTS: [[usize; BATCH]; ROWS] = [[0, 1, 2], [1, 1, 0], [2, 0, 1], [0, 0, 0], [1, 2, 0]];

/// What stands in a row of a cache: (C) of each of a sequence's steps.
type Sequences = Vec<Vec<Vec<f32>>>;

#[test]
fn sequences_grow_and_go_on_from_each_other() {
    let rows: Vec<Tensor> = (0..ROWS).map(|step| Tensor::random(&[BATCH, WIDTH], 1 + step as u64)).collect();
    let values: Vec<Tensor> = (0..ROWS).map(|step| Tensor::random(&[BATCH, WIDTH], 11 + step as u64)).collect();
    let queries: Vec<Tensor> = (0..ROWS).map(|step| Tensor::random(&[BATCH, WIDTH], 21 + step as u64)).collect();
    let (mut expected, mut grown): (Vec<Vec<f64>>, [Sequences; 2]) = Default::default();
    grown.fill(vec![Vec::new(); BATCH]);
    for step in 0..ROWS {
        grown = [(&rows, 0), (&values, 1)].map(|(new, which)| extended(&grown[which], step, &new[step].data));
        expected.push(attended(&queries[step].data, &grown[0], &grown[1]));
    }
    for device in devices() {
        let actual = replayed(device, &queries, &rows, &values);
        for (step, expected) in expected.iter().enumerate() {
            assert_close(&format!("{} step {step}", device.name), &actual[step], expected, 1e-6);
        }
    }
}

fn extended(sequences: &Sequences, step: usize, new: &[f32]) -> Sequences {
    let grow = |b: usize| {
        let mut sequence = sequences[PARENTS[step][b]].clone();
        sequence.push(new[b * WIDTH..][..WIDTH].to_vec());
        sequence
    };
    (0..BATCH).map(grow).collect()
}

/// softmax(q·kᵀ / √(C / heads))·v in f64.
fn attended(q: &[f32], k: &Sequences, v: &Sequences) -> Vec<f64> {
    let head = WIDTH / HEADS;
    let mut out = vec![0.0; BATCH * WIDTH];
    for (b, h) in (0..BATCH).flat_map(|b| (0..HEADS).map(move |h| (b, h * head))) {
        let channels = h..h + head;
        let score = |key: &Vec<f32>| {
            let products = channels.clone().map(|c| f64::from(q[b * WIDTH + c]) * f64::from(key[c]));
            (products.sum::<f64>() / (head as f64).sqrt()).exp()
        };
        let weights: Vec<f64> = k[b].iter().map(score).collect();
        let total: f64 = weights.iter().sum();
        for (weight, value) in weights.iter().zip(&v[b]) {
            channels.clone().for_each(|c| out[b * WIDTH + c] += weight / total * f64::from(value[c]));
        }
    }
    out
}

/// The same on the device: two programs that take turns with two caches.
fn replayed(device: &Device, queries: &[Tensor], keys: &[Tensor], values: &[Tensor]) -> Vec<Vec<f32>> {
    let gpu = &device.gpu;
    let shape = [BATCH, ROWS, WIDTH];
    let cache = |name| Buffer::declare(name, 4 * (BATCH * ROWS * WIDTH) as u64).whole();
    let caches = [["keys 0", "values 0"], ["keys 1", "values 1"]].map(|names| names.map(cache));
    let programs = [0, 1].map(|turn| {
        let mut tape = Tape::new();
        let step = tape.input_of("step", &[1 + BATCH], DType::U32);
        let q = tape.input("q", &[BATCH, WIDTH]);
        let rows = ["k", "v"].map(|name| tape.input(name, &[BATCH, WIDTH]));
        let [k, v] = [0, 1].map(|which| {
            let row = rows[which].value;
            let old = tape.external("cache", &shape, DType::F32, &caches[turn][which]);
            let next = ops::extend_cache(&mut tape, step.value, old, row);
            tape.place(next, &caches[1 - turn][which]);
            next
        });
        let out = ops::cached_attention(&mut tape, step.value, q.value, k, v, HEADS);
        tape.keep("out", out);
        (Program::compile(gpu, "step", tape).unwrap(), [step, q, rows[0], rows[1]])
    });
    let run = |position: usize| {
        let (program, [step_input, q, k, v]) = &programs[position % 2];
        let step: Vec<u32> = [position].iter().chain(&PARENTS[position]).map(|&number| number as u32).collect();
        program.write(gpu, *step_input, &step);
        program.write(gpu, *q, &queries[position].data);
        program.write(gpu, *k, &keys[position].data);
        program.write(gpu, *v, &values[position].data);
        program.replay(gpu);
        program.read(gpu, "out").unwrap()
    };
    (0..ROWS).map(run).collect()
}
