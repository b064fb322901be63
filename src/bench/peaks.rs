//! What the device reaches at most, measured with kernels that do nothing else.

use anyhow::Result;

use crate::{
    gpu::{DeviceKind, Gpu, GpuError},
    ops,
    tape::{Program, Tape, Value},
};

use super::report::Peaks;

const REPEATS: usize = 5;

/// Measures arithmetic in registers and streaming through memory.
///
/// # Errors
/// A failure of the device.
pub fn measure(gpu: &Gpu) -> Result<Peaks> {
    let on_cpu = gpu.caps().kind == DeviceKind::Cpu;
    let rounds = if on_cpu { 64 } else { 1024 };
    let elements: usize = if on_cpu { 1 << 22 } else { 1 << 25 };
    let arithmetic = best_rates(gpu, 1 << 20, |tape, x| ops::multiply_add(tape, x, rounds, 0.5, 1.0))?;
    let streaming = best_rates(gpu, elements, |tape, x| ops::scale(tape, x, 0.5))?;
    Ok(Peaks { gflops: arithmetic.0, gigabytes_per_second: streaming.1 })
}

/// Best GFLOP/s and GB/s of a computation on `elements` values.
fn best_rates(
    gpu: &Gpu,
    elements: usize,
    record: impl FnOnce(&mut Tape, Value) -> Value,
) -> Result<(f64, f64), GpuError> {
    let mut tape = Tape::new();
    let x = tape.input("x", &[elements]);
    let out = record(&mut tape, x.value);
    tape.keep("out", out);
    let program = Program::compile(gpu, "peak", tape)?;
    program.write(gpu, x, &vec![1.0f32; elements]);
    let mut best = (0.0f64, 0.0f64);
    for _ in 0..REPEATS {
        let times = program.profile(gpu)?;
        let seconds: f64 = times.iter().map(|time| time.seconds).sum();
        let total = |of: fn(&crate::gpu::Cost) -> u64| times.iter().map(|time| of(&time.cost)).sum::<u64>() as f64;
        best.0 = best.0.max(total(|cost| cost.flops) * 1e-9 / seconds);
        best.1 = best.1.max(total(|cost| cost.bytes) * 1e-9 / seconds);
    }
    Ok(best)
}
