//! Runs a recorded computation, with sentinels around everything it writes.

use half::f16;
use lora_wgpu::{
    gpu::{Buffer, BufferSlice, Gpu},
    ops,
    tape::{Checkpointing, DType, Program, Tape, Value},
};

use super::Tensor;

/// Bytes before and after each output that must stay as they are: one binding alignment.
const GUARD: u64 = 256;
const SENTINEL: f32 = 12_345.678;

/// Outputs of a case, and the gradients of its inputs.
pub struct Evaluated {
    pub outputs: Vec<Vec<f32>>,
    pub gradients: Vec<Option<Vec<f32>>>,
}

/// Runs `record` on `inputs` and returns what it returns.
pub fn evaluate(gpu: &Gpu, inputs: &[Tensor], record: impl Fn(&mut Tape, &[Value]) -> Vec<Value>) -> Vec<Vec<f32>> {
    run(gpu, inputs, &record, None, &[]).outputs
}

/// Runs `record`, whose first output has the gradient `upstream`, and differentiates by the inputs listed in `wanted`.
pub fn evaluate_with_gradients(
    gpu: &Gpu,
    inputs: &[Tensor],
    record: impl Fn(&mut Tape, &[Value]) -> Vec<Value>,
    upstream: &Tensor,
    wanted: &[usize],
) -> Evaluated {
    run(gpu, inputs, &record, Some(upstream), wanted)
}

fn run(
    gpu: &Gpu,
    inputs: &[Tensor],
    record: &dyn Fn(&mut Tape, &[Value]) -> Vec<Value>,
    upstream: Option<&Tensor>,
    wanted: &[usize],
) -> Evaluated {
    let mut tape = Tape::new();
    let values: Vec<Value> = inputs.iter().enumerate().map(|(i, tensor)| load(gpu, &mut tape, i, tensor)).collect();
    let outputs = record(&mut tape, &values);
    let mut gradients = vec![None; inputs.len()];
    if let Some(upstream) = upstream {
        let seed = load(gpu, &mut tape, inputs.len(), upstream);
        let sources: Vec<Value> = wanted.iter().map(|&index| values[index]).collect();
        let found = tape.backward(&[(outputs[0], seed)], &sources, Checkpointing::Off, ops::add);
        for (&index, gradient) in wanted.iter().zip(found) {
            gradients[index] = gradient;
        }
    }
    let guarded_outputs: Vec<Guarded> = outputs.iter().map(|&value| Guarded::place(gpu, &mut tape, value)).collect();
    let guarded_gradients: Vec<Option<Guarded>> =
        gradients.iter().map(|value| value.map(|value| Guarded::place(gpu, &mut tape, value))).collect();
    let program = Program::compile(gpu, "case", tape).expect("the case compiles");
    program.replay(gpu);
    // A second replay must not depend on what the first one left behind.
    program.replay(gpu);
    Evaluated {
        outputs: guarded_outputs.iter().map(|guarded| guarded.read(gpu)).collect(),
        gradients: guarded_gradients.iter().map(|guarded| guarded.as_ref().map(|guarded| guarded.read(gpu))).collect(),
    }
}

fn load(gpu: &Gpu, tape: &mut Tape, index: usize, tensor: &Tensor) -> Value {
    let mut bytes = tensor.device_bytes();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let buffer = Buffer::declare(format!("input {index}"), bytes.len() as u64);
    gpu.upload(&buffer.whole(), &bytes);
    tape.external(&format!("input {index}"), &tensor.shape, tensor.dtype, &buffer.whole())
}

/// An output that lies between sentinels.
struct Guarded {
    buffer: Buffer,
    bytes: u64,
    dtype: DType,
}

impl Guarded {
    fn place(gpu: &Gpu, tape: &mut Tape, value: Value) -> Self {
        let dtype = tape.dtype(value);
        let bytes = (dtype.bytes() * tape.elements(value)) as u64;
        let buffer = Buffer::declare("guarded output", GUARD + bytes + GUARD);
        let sentinels = vec![SENTINEL; (buffer.bytes() / 4) as usize];
        gpu.upload(&buffer.whole(), bytemuck::cast_slice(&sentinels));
        tape.place(value, &BufferSlice { buffer: buffer.clone(), offset: GUARD, bytes });
        Self { buffer, bytes, dtype }
    }

    fn read(&self, gpu: &Gpu) -> Vec<f32> {
        let all: Vec<f32> = bytemuck::pod_collect_to_vec(&gpu.read(&self.buffer.whole()).expect("the replay succeeds"));
        let start = (GUARD / 4) as usize;
        let end = start + (self.bytes / 4) as usize;
        let untouched = |part: &[f32]| part.iter().all(|&value| value == SENTINEL);
        assert!(untouched(&all[..start]) && untouched(&all[end..]), "a kernel wrote outside of its output");
        let bytes: &[u8] = bytemuck::cast_slice(&all[start..end]);
        match self.dtype {
            DType::F32 => bytemuck::pod_collect_to_vec(bytes),
            DType::F16 => bytes.chunks_exact(2).map(|pair| f16::from_le_bytes([pair[0], pair[1]]).to_f32()).collect(),
            DType::BF16 | DType::U32 => panic!("no op writes {:?}", self.dtype),
        }
    }
}
