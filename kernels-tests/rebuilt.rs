//! Weights built from trained factors: computed again in backward rather than kept, and never twice there.

use lora_wgpu::{
    gpu::Gpu,
    ops::{self, DoraAxis, DoraShape},
    tape::{Checkpointing, Input, Plan, Program, Tape, Value, shared_bytes},
};

use crate::support::{Tensor, devices};

const MODES: [Checkpointing; 3] = [Checkpointing::Off, Checkpointing::Cheap, Checkpointing::Blocks];
/// Tokens and channels: a weight is many times an activation.
const TOKENS: usize = 4;
const CHANNELS: usize = 64;
const WEIGHT_BYTES: u64 = (4 * CHANNELS * CHANNELS) as u64;

/// What is written before a replay, and what of it has gradients.
#[derive(Default)]
struct Inputs {
    all: Vec<(Input, usize)>,
    trained: Vec<Value>,
}

impl Inputs {
    fn add(&mut self, tape: &mut Tape, name: &str, shape: &[usize]) -> Value {
        let input = tape.input(name, shape);
        self.all.push((input, shape.iter().product()));
        input.value
    }
}

/// A layer with DoRA; its weight is seen as a view once, as an op that reshapes would do.
fn layer(tape: &mut Tape, x: Value, index: usize, inputs: &mut Inputs) -> Value {
    let shapes: [(&str, &[usize]); 3] = [("up", &[CHANNELS, 4]), ("down", &[4, CHANNELS]), ("magnitude", &[CHANNELS])];
    let [up, down, magnitude] = shapes.map(|(name, shape)| inputs.add(tape, &format!("{name} {index}"), shape));
    inputs.trained.extend([up, down, magnitude]);
    let weight = inputs.add(tape, &format!("weight {index}"), &[CHANNELS, CHANNELS]);
    let scale = inputs.add(tape, &format!("scale {index}"), &[1]);
    let delta = ops::matmul(tape, up, down);
    let sum = ops::add_to_weight(tape, weight, 1, delta, scale);
    let shape = DoraShape { axis: DoraAxis::Out, taps: 1, detached: false };
    let weight = ops::dora(tape, sum, magnitude, shape);
    let view = tape.reshape(weight, &[CHANNELS * CHANNELS]);
    let weight = tape.reshape(view, &[CHANNELS, CHANNELS]);
    let y = ops::linear(tape, x, weight, None);
    ops::quick_gelu(tape, y)
}

/// Layers, each a block, and the gradients of what they train.
fn step(layers: usize, checkpointing: Checkpointing) -> (Tape, Inputs) {
    let mut tape = Tape::new();
    let mut inputs = Inputs::default();
    let mut x = inputs.add(&mut tape, "x", &[TOKENS, CHANNELS]);
    for index in 0..layers {
        x = tape.block(|tape| layer(tape, x, index, &mut inputs));
    }
    tape.keep("out", x);
    let upstream = inputs.add(&mut tape, "upstream", &[TOKENS, CHANNELS]);
    let gradients = tape.backward(&[(x, upstream)], &inputs.trained, checkpointing, ops::add);
    for (index, gradient) in gradients.into_iter().enumerate() {
        tape.keep(&format!("gradient {index}"), gradient.unwrap());
    }
    (tape, inputs)
}

fn plan(gpu: &Gpu, layers: usize, checkpointing: Checkpointing) -> Plan {
    Plan::new("step", step(layers, checkpointing).0, gpu.caps()).unwrap()
}

#[test]
fn memory_does_not_grow_by_a_weight_for_each_layer() {
    let gpu = &devices()[0].gpu;
    for checkpointing in MODES {
        let bytes = |layers| shared_bytes([&plan(gpu, layers, checkpointing)].into_iter());
        let (few, many) = (bytes(2), bytes(10));
        // Activations of a layer are an eighth of a weight.
        assert!(many - few < 8 * WEIGHT_BYTES / 4, "{checkpointing:?}: {few} bytes for 2 layers, {many} for 10");
    }
}

#[test]
fn every_weight_is_built_once_forward_and_once_backward() {
    let gpu = &devices()[0].gpu;
    for checkpointing in MODES {
        let plan = plan(gpu, 3, checkpointing);
        let launched = |file, entry| {
            plan.launches().filter(|launch| launch.kernel.file == file && launch.kernel.entry == entry).count()
        };
        assert_eq!(launched("add_to_weight.wgsl", "linear"), 6, "{checkpointing:?}");
        // Nobody wants the gradient of the first layer's input: its finished weight is built again only for a block.
        let finished = if checkpointing == Checkpointing::Blocks { 6 } else { 5 };
        assert_eq!(launched("dora.wgsl", "apply"), finished, "{checkpointing:?}");
    }
}

#[test]
fn gradients_are_the_same_bits_in_every_mode() {
    let gpu = &devices()[1].gpu;
    let gradients = |checkpointing| -> Vec<Vec<f32>> {
        let (tape, inputs) = step(3, checkpointing);
        let program = Program::compile(gpu, "step", tape).unwrap();
        for (seed, &(input, size)) in inputs.all.iter().enumerate() {
            program.write(gpu, input, &Tensor::random(&[size], seed as u64).data);
        }
        program.replay(gpu);
        (0..9).map(|index| program.read(gpu, &format!("gradient {index}")).unwrap()).collect()
    };
    let [off, cheap, blocks] = MODES.map(gradients);
    assert!(off.iter().flatten().all(|value| value.is_finite()) && off.iter().flatten().any(|value| *value != 0.0));
    assert!(off == cheap && off == blocks, "gradients depend on what is computed again");
}
