//! Kernels that reduce along rows: a workgroup per row on GPUs, an invocation per row on CPU drivers.

use bytemuck::Pod;

use crate::{
    gpu::{Access, Cost, KernelSpec, Variant},
    tape::{Arg, Lowering},
};

use super::{
    bands::{flat_workgroups, workgroup_grid},
    quads::launch_quads,
};

/// The two entry points of a row kernel: one workgroup per row, and one invocation per row.
pub struct RowKernel {
    pub file: &'static str,
    pub by_workgroup: &'static str,
    pub by_row: &'static str,
    pub bindings: &'static [Access],
}

impl RowKernel {
    /// Launches the entry point that suits the device over `rows` rows; the first of `args` has the type of all quads.
    pub fn launch(&self, lowering: &mut Lowering<'_>, rows: usize, args: Vec<Arg>, params: &impl Pod, cost: Cost) {
        let (entry, workgroups) = match lowering.caps().variant {
            Variant::Portable => (self.by_workgroup, workgroup_grid(rows)),
            Variant::Naive | Variant::CpuDriver => (self.by_row, flat_workgroups(rows)),
        };
        let kernel = KernelSpec::new(self.file, entry, self.bindings);
        launch_quads(lowering, args[0].value, &kernel, args, params, workgroups, cost);
    }
}
