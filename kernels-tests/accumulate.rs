use lora_wgpu::{
    gpu::Buffer,
    ops,
    tape::{DType, Program, Tape},
};

use crate::support::{Tensor, assert_close, devices_and_bands};

#[test]
fn replays_add_up() {
    let gradients = Tensor::random(&[1500, 4], 1);
    for device in devices_and_bands() {
        let buffer = Buffer::declare("sum", 4 * gradients.data.len() as u64);
        device.gpu.clear(&buffer.whole());
        let mut tape = Tape::new();
        let sum = tape.external("sum", &gradients.shape, DType::F32, &buffer.whole());
        let input = tape.input("gradients", &gradients.shape);
        ops::accumulate(&mut tape, sum, input.value);
        let program = Program::compile(&device.gpu, "accumulate", tape).unwrap();
        program.write(&device.gpu, input, &gradients.data);
        for _ in 0..3 {
            program.replay(&device.gpu);
        }
        let actual: Vec<f32> = bytemuck::pod_collect_to_vec(&device.gpu.read(&buffer.whole()).unwrap());
        let expected: Vec<f64> = gradients.data.iter().map(|&g| 3.0 * f64::from(g)).collect();
        assert_close(device.name, &actual, &expected, 1e-6);
    }
}
