use lora_wgpu::{
    gpu::{Buffer, Gpu},
    ops,
    tape::{DType, Program, Tape},
};

use crate::support::devices;

/// The state after an update that found gradients `finite`, with an interval of three.
fn advanced(gpu: &Gpu, state: [f32; 4], finite: bool) -> [f32; 4] {
    let buffers = [state, [1.0, 1.0, f32::from(u8::from(finite)), state[0]]].map(|values| {
        let buffer = Buffer::declare("loss scale", 16);
        gpu.upload(&buffer.whole(), bytemuck::cast_slice(&values));
        buffer
    });
    let mut tape = Tape::new();
    let [state, clip] =
        [&buffers[0], &buffers[1]].map(|buffer| tape.external("value", &[4], DType::F32, &buffer.whole()));
    ops::advance_loss_scale(&mut tape, state, clip, 3);
    Program::compile(gpu, "loss scale", tape).unwrap().replay(gpu);
    let bytes = gpu.read(&buffers[0].whole()).unwrap();
    bytemuck::pod_collect_to_vec::<u8, f32>(&bytes).try_into().unwrap()
}

#[test]
fn halves_where_gradients_are_not_finite_and_doubles_after_the_interval() {
    for device in devices() {
        let after = |state, finite| advanced(&device.gpu, state, finite);
        assert_eq!(after([1024.0, 0.0, 0.0, 0.0], true), [1024.0, 1.0, 0.0, 0.0], "{}", device.name);
        assert_eq!(after([1024.0, 2.0, 0.0, 0.0], true), [2048.0, 0.0, 0.0, 0.0], "{}", device.name);
        assert_eq!(after([1024.0, 2.0, 0.0, 0.0], false), [512.0, 0.0, 0.0, 0.0], "{}", device.name);
        assert_eq!(after([16_777_216.0, 2.0, 0.0, 0.0], true), [16_777_216.0, 0.0, 0.0, 0.0], "{}", device.name);
    }
}
