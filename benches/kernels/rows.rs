//! The table of rows, and how one is verified and timed.

use std::time::Instant;

use lora_wgpu::{
    bench::processor_seconds,
    gpu::{Buffer, DeviceKind, Gpu, GpuOptions, Variant},
    tape::{DType, Program, Tape, Value},
};

/// Least time of a measurement: short rows are repeated before they are waited for, as a step does not wait either.
const LEAST_SECONDS: f64 = 0.02;

/// A tensor that a row reads: its shape and storage type.
pub type Operand = (Vec<usize>, DType);

/// Records a row's computation on its operands and gives the result.
pub type Record = dyn Fn(&mut Tape, &[Value]) -> Value;

/// One computation to time.
pub struct Row {
    pub name: String,
    pub operands: Vec<Operand>,
    pub record: Box<Record>,
    /// Largest relative L2 distance from the naive variant that is accepted.
    pub tolerance: f64,
}

/// One line per file of rows.
fn rows() -> Vec<Row> {
    let families: &[fn() -> Vec<Row>] = &[
        super::adapters::rows,
        super::attention::rows,
        super::conv::rows,
        super::elementwise::rows,
        super::gemm::rows,
        super::pictures::rows,
    ];
    families.iter().flat_map(|family| family()).collect()
}

/// Verifies and times every row whose name contains `filter`.
pub fn run(filter: Option<&str>) {
    let options = GpuOptions { shader_checks: Some(false), ..Default::default() };
    let open = |variant| Gpu::open(&GpuOptions { variant, ..options.clone() }).expect("a GPU or a CPU driver");
    let (reference, gpu) = (open(Some(Variant::Naive)), open(None));
    println!("{} ({}), {:?} kernels", gpu.summary().name, gpu.summary().driver, gpu.caps().variant);
    for row in rows().iter().filter(|row| filter.is_none_or(|filter| row.name.contains(filter))) {
        let expected = prepare(&reference, row);
        expected.replay(&reference);
        let expected = expected.read(&reference, "result").expect("the reference runs");
        let program = prepare(&gpu, row);
        program.replay(&gpu);
        let distance = distance(&program.read(&gpu, "result").expect("the row runs"), &expected);
        assert!(distance <= row.tolerance, "{}: {distance:.2e} from the naive variant", row.name);
        report(&gpu, row, &program, distance);
    }
}

fn prepare(gpu: &Gpu, row: &Row) -> Program {
    let mut tape = Tape::new();
    let values: Vec<Value> =
        row.operands.iter().enumerate().map(|(i, operand)| load(gpu, &mut tape, i, operand)).collect();
    let result = (row.record)(&mut tape, &values);
    tape.keep("result", result);
    Program::compile(gpu, &row.name, tape).expect("the row compiles")
}

/// Values between −1 and 1 that no kernel can exploit.
fn load(gpu: &Gpu, tape: &mut Tape, index: usize, (shape, dtype): &Operand) -> Value {
    let count: usize = shape.iter().product();
    let mut state = index as u32 + 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let bytes: Vec<u8> = match dtype {
        DType::F16 => (0..count).flat_map(|_| half::f16::from_f32(next()).to_le_bytes()).collect(),
        DType::BF16 => (0..count).flat_map(|_| half::bf16::from_f32(next()).to_le_bytes()).collect(),
        DType::F32 | DType::U32 => (0..count).flat_map(|_| next().to_le_bytes()).collect(),
    };
    let buffer = Buffer::declare(format!("operand {index}"), bytes.len() as u64);
    gpu.upload(&buffer.whole(), &bytes);
    tape.external(&format!("operand {index}"), shape, *dtype, &buffer.whole())
}

fn distance(actual: &[f32], expected: &[f32]) -> f64 {
    let square = |value: f32| f64::from(value) * f64::from(value);
    let difference: f64 = actual.iter().zip(expected).map(|(a, e)| square(a - e)).sum();
    (difference / expected.iter().map(|&e| square(e)).sum::<f64>()).sqrt()
}

fn report(gpu: &Gpu, row: &Row, program: &Program, distance: f64) {
    let once = program.replay_timed(gpu).expect("the row runs");
    let replays = (LEAST_SECONDS / once).ceil().max(1.0) as u32;
    let mut walls = Vec::new();
    let mut processor = Vec::new();
    for _ in 0..5 {
        let (start, before) = (Instant::now(), processor_seconds());
        for _ in 0..replays {
            program.replay(gpu);
        }
        gpu.wait().expect("the row runs");
        walls.push(start.elapsed().as_secs_f64() / f64::from(replays));
        processor.push((processor_seconds() - before) / f64::from(replays));
    }
    let on_cpu = gpu.caps().kind == DeviceKind::Cpu;
    let seconds = median(if on_cpu { processor } else { walls.clone() });
    let rate = program.flops() as f64 / seconds * 1e-9;
    let unit = if on_cpu { "GF per core-second" } else { "GF/s" };
    println!("{:56} {:9.3} ms {rate:9.1} {unit}   error {distance:.1e}", row.name, median(walls) * 1e3);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
