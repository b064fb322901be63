use lora_wgpu::{ops, tape::Tape};

use crate::support::{Tensor, assert_close, devices, evaluate_with_gradients};

#[test]
fn keeps_the_first_begin_the_last_end_and_all_between() {
    for ([texts, chunks], length, channels) in [([1, 2], 3, 4), ([2, 3], 77, 8), ([4, 2], 6, 12)] {
        let shape = [texts * chunks, length, channels];
        let joined = [texts, (length - 2) * chunks + 2, channels];
        let (states, upstream) = (Tensor::random(&shape, 1), Tensor::random(&joined, 2));
        // Rows of `states` in the order of the joined ones.
        let kept: Vec<usize> = (0..texts * chunks * length)
            .filter(|row| {
                let (state, chunk) = (row % length, row / length % chunks);
                (state > 0 || chunk == 0) && (state < length - 1 || chunk == chunks - 1)
            })
            .collect();
        let mut out = Vec::new();
        let mut d_states = vec![0.0; states.data.len()];
        for (to, from) in kept.iter().enumerate() {
            for channel in 0..channels {
                out.push(f64::from(states.data[from * channels + channel]));
                d_states[from * channels + channel] = f64::from(upstream.data[to * channels + channel]);
            }
        }
        for device in devices() {
            let record = |tape: &mut _, v: &[_]| vec![ops::join_chunks(tape, v[0], chunks)];
            let inputs = std::slice::from_ref(&states);
            let result = evaluate_with_gradients(&device.gpu, inputs, record, &upstream, &[0]);
            let what = format!("{}: {texts} texts of {chunks} chunks", device.name);
            assert_close(&what, &result.outputs[0], &out, 0.0);
            assert_close(&what, result.gradients[0].as_ref().unwrap(), &d_states, 0.0);
        }
    }
}

#[test]
fn a_single_chunk_is_the_sequence() {
    let mut tape = Tape::new();
    let states = tape.input("states", &[3, 77, 4]).value;
    assert_eq!(ops::join_chunks(&mut tape, states, 1), states);
}
