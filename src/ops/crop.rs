//! The first rows and columns of a picture.

use crate::{
    gpu::{Access, Cost, KernelSpec},
    tape::{Backward, Lowering, Op, Tape, Value},
};

use super::{bands::flat_workgroups, quads::launch_quads};

/// Input `x`.
#[derive(Debug)]
struct Crop;

/// Input `d_out`.
#[derive(Debug)]
struct CropBackward;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    images: u32,
    source_height: u32,
    source_width: u32,
    height: u32,
    width: u32,
    quads: u32,
}

/// The top left `height` by `width` pixels of x `(B, H, W, C)`; x itself where nothing is cut.
///
/// # Panics
/// Where x is no picture or smaller, or C no multiple of four.
pub fn crop(tape: &mut Tape, x: Value, height: usize, width: usize) -> Value {
    let shape = tape.shape(x);
    let &[images, full_height, full_width, channels] = shape else { panic!("crop: {shape:?} is no picture") };
    assert!(height <= full_height && width <= full_width, "crop: {shape:?} to {height} × {width}");
    assert_eq!(channels % 4, 0, "crop: channels of {shape:?}");
    if (height, width) == (full_height, full_width) {
        return x;
    }
    tape.push_one(Crop, &[x], &[images, height, width, channels])
}

impl Op for Crop {
    fn name(&self) -> &'static str {
        "crop"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        launch(lowering, "forward", lowering.input(0), lowering.output(0));
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        let shape = backward.tape.shape(backward.input(0)).to_vec();
        let d_out = backward.d_output(0);
        let d_x = backward.tape.push_one(CropBackward, &[d_out], &shape);
        backward.give(0, d_x);
    }
}

impl Op for CropBackward {
    fn name(&self) -> &'static str {
        "crop_backward"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        launch(lowering, "backward", lowering.output(0), lowering.input(0));
    }
}

/// `full` is the picture before the crop, `kept` what is left of it; the kernel computes one from the other.
fn launch(lowering: &mut Lowering<'_>, entry: &'static str, full: Value, kept: Value) {
    let &[images, source_height, source_width, channels] = lowering.shape(full) else { panic!("crop: no picture") };
    let (height, width) = (lowering.shape(kept)[1], lowering.shape(kept)[2]);
    let params = Params {
        images: images as u32,
        source_height: source_height as u32,
        source_width: source_width as u32,
        height: height as u32,
        width: width as u32,
        quads: (channels / 4) as u32,
    };
    let (from, to) = if entry == "forward" { (full, kept) } else { (kept, full) };
    let elements = lowering.elements(to);
    let cost = Cost { flops: 0, bytes: 4 * (lowering.elements(from).min(elements) + elements) as u64 };
    let kernel = KernelSpec::new("crop.wgsl", entry, &[Access::Read, Access::Write]);
    launch_quads(lowering, from, &kernel, vec![from.into(), to.into()], &params, flat_workgroups(elements / 4), cost);
}
