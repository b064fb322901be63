//! Stand-in until the optimizers' own branch is merged.

use anyhow::Result;

use crate::{
    adapters::Store,
    config,
    gpu::{Buffer, Gpu},
    ops::{self, AdamWSettings, AdamWState},
    tape::{DType, Tape, Value},
};

pub const SETTINGS: usize = 16;

pub struct Optimizer(AdamWSettings);

pub struct State {
    slots: Vec<[Buffer; 2]>,
}

#[derive(Clone, Copy)]
pub struct UpdateValues<'a> {
    pub clip: Value,
    pub settings: &'a [Value],
}

impl Optimizer {
    pub fn new(settings: &config::AdamW) -> Self {
        let config::AdamW { betas: (beta1, beta2), weight_decay, eps } = *settings;
        Self(AdamWSettings { lr: 0.0, beta1, beta2, eps, weight_decay })
    }

    pub fn state(&self, store: &Store) -> State {
        let slots = store.trained().map(|(index, shard)| {
            ["first moment", "second moment"]
                .map(|what| Buffer::declare(format!("{what} {index}"), 4 * shard.elements as u64))
        });
        State { slots: slots.collect() }
    }

    pub fn record(&self, tape: &mut Tape, store: &Store, state: &State, update: UpdateValues<'_>) {
        for ((_, shard), [m, v]) in store.trained().zip(&state.slots) {
            let flat = |tape: &mut Tape, buffer: &Buffer| {
                tape.external(buffer.label(), &[shard.elements], DType::F32, &buffer.whole())
            };
            let gradients = flat(tape, &shard.accumulated);
            let state = AdamWState { parameters: flat(tape, &shard.parameters), m: flat(tape, m), v: flat(tape, v) };
            let settings = update.settings[shard.group.expect("a trained shard")];
            ops::adamw(tape, state, gradients, update.clip, settings);
        }
    }

    pub fn settings(&self, update: u32, rates: &[f64]) -> Vec<[f32; SETTINGS]> {
        let of = |&lr: &f64| {
            let mut row = [0.0; SETTINGS];
            row[..8].copy_from_slice(&AdamWSettings { lr, ..self.0 }.at_step(u64::from(update)));
            row
        };
        rates.iter().map(of).collect()
    }

    pub fn evaluated(&self, gpu: &Gpu, store: &Store, _state: &State) -> Result<Vec<Vec<f32>>> {
        store.read(gpu, |shard| &shard.parameters)
    }
}

impl State {
    pub fn bytes(&self) -> u64 {
        self.slots.iter().flatten().map(Buffer::bytes).sum()
    }

    pub fn reset(&self, gpu: &Gpu, _store: &Store) {
        self.slots.iter().flatten().for_each(|buffer| gpu.clear(&buffer.whole()));
    }
}
