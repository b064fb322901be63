//! Sums that the op behind an addend computes on the way, against the same op with the sum on the host.

use lora_wgpu::{
    gpu::Gpu,
    ops::{self, ConvGeometry},
    tape::{Checkpointing, DType, Plan, Tape, Value},
};

use crate::support::{Device, Tensor, assert_close, devices, devices_and_bands, evaluate, evaluate_with_gradients};

/// Two results of the same kernel, one of them rounded once more.
const TOLERANCE: f64 = 3e-7;

/// An op from its first input to an output of the same shape.
struct Case {
    name: &'static str,
    inputs: Vec<Tensor>,
    op: fn(&mut Tape, &[Value]) -> Value,
    /// Whether the op itself can add, or only what computes its gradient.
    forward: bool,
}

fn cases() -> Vec<Case> {
    let random = |shapes: &[&[usize]]| -> Vec<Tensor> {
        shapes.iter().enumerate().map(|(seed, shape)| Tensor::random(shape, seed as u64 + 1)).collect()
    };
    let convolution = |tape: &mut Tape, v: &[Value]| ops::conv3x3(tape, v[0], v[1], Some(v[2]), ConvGeometry::Same);
    let without_bias = |tape: &mut Tape, v: &[Value]| ops::conv3x3(tape, v[0], v[1], None, ConvGeometry::Same);
    let case = |name, shapes: &[&[usize]], op| Case { name, inputs: random(shapes), op, forward: true };
    let norm = |name, shapes: &[&[usize]], op| Case { name, inputs: random(shapes), op, forward: false };
    vec![
        case("linear", &[&[37, 28], &[28, 28], &[28]], |tape, v| ops::linear(tape, v[0], v[1], Some(v[2]))),
        // So long a sum that the portable kernel cuts it into slices.
        case("long linear", &[&[5, 700], &[700, 700]], |tape, v| ops::linear(tape, v[0], v[1], None)),
        case("large linear", &[&[260, 256], &[256, 256]], |tape, v| ops::linear(tape, v[0], v[1], None)),
        case("lora_linear", &[&[37, 68], &[68, 68], &[4, 68], &[68, 4], &[1]], |tape, v| {
            ops::lora_linear(tape, v[0], v[1], None, v[2], v[3], v[4])
        }),
        case("conv3x3", &[&[2, 9, 15, 8], &[9, 8, 8], &[8]], convolution),
        case("conv3x3 without bias", &[&[2, 9, 15, 8], &[9, 8, 8]], without_bias),
        case("conv3x3 by Winograd", &[&[1, 24, 23, 64], &[9, 64, 64], &[64]], convolution),
        norm("group_norm", &[&[2, 5, 7, 24], &[24], &[24]], |tape, v| {
            ops::group_norm(tape, v[0], v[1], v[2], 8, 1e-5, true)
        }),
        norm("layer_norm", &[&[2, 37, 20], &[20], &[20]], |tape, v| ops::layer_norm(tape, v[0], v[1], v[2], 1e-5)),
    ]
}

/// op(x) + 2x, the op coming last.
fn after_its_addend(op: fn(&mut Tape, &[Value]) -> Value, tape: &mut Tape, v: &[Value]) -> Vec<Value> {
    let twice = ops::scale(tape, v[0], 2.0);
    let y = op(tape, v);
    vec![ops::add(tape, y, twice)]
}

/// op(x) + 2x, the op coming first, so that its gradient comes last.
fn before_its_addend(op: fn(&mut Tape, &[Value]) -> Value, tape: &mut Tape, v: &[Value]) -> Vec<Value> {
    let y = op(tape, v);
    let twice = ops::scale(tape, v[0], 2.0);
    vec![ops::add(tape, twice, y)]
}

/// The devices whose bindings hold the weights of a case: only activations are cut into bands.
fn devices_for(inputs: &[Tensor]) -> impl Iterator<Item = &'static Device> {
    let largest = inputs[1..].iter().map(|weight| 4 * weight.data.len() as u64).max();
    devices_and_bands().filter(move |device| Some(device.gpu.caps().max_binding) >= largest)
}

fn plus_twice(values: &[f32], other: &[f32]) -> Vec<f64> {
    values.iter().zip(other).map(|(value, other)| f64::from(*value) + 2.0 * f64::from(*other)).collect()
}

