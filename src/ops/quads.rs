//! Element types of activations. Kernels read and write them four at a time, as `Quad`s, which an import defines.

use bytemuck::Pod;

use crate::{
    gpu::{Cost, KernelSpec},
    tape::{Arg, DType, Lowering, Value},
};

/// The shared shader file that defines `Quad` for a type.
///
/// # Panics
/// Where activations are never of this type.
pub fn quad_import(dtype: DType) -> &'static str {
    of_type(dtype, ["shared/quad_f32.wgsl", "shared/quad_f16.wgsl"])
}

/// The shared shader file that defines `Octet`, eight values at a time, for a type.
///
/// # Panics
/// As [`quad_import`].
pub fn octet_import(dtype: DType) -> &'static str {
    of_type(dtype, ["shared/octet_f32.wgsl", "shared/octet_f16.wgsl"])
}

/// The shared shader file that defines `ResultQuad` for a type.
///
/// # Panics
/// As [`quad_import`].
pub fn result_import(dtype: DType) -> &'static str {
    of_type(dtype, ["shared/result_f32.wgsl", "shared/result_f16.wgsl"])
}

fn of_type(dtype: DType, [f32, f16]: [&'static str; 2]) -> &'static str {
    match dtype {
        DType::F32 => f32,
        DType::F16 => f16,
        DType::BF16 | DType::U32 => panic!("activations are f32 or f16, not {dtype:?}"),
    }
}

/// Appends a launch of a kernel whose quads are of the type of `like`. `cost` counts their bytes as f32.
pub fn launch_quads(
    lowering: &mut Lowering<'_>,
    like: Value,
    kernel: &KernelSpec,
    args: Vec<Arg>,
    params: &impl Pod,
    workgroups: [u32; 3],
    cost: Cost,
) {
    let dtype = lowering.dtype(like);
    lowering.launch(kernel.clone().import(quad_import(dtype)), args, params, workgroups, cost_of(dtype, cost));
}

/// The cost with values of this type, given that with f32.
pub fn cost_of(dtype: DType, cost: Cost) -> Cost {
    Cost { bytes: cost.bytes * dtype.bytes() as u64 / DType::F32.bytes() as u64, ..cost }
}
