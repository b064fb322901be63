//! The kernels that own rows and never write a score: one row per invocation (the naive check of the others); flash
//! attention, whose workgroups own a tile of rows; and for software drivers subgroups whose lanes own some rows each.

use std::ops::Range;

use crate::{
    gpu::{Access, KernelSpec, Variant},
    tape::{Lowering, Value},
};

use super::{
    super::{
        bands::flat_workgroups,
        quads::{launch_quads, octet_import},
    },
    geometry::{Geometry, Saved, Wanted},
    tile::{self, Pass, Tile},
};

use Access::{Read, Write};

/// A kernel, and how many rows each of its workgroups owns; without a number, each invocation owns a row.
struct RowKernel {
    spec: KernelSpec,
    workgroup_rows: Option<usize>,
}

impl RowKernel {
    fn new(lowering: &Lowering<'_>, pass: Pass, geometry: &Geometry) -> Self {
        let (flash_file, cpu_file, entry, bindings): (_, _, _, &[Access]) = match pass {
            Pass::Forward => {
                ("attention_flash.wgsl", "attention_cpu.wgsl", "forward", &[Read, Read, Read, Write, Write])
            }
            Pass::Query => (
                "attention_flash_query.wgsl",
                "attention_cpu_query.wgsl",
                "backward_query",
                &[Read, Read, Read, Read, Read, Read, Write],
            ),
            Pass::Keys => (
                "attention_flash_keys.wgsl",
                "attention_cpu_keys.wgsl",
                "backward_keys",
                &[Read, Read, Read, Read, Read, Read, Write, Write],
            ),
        };
        let of = |file| geometry.constants(KernelSpec::new(file, entry, bindings));
        match lowering.caps().variant {
            Variant::Naive => Self { spec: of("attention_naive.wgsl"), workgroup_rows: None },
            Variant::Portable => {
                let tile = Tile::of(pass, geometry.head);
                let spec = tile.constants(of(flash_file), geometry.head);
                Self { spec, workgroup_rows: Some(tile.workgroup_rows()) }
            }
            Variant::CpuDriver => {
                let rows = tile::lane_rows(pass, geometry.head);
                let import = octet_import(lowering.dtype(lowering.input(0)));
                let spec = of(cpu_file).constant("ROWS", rows as u32).import(import);
                Self { spec, workgroup_rows: Some(tile::LANES * rows) }
            }
        }
    }

    /// Workgroups over `rows` rows of every head of the pictures of `band`.
    fn workgroups(&self, rows: usize, geometry: &Geometry, band: &Range<usize>) -> [u32; 3] {
        match self.workgroup_rows {
            None => flat_workgroups(band.len() * geometry.heads * rows),
            Some(own) => [rows.div_ceil(own) as u32, geometry.heads as u32, band.len() as u32],
        }
    }
}

pub(super) fn forward(lowering: &mut Lowering<'_>, geometry: &Geometry) {
    let [q, k, v] = [0, 1, 2].map(|index| lowering.input(index));
    let (out, lse) = (lowering.output(0), lowering.output(1));
    let kernel = RowKernel::new(lowering, Pass::Forward, geometry);
    for band in geometry.bands(lowering.caps().max_binding) {
        let (query, key) = (|value| geometry.query_band(value, &band), |value| geometry.key_band(value, &band));
        let args = vec![query(q), key(k), key(v), query(out), lse.into()];
        let workgroups = kernel.workgroups(geometry.queries, geometry, &band);
        let cost = geometry.cost(&band, 2, 2, 2);
        launch_quads(lowering, q, &kernel.spec, args, &geometry.params(&band), workgroups, cost);
    }
}

/// delta = rowsum(d_out ∘ out), which the softmax's gradient subtracts in every family of kernels.
pub(super) fn delta(lowering: &mut Lowering<'_>, geometry: &Geometry, out: Value, saved: &Saved) {
    let kernel = geometry.constants(KernelSpec::new("attention_delta.wgsl", "forward", &[Read, Read, Write]));
    for band in geometry.bands(lowering.caps().max_binding) {
        let query = |value| geometry.query_band(value, &band);
        let args = vec![query(out), query(saved.d_out), saved.delta.into()];
        let workgroups = flat_workgroups(band.len() * geometry.heads * geometry.queries);
        let cost = geometry.cost(&band, 0, 2, 0);
        launch_quads(lowering, out, &kernel, args, &geometry.params(&band), workgroups, cost);
    }
}

pub(super) fn backward(lowering: &mut Lowering<'_>, geometry: &Geometry, saved: &Saved, wanted: &Wanted) {
    if let Some(d_q) = wanted.d_q {
        backward_pass(lowering, geometry, saved, Pass::Query, &[d_q]);
    }
    if let Some((d_k, d_v)) = wanted.d_k_v {
        backward_pass(lowering, geometry, saved, Pass::Keys, &[d_k, d_v]);
    }
}

fn backward_pass(lowering: &mut Lowering<'_>, geometry: &Geometry, saved: &Saved, pass: Pass, outputs: &[Value]) {
    let kernel = RowKernel::new(lowering, pass, geometry);
    for band in geometry.bands(lowering.caps().max_binding) {
        let (query, key) = (|value| geometry.query_band(value, &band), |value| geometry.key_band(value, &band));
        let mut args = vec![query(saved.q), key(saved.k), key(saved.v), query(saved.d_out)];
        args.extend([saved.lse.into(), saved.delta.into()]);
        let (workgroups, cost) = if pass == Pass::Query {
            args.extend(outputs.iter().map(|&value| query(value)));
            // Scores, gradients of probabilities, d_q.
            (kernel.workgroups(geometry.queries, geometry, &band), geometry.cost(&band, 3, 3, 2))
        } else {
            args.extend(outputs.iter().map(|&value| key(value)));
            // Scores, gradients of probabilities, d_k, d_v.
            (kernel.workgroups(geometry.keys, geometry, &band), geometry.cost(&band, 4, 2, 4))
        };
        launch_quads(lowering, saved.q, &kernel.spec, args, &geometry.params(&band), workgroups, cost);
    }
}