#[test]
fn an_op_adds_what_its_result_is_added_to() {
    for Case { name, inputs, op, .. } in cases().iter().filter(|case| case.forward) {
        for device in devices_for(inputs) {
            let alone = evaluate(&device.gpu, inputs, |tape, v| vec![op(tape, v)]);
            let sum = evaluate(&device.gpu, inputs, |tape, v| after_its_addend(*op, tape, v));
            let expected = plus_twice(&alone[0], &inputs[0].data);
            assert_close(&format!("{}: {name}", device.name), &sum[0], &expected, TOLERANCE);
        }
    }
}

#[test]
fn a_gradient_adds_what_other_paths_contribute() {
    for Case { name, inputs, op, .. } in &cases() {
        let upstream = Tensor::random(&inputs[0].shape, 9);
        for device in devices_for(inputs) {
            let alone = |tape: &mut Tape, v: &[Value]| vec![op(tape, v)];
            let alone = evaluate_with_gradients(&device.gpu, inputs, alone, &upstream, &[0]);
            let both = |tape: &mut Tape, v: &[Value]| before_its_addend(*op, tape, v);
            let both = evaluate_with_gradients(&device.gpu, inputs, both, &upstream, &[0]);
            let expected = plus_twice(alone.gradients[0].as_ref().unwrap(), &upstream.data);
            let what = format!("{}: d {name}", device.name);
            assert_close(&what, both.gradients[0].as_ref().unwrap(), &expected, TOLERANCE);
        }
    }
}

/// How many sums are launched for op(x) + 2x; `kept`: where the op's own result is read too.
fn sums_forward(gpu: &Gpu, case: &Case, kept: bool) -> usize {
    let (mut tape, inputs) = with_inputs(case);
    let twice = ops::scale(&mut tape, inputs[0], 2.0);
    let y = (case.op)(&mut tape, &inputs);
    let out = ops::add(&mut tape, y, twice);
    tape.keep("out", out);
    if kept {
        tape.keep("own result", y);
    }
    launched_sums(gpu, tape)
}

/// How many sums are launched for its gradient.
fn sums_backward(gpu: &Gpu, case: &Case) -> usize {
    let (mut tape, inputs) = with_inputs(case);
    let out = before_its_addend(case.op, &mut tape, &inputs)[0];
    let upstream = tape.input("upstream", &case.inputs[0].shape).value;
    let gradients = tape.backward(&[(out, upstream)], &inputs[..1], Checkpointing::Off, ops::add);
    tape.keep("d_x", gradients[0].unwrap());
    launched_sums(gpu, tape)
}

fn with_inputs(case: &Case) -> (Tape, Vec<Value>) {
    let mut tape = Tape::new();
    let inputs = case.inputs.iter().enumerate();
    let values = inputs.map(|(index, input)| tape.input(&format!("input {index}"), &input.shape).value).collect();
    (tape, values)
}

fn launched_sums(gpu: &Gpu, tape: Tape) -> usize {
    let plan = Plan::new("sums", tape, gpu.caps()).unwrap();
    plan.launches().filter(|launch| launch.kernel.file == "add.wgsl").count()
}

#[test]
fn no_sum_is_launched_but_where_somebody_else_reads_its_addend() {
    let device = &devices()[0];
    for case in &cases() {
        assert_eq!(sums_backward(&device.gpu, case), 0, "d {}", case.name);
        assert_eq!(sums_forward(&device.gpu, case, false), usize::from(!case.forward), "{}", case.name);
        assert_eq!(sums_forward(&device.gpu, case, true), 1, "{} with its result kept", case.name);
    }
}

#[test]
fn halves_are_rounded_once() {
    for device in devices() {
        let inputs = [
            Tensor::random(&[37, 68], 1).stored_as(DType::F16),
            Tensor::random(&[68, 68], 2),
            Tensor::random(&[37, 68], 3).stored_as(DType::F16),
        ];
        let linear = |tape: &mut Tape, v: &[Value]| ops::linear(tape, v[0], v[1], None);
        let exact =
            evaluate(&device.gpu, &inputs.clone().map(|input| Tensor { dtype: DType::F32, ..input }), |tape, v| {
                vec![linear(tape, v)]
            });
        let sum = evaluate(&device.gpu, &inputs, |tape, v| {
            let twice = ops::scale(tape, v[2], 2.0);
            let y = linear(tape, v);
            vec![ops::add(tape, y, twice)]
        });
        for (sum, expected) in sum[0].iter().zip(plus_twice(&exact[0], &inputs[2].data)) {
            let rounding = expected.abs() * 2f64.powi(-11) + 1e-5;
            assert!((f64::from(*sum) - expected).abs() <= rounding, "{}: {sum} for {expected}", device.name);
        }
    }
}
