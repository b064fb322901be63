//! A check at start-up that a device's fast kernels compute what the naive ones do.
//!
//! Drivers differ, and a wrong result looks like a bad picture rather than an error. So each family of fast kernels
//! (GEMM in its three layouts, convolution, attention, with their gradients) runs once on a small awkward shape.

use thiserror::Error;

use crate::{
    gpu::{Caps, Gpu, GpuError, Variant},
    tape::{Checkpointing, Input, Plan, Program, Tape, Value},
};

use super::{ConvGeometry, Mask, add, attention, conv3x3, lora_linear};

/// Largest relative L2 distance from the naive kernels: sums in another order differ by about 1e-6, a wrong kernel by
/// far more.
const TOLERANCE: f64 = 1e-4;

/// Why a kernel variant is not to be trusted on a device.
#[derive(Debug, Error)]
pub enum SelfTestError {
    #[error("{case}: `{result}` is {distance:.1e} (relative) away from the naive kernels, {TOLERANCE:.0e} is accepted")]
    Wrong { case: &'static str, result: String, distance: f64 },
    #[error("{case} failed")]
    Failed { case: &'static str, source: GpuError },
}

/// One computation: its operands' shapes, how it is recorded, and the operands it is differentiated by.
struct Case {
    name: &'static str,
    operands: &'static [&'static [usize]],
    record: fn(&mut Tape, &[Value]) -> Value,
    wanted: &'static [usize],
}

/// `lora_linear` and its gradients need A·Bᵀ, A·B and Aᵀ·B. Sizes are no multiples of a tile.
const CASES: [Case; 3] = [
    Case {
        name: "lora_linear",
        operands: &[&[37, 68], &[132, 68], &[132], &[4, 68], &[132, 4], &[1]],
        record: |tape, v| lora_linear(tape, v[0], v[1], Some(v[2]), v[3], v[4], v[5]),
        wanted: &[0, 3, 4],
    },
    Case {
        name: "conv3x3",
        operands: &[&[1, 9, 7, 12], &[9, 12, 36], &[36]],
        record: |tape, v| conv3x3(tape, v[0], v[1], Some(v[2]), ConvGeometry::Same),
        wanted: &[0],
    },
    Case {
        name: "attention",
        operands: &[&[1, 37, 32], &[1, 21, 32], &[1, 21, 32]],
        record: |tape, v| attention(tape, v[0], v[1], v[2], 2, Mask::None),
        wanted: &[0, 1, 2],
    },
];

/// Holds the device's kernels against the naive ones. A variant that fails is given up for the portable one, and the
/// line that is returned says so; `None` means that the variant in use has passed.
///
/// # Errors
/// Where the portable kernels fail as well: the device is not to be used.
pub fn self_test(gpu: &mut Gpu) -> Result<Option<String>, SelfTestError> {
    let variant = gpu.caps().variant;
    match check(gpu, variant) {
        Ok(()) => Ok(None),
        Err(error) if variant == Variant::Portable => Err(error),
        Err(error) => {
            gpu.set_variant(Variant::Portable);
            check(gpu, Variant::Portable)?;
            let reason = anyhow::Error::from(error);
            Ok(Some(format!("the {variant} kernels failed: {reason:#}; the portable ones are used instead")))
        }
    }
}

/// Runs every case in `variant` and in the naive variant.
fn check(gpu: &Gpu, variant: Variant) -> Result<(), SelfTestError> {
    for case in &CASES {
        let failed = |source| SelfTestError::Failed { case: case.name, source };
        let expected = results(gpu, case, Variant::Naive).map_err(failed)?;
        let actual = results(gpu, case, variant).map_err(failed)?;
        compare(case.name, &actual, &expected)?;
    }
    Ok(())
}

/// A result of a case, by name.
type Named = (String, Vec<f32>);

fn compare(case: &'static str, actual: &[Named], expected: &[Named]) -> Result<(), SelfTestError> {
    for ((result, actual), (_, expected)) in actual.iter().zip(expected) {
        let distance = distance(actual, expected);
        // A distance that is no number is beyond every tolerance.
        if !distance.is_finite() || distance > TOLERANCE {
            return Err(SelfTestError::Wrong { case, result: result.clone(), distance });
        }
    }
    Ok(())
}

/// The output and the gradients of a case, by name.
fn results(gpu: &Gpu, case: &Case, variant: Variant) -> Result<Vec<Named>, GpuError> {
    let caps = Caps { variant, ..gpu.caps().clone() };
    let (tape, inputs) = record(case);
    let names = ["out".to_owned()].into_iter().chain(case.wanted.iter().map(|index| format!("d operand {index}")));
    let plan = Plan::new(case.name, tape, &caps)?;
    let program = Program::build(gpu, vec![plan])?.remove(0);
    for (seed, &(input, elements)) in inputs.iter().enumerate() {
        program.write(gpu, input, &values(elements, seed as u32));
    }
    program.replay(gpu);
    names.map(|name| program.read(gpu, &name).map(|values| (name, values))).collect()
}

/// The recorded case, with its inputs and their element counts.
fn record(case: &Case) -> (Tape, Vec<(Input, usize)>) {
    let mut tape = Tape::new();
    let named = case.operands.iter().enumerate().map(|(index, shape)| (format!("operand {index}"), *shape));
    let mut inputs: Vec<Input> = named.map(|(name, shape)| tape.input(&name, shape)).collect();
    let operands: Vec<Value> = inputs.iter().map(|input| input.value).collect();
    let out = (case.record)(&mut tape, &operands);
    tape.keep("out", out);
    let shape = tape.shape(out).to_vec();
    let upstream = tape.input("upstream", &shape);
    let wanted: Vec<Value> = case.wanted.iter().map(|&index| operands[index]).collect();
    let gradients = tape.backward(&[(out, upstream.value)], &wanted, Checkpointing::Off, add);
    for (index, gradient) in case.wanted.iter().zip(gradients) {
        tape.keep(&format!("d operand {index}"), gradient.expect("every wanted operand leads to the output"));
    }
    inputs.push(upstream);
    let sizes = inputs.into_iter().map(|input| (input, tape.elements(input.value))).collect();
    (tape, sizes)
}

/// Values between −1 and 1, other ones for another seed.
fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// ‖actual − expected‖ / ‖expected‖.
fn distance(actual: &[f32], expected: &[f32]) -> f64 {
    let square = |value: f32| f64::from(value) * f64::from(value);
    let difference: f64 = actual.iter().zip(expected).map(|(a, e)| square(a - e)).sum();
    (difference / expected.iter().map(|&e| square(e)).sum::<f64>()).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::GpuOptions;

    #[test]
    fn the_portable_kernels_pass_and_so_does_the_variant_of_this_device() {
        for variant in [None, Some(Variant::Portable)] {
            let mut gpu = Gpu::open(&GpuOptions { variant, ..Default::default() }).expect("the tests need a driver");
            let chosen = gpu.caps().variant;
            assert_eq!(self_test(&mut gpu).expect("right results"), None);
            assert_eq!(gpu.caps().variant, chosen);
        }
    }

    #[test]
    fn wrong_and_undefined_results_are_noticed() {
        let results = |values: [f32; 2]| [("out".to_owned(), values.to_vec())];
        let expected = results([1.0, -2.0]);
        assert!(compare("case", &results([1.0, -2.000_001]), &expected).is_ok());
        for wrong in [[1.0, -2.01], [1.0, f32::NAN], [0.0, 0.0]] {
            let error = compare("case", &results(wrong), &expected).expect_err("a wrong result");
            assert!(error.to_string().starts_with("case: `out` is "), "{error}");
        }
    }
}
