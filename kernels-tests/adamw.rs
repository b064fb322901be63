use lora_wgpu::{
    gpu::{Buffer, Gpu},
    ops::{self, AdamWSettings, AdamWState},
    tape::{DType, Input, Program, Tape},
};

use crate::support::{Fixture, assert_close, devices};

const SETTINGS: AdamWSettings = AdamWSettings { lr: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.1 };

/// A program that clips, then updates three buffers: parameters, m, v.
struct Optimizer<'a> {
    gpu: &'a Gpu,
    program: Program,
    inputs: [Input; 4],
    buffers: [Buffer; 3],
}

impl<'a> Optimizer<'a> {
    fn new(gpu: &'a Gpu, parameters: &[f32]) -> Self {
        let count = parameters.len();
        let buffers = ["parameters", "m", "v"].map(|name| Buffer::declare(name, 4 * count as u64));
        gpu.upload(&buffers[0].whole(), bytemuck::cast_slice(parameters));
        for state in &buffers[1..] {
            gpu.clear(&state.whole());
        }
        let mut tape = Tape::new();
        let external =
            |tape: &mut Tape, buffer: &Buffer| tape.external(buffer.label(), &[count], DType::F32, &buffer.whole());
        let [parameters, m, v] = [0, 1, 2].map(|index| external(&mut tape, &buffers[index]));
        let gradients = tape.input("gradients", &[count]);
        let max_norm = tape.input("max_norm", &[1]);
        let settings = tape.input("settings", &[16]);
        let loss_scale = tape.input("loss_scale", &[1]);
        let clip = ops::grad_norm(&mut tape, &[gradients.value], max_norm.value, loss_scale.value);
        ops::adamw(&mut tape, AdamWState { parameters, m, v }, gradients.value, clip, settings.value);
        tape.keep("clip", clip);
        let inputs = [gradients, max_norm, loss_scale, settings];
        Self { gpu, program: Program::compile(gpu, "optimizer", tape).unwrap(), inputs, buffers }
    }

    /// Takes step number `step` and returns norm, factor, finite.
    fn step(&self, step: u64, gradients: &[f32]) -> Vec<f32> {
        let [gradients_input, max_norm, loss_scale, settings] = self.inputs;
        self.program.write(self.gpu, gradients_input, gradients);
        self.program.write(self.gpu, max_norm, &[1f32]);
        self.program.write(self.gpu, loss_scale, &[1f32]);
        self.program.write(self.gpu, settings, &[SETTINGS.at_step(step), [0.0; 8]].concat());
        self.program.replay(self.gpu);
        self.program.read(self.gpu, "clip").unwrap()
    }

    fn state(&self) -> [Vec<f32>; 3] {
        [0, 1, 2].map(|index| bytemuck::pod_collect_to_vec(&self.gpu.read(&self.buffers[index].whole()).unwrap()))
    }
}

#[test]
fn five_clipped_steps_match_pytorch() {
    let fixture = Fixture::open("adamw");
    for device in devices() {
        let optimizer = Optimizer::new(&device.gpu, &fixture.tensor("parameters").data);
        for step in 1..=5 {
            let clip = optimizer.step(step, &fixture.tensor(&format!("{step}/gradients")).data);
            let what = format!("step {step} on {}", device.name);
            assert_close(&what, &clip[..1], &fixture.expected(&format!("{step}/norm")), 1e-6);
            for (name, actual) in ["parameters", "m", "v"].into_iter().zip(optimizer.state()) {
                let expected = fixture.expected(&format!("{step}/{name}"));
                assert_close(&format!("{name} of {what}"), &actual, &expected, 1e-6);
            }
        }
    }
}

#[test]
fn gradients_that_are_not_finite_touch_nothing() {
    let parameters: Vec<f32> = (0..1000).map(|i| i as f32 * 0.01).collect();
    for device in devices() {
        let optimizer = Optimizer::new(&device.gpu, &parameters);
        let mut gradients = vec![0.1; 1000];
        optimizer.step(1, &gradients);
        let before = optimizer.state();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38] {
            gradients[777] = bad;
            let clip = optimizer.step(2, &gradients);
            assert_eq!(clip[1..3], [0.0, 0.0], "{bad} on {}", device.name);
            assert!(optimizer.state() == before, "{bad} on {}", device.name);
        }
    }
}
