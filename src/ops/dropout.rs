//! Dropout of single elements, by random numbers that a counter gives (Srivastava et al. 2014).

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Backward, DType, Lowering, Op, Tape, Value},
};

use super::{
    bands::{flat_workgroups, vector_bands},
    quads::launch_quads,
};

/// Inputs `h`, `key`.
#[derive(Debug)]
struct Dropout {
    site: u32,
    rate: f32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
    first: u32,
    site: u32,
    threshold: u32,
    factor: f32,
}

/// `h`, of which each element is zero with probability `rate` and else multiplied by 1/(1 − `rate`), in any shape whose
/// number of elements is a multiple of 4; `h` itself where `rate` is 0.
///
/// Element 4·i + j is dropped where word j of Philox 4×32-10 (as `diffusion::philox`) for counter (i, `site`, 0, 0) under
/// `key` is below `rate`·2³²: `key` (2) in U32 is drawn anew for every step, `site` tells the places of one step apart. So the
/// mask is the same on every device, and backward, or a block that is computed again, has it without keeping it.
///
/// # Panics
/// Where `rate` is not in [0, 1), or `key` is no (2) in U32.
pub fn dropout(tape: &mut Tape, h: Value, key: Value, site: u32, rate: f32) -> Value {
    assert!((0.0..1.0).contains(&rate), "dropout: rate {rate}");
    assert_eq!((tape.shape(key), tape.dtype(key)), (&[2][..], DType::U32), "dropout: key");
    if rate == 0.0 {
        return h;
    }
    let shape = tape.shape(h).to_vec();
    tape.push_one(Dropout { site, rate }, &[h, key], &shape)
}

impl Op for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let (h, key, out) = (lowering.input(0), lowering.input(1), lowering.output(0));
        let kernel = KernelSpec::new("dropout.wgsl", "forward", &[Read, Read, Write]);
        let threshold = (f64::from(self.rate) * 2f64.powi(32)) as u32;
        let factor = 1.0 / (1.0 - self.rate);
        for band in vector_bands(lowering, h) {
            let elements = 4 * band.start..4 * band.end;
            let (count, first) = (band.len() as u32, band.start as u32);
            let params = Params { count, first, site: self.site, threshold, factor };
            let args = vec![h.part(elements.clone()), key.into(), out.part(elements)];
            let cost = Cost { flops: 200 * band.len() as u64, bytes: 32 * band.len() as u64 };
            launch_quads(lowering, h, &kernel, args, &params, flat_workgroups(band.len()), cost);
        }
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        // out = h ⊙ mask, so that d_h = d_out ⊙ mask
        let (d_out, key) = (backward.d_output(0), backward.input(1));
        let d_h = dropout(backward.tape, d_out, key, self.site, self.rate);
        backward.give(0, d_h);
    }
}
