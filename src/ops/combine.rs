//! A linear combination with coefficients of each sample.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{DType, Lowering, Op, Tape, Value},
};

use super::bands::flat_workgroups;

#[derive(Debug)]
struct Combine;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
    per_sample: u32,
}

/// `c0·a + c1·b` for `a` and `b` (B, …) and `coefficients` (B, 2): noised latents from latents and noise, and the
/// target of v-prediction with other coefficients. It has no gradient: both come from the data.
///
/// # Panics
/// Where the shapes do not fit together, a value is not in f32, or a sample has no multiple of 4 elements.
pub fn combine(tape: &mut Tape, a: Value, b: Value, coefficients: Value) -> Value {
    assert!([a, b, coefficients].iter().all(|&value| tape.dtype(value) == DType::F32), "combine: all is F32");
    let shape = tape.shape(a).to_vec();
    assert_eq!(shape, tape.shape(b), "combine: shapes differ");
    assert_eq!(tape.shape(coefficients), [shape[0], 2], "combine: coefficients of {shape:?}");
    assert_eq!(tape.elements(a) / shape[0] % 4, 0, "combine: samples of {shape:?} are no multiple of 4");
    tape.push_one(Combine, &[a, b, coefficients], &shape)
}

impl Op for Combine {
    fn name(&self) -> &'static str {
        "combine"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [a, b, coefficients] = [0, 1, 2].map(|index| lowering.input(index));
        let out = lowering.output(0);
        let count = lowering.elements(out) / 4;
        let per_sample = count / lowering.shape(out)[0];
        let kernel = KernelSpec::new("combine.wgsl", "forward", &[Read, Read, Read, Write]);
        let args = vec![a.into(), b.into(), coefficients.into(), out.into()];
        let cost = Cost { flops: 12 * count as u64, bytes: 48 * count as u64 };
        let params = Params { count: count as u32, per_sample: per_sample as u32 };
        lowering.launch(kernel, args, &params, flat_workgroups(count), cost);
    }
}
