//! The bound on a LoRA's norm (kohya's `scale_weight_norms`).

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{DType, Lowering, Op, Tape, Value},
};

use super::bands::flat_workgroups;

const FILE: &str = "cap_norm.wgsl";

/// A LoRA's matrices, which lie in buffers that outlive the program.
#[derive(Clone, Copy, Debug)]
pub struct Capped {
    /// (r, in·taps), f32.
    pub down: Value,
    /// (out, r), f32.
    pub up: Value,
    /// (1): what their product is multiplied by.
    pub scale: Value,
}

#[derive(Debug)]
struct CapNorm;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    rows: u32,
    columns: u32,
    rank: u32,
}

/// Multiplies `down` and `up` of a LoRA in place by √(`largest`/n) where n = ‖scale·up·down‖ (Frobenius) exceeds `largest`
/// (1), as kohya's `apply_max_norm_regularization`; nothing is touched where [`super::grad_norm`] found (`clip`) that
/// gradients are not finite. Any rank; the work grows by its square times in·taps + out.
///
/// # Panics
/// Where shapes or types do not fit, or r, in·taps or out is no multiple of 4.
pub fn cap_norm(tape: &mut Tape, lora: Capped, largest: Value, clip: Value) {
    let Capped { down, up, scale } = lora;
    let (shape, of_up) = (tape.shape(down).to_vec(), tape.shape(up).to_vec());
    let &[rank, columns] = &shape[..] else { panic!("cap_norm: down of shape {shape:?} is no matrix") };
    assert!(of_up.len() == 2 && of_up[1] == rank, "cap_norm: up of shape {of_up:?} for down of shape {shape:?}");
    assert!(
        [rank, columns, of_up[0]].iter().all(|size| size % 4 == 0),
        "cap_norm: {shape:?} or {of_up:?} is not padded"
    );
    assert_eq!([down, up].map(|value| tape.dtype(value)), [DType::F32; 2], "cap_norm: types of down and up");
    let sizes = [scale, largest, clip].map(|value| tape.elements(value));
    assert_eq!(sizes, [1, 1, 4], "cap_norm: sizes of scale, largest and clip");
    tape.push_effect(CapNorm, &[down, up, scale, largest, clip]);
}

impl Op for CapNorm {
    fn name(&self) -> &'static str {
        "cap_norm"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let [down, up, scale, largest, clip] = [0, 1, 2, 3, 4].map(|index| lowering.input(index));
        let &[rank, columns] = lowering.shape(down) else { unreachable!("checked while recording") };
        let rows = lowering.shape(up)[0];
        let quads = rank / 4;
        let params = Params { rows: rows as u32, columns: (columns / 4) as u32, rank: quads as u32 };
        let partials = lowering.scratch("squares", &[quads, quads]);

        let kernel = KernelSpec::new(FILE, "measure", &[Read, Read, Write]);
        let pairs = (quads * (quads + 1) / 2) as u64;
        let sizes = (rows + columns) as u64;
        let cost = Cost { flops: 32 * pairs * sizes, bytes: 32 * pairs * sizes };
        let args = vec![down.into(), up.into(), partials.into()];
        lowering.launch(kernel, args, &params, [quads as u32, quads as u32, 1], cost);

        let kernel = KernelSpec::new(FILE, "apply", &[Write, Write, Read, Read, Read, Read]);
        let vectors = quads * (rows + columns);
        let cost = Cost { flops: 4 * vectors as u64, bytes: 32 * vectors as u64 };
        let args = [down, up, partials, scale, largest, clip].map(Into::into).to_vec();
        lowering.launch(kernel, args, &params, flat_workgroups(vectors), cost);
    }
}
