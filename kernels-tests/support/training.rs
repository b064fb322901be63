//! Tensors in a store, an optimizer, and the program of its update.

use std::collections::BTreeMap;

use lora_wgpu::{
    adapters::{Store, TensorShape},
    gpu::{Buffer, Gpu},
    ops,
    optim::{Optimizer, SETTINGS, State, UpdateValues},
    tape::{Input, Program, Tape, Value},
};

/// Parameter groups of every store here.
pub const GROUPS: usize = 2;

/// Trained tensors with their optimizer.
pub struct Training<'a> {
    pub gpu: &'a Gpu,
    pub store: Store,
    pub optimizer: Optimizer,
    pub state: State,
    program: Program,
    inputs: UpdateInputs,
}

/// What is written before an update.
pub struct UpdateInputs {
    settings: Vec<Input>,
    max_norm: Input,
    loss_scale: Input,
}

impl<'a> Training<'a> {
    /// Begins with `values` of `tensors`, each with its group.
    pub fn new(
        gpu: &'a Gpu,
        optimizer: Optimizer,
        tensors: Vec<(TensorShape, Option<usize>)>,
        values: &[Vec<f32>],
    ) -> Self {
        let store = Store::new(tensors, gpu.caps().max_binding, false);
        let state = optimizer.state(&store);
        store.write(gpu, values);
        state.reset(gpu, &store);
        let mut tape = Tape::new();
        let inputs = record_update(&mut tape, &store, &optimizer, &state);
        Self { gpu, inputs, program: Program::compile(gpu, "update", tape).unwrap(), store, optimizer, state }
    }

    /// Takes update number `update` with the gradients of every tensor, which are made `scale` times as large as they
    /// are and clipped to `max_norm`; gives norm, factor, finite.
    pub fn update(
        &self,
        update: u32,
        rates: [f64; GROUPS],
        gradients: &[Vec<f32>],
        (scale, max_norm): (f32, f32),
    ) -> Vec<f32> {
        for (index, shard) in self.store.shards.iter().enumerate() {
            let flat: Vec<f32> = self.store.flat(index, gradients).iter().map(|value| value * scale).collect();
            self.gpu.upload(&shard.accumulated.whole(), bytemuck::cast_slice(&flat));
        }
        for (input, settings) in self.inputs.settings.iter().zip(self.optimizer.settings(update, &rates)) {
            self.program.write(self.gpu, *input, &settings);
        }
        self.program.write(self.gpu, self.inputs.max_norm, &[max_norm]);
        self.program.write(self.gpu, self.inputs.loss_scale, &[scale]);
        self.program.replay(self.gpu);
        self.program.read(self.gpu, "clip").unwrap()
    }

    pub fn parameters(&self) -> Vec<Vec<f32>> {
        self.store.read(self.gpu, |shard| &shard.parameters).unwrap()
    }

    /// Parameters and state, by name.
    pub fn buffers(&self) -> impl Iterator<Item = (String, &Buffer)> {
        let shards = self.store.shards.iter().enumerate();
        let parameters = shards.map(|(index, shard)| (format!("parameters/{index}"), &shard.parameters));
        parameters.chain(self.state.buffers())
    }

    pub fn bytes(&self) -> BTreeMap<String, Vec<u8>> {
        self.buffers().map(|(name, buffer)| (name, self.gpu.read(&buffer.whole()).unwrap())).collect()
    }
}

/// Records that gradients are clipped, and the update of all groups.
pub fn record_update(tape: &mut Tape, store: &Store, optimizer: &Optimizer, state: &State) -> UpdateInputs {
    let gradients: Vec<Value> = store.shards.iter().map(|shard| shard.on(tape, &shard.accumulated)).collect();
    let [max_norm, loss_scale] = ["max_norm", "loss_scale"].map(|name| tape.input(name, &[1]));
    let clip = ops::grad_norm(tape, &gradients, max_norm.value, loss_scale.value);
    let settings: Vec<Input> = (0..GROUPS).map(|group| tape.input(&format!("settings {group}"), &[SETTINGS])).collect();
    let values: Vec<Value> = settings.iter().map(|input| input.value).collect();
    optimizer.record(tape, store, state, UpdateValues { clip, settings: &values });
    tape.keep("clip", clip);
    UpdateInputs { settings, max_norm, loss_scale }
}
