//! The gated GELU of the feed-forward blocks (Shazeer 2020).

use std::ops::Range;

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Backward, Lowering, Op, Tape, Value},
};

use super::{
    bands::{BAND_ALIGNMENT, bands, flat_workgroups},
    quads::launch_quads,
};

#[derive(Debug)]
struct Geglu;

#[derive(Debug)]
struct GegluBackward;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
    columns: u32,
}

/// `value·gelu(gate)` (…, F) of `x` (…, 2F), whose rows hold value, then gate.
///
/// # Panics
/// Where F is no multiple of 4.
pub fn geglu(tape: &mut Tape, x: Value) -> Value {
    let mut shape = tape.shape(x).to_vec();
    let width = shape.last_mut().expect("geglu of a scalar");
    assert_eq!(*width % 8, 0, "geglu: half of {width} channels is no multiple of 4");
    *width /= 2;
    tape.push_one(Geglu, &[x], &shape)
}

impl Op for Geglu {
    fn name(&self) -> &'static str {
        "geglu"
    }

    fn is_cheap(&self) -> bool {
        true
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let (x, out) = (lowering.input(0), lowering.output(0));
        let kernel = KernelSpec::new("geglu.wgsl", "forward", &[Read, Write]);
        for band in row_bands(lowering, out) {
            let args = vec![x.part(band.wide), out.part(band.narrow)];
            let count = 4 * u64::from(band.params.count);
            let cost = Cost { flops: 25 * count, bytes: 12 * count };
            launch_quads(lowering, x, &kernel, args, &band.params, flat_workgroups(band.params.count as usize), cost);
        }
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        let (x, d_out) = (backward.input(0), backward.d_output(0));
        let shape = backward.tape.shape(x).to_vec();
        let d_x = backward.tape.push_one(GegluBackward, &[x, d_out], &shape);
        backward.give(0, d_x);
    }
}

impl Op for GegluBackward {
    fn name(&self) -> &'static str {
        "geglu_backward"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let (x, d_out, d_x) = (lowering.input(0), lowering.input(1), lowering.output(0));
        let kernel = KernelSpec::new("geglu.wgsl", "backward", &[Read, Read, Write]);
        for band in row_bands(lowering, d_out) {
            let args = vec![x.part(band.wide.clone()), d_out.part(band.narrow), d_x.part(band.wide)];
            let count = 4 * u64::from(band.params.count);
            let cost = Cost { flops: 30 * count, bytes: 20 * count };
            launch_quads(lowering, x, &kernel, args, &band.params, flat_workgroups(band.params.count as usize), cost);
        }
    }
}

/// One launch: its elements of the (rows, 2F) values and of the (rows, F) values.
struct Band {
    wide: Range<usize>,
    narrow: Range<usize>,
    params: Params,
}

/// Bands of rows, given a value of shape (…, F).
fn row_bands(lowering: &Lowering<'_>, narrow: Value) -> impl Iterator<Item = Band> + use<> {
    let width = *lowering.shape(narrow).last().expect("a shape (…, F)");
    let rows = lowering.elements(narrow) / width;
    let wide_row = 8 * width as u64;
    // Twice the alignment for rows of 2F keeps the rows of F aligned.
    bands(rows, wide_row, lowering.caps().max_binding, 2 * BAND_ALIGNMENT).map(move |band| {
        let (start, end) = (band.start * width, band.end * width);
        let columns = width / 4;
        let params = Params { count: (band.len() * columns) as u32, columns: columns as u32 };
        Band { wide: 2 * start..2 * end, narrow: start..end, params }
    })
}
