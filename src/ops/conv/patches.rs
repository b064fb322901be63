//! The gradient of a convolution's weight: the 3×3 pixels that each output pixel reads, gathered into the rows of a
//! matrix, and the product of that matrix, transposed, with the output's gradient.

use std::ops::Range;

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Arg, Lowering, Value},
};

use super::{
    super::{
        bands::{BAND_ALIGNMENT, aligned_rows, flat_workgroups},
        gemm::{Gemm, Layout, Operand, launch_bound_gemm},
        quads::launch_quads,
    },
    ConvGeometry,
    launch::Picture,
    phase::Axis,
};

/// Bytes of the gathered rows that are multiplied at once: nine times the input is more than a step should hold.
const BAND_BYTES: usize = 32 << 20;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
    quads: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    stride: u32,
    pad: u32,
    first_pixel: u32,
    source_start: u32,
}

/// The pictures of one convolution.
pub(super) struct Patches {
    pub geometry: ConvGeometry,
    pub images: usize,
    pub x: Picture,
    pub d_out: Picture,
}

impl Patches {
    /// Appends `d_weight[3·ky + kx, c, o] = Σ x[b, y·s + ky − p, x·s + kx − p, c] · d_out[b, y, x, o]`, band by band of
    /// output pixels.
    pub fn launch_d_weight(&self, lowering: &mut Lowering<'_>, d_weight: Value) {
        let (row, c_out) = (9 * self.x.channels, self.d_out.channels);
        let bands = self.bands(lowering.caps().max_binding as usize);
        let longest = bands.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        let patches = lowering.scratch("patches", &[longest, row]);
        for pixels in bands {
            self.gather(lowering, &pixels, patches);
            let a = Operand::matrix(patches.part(0..pixels.len() * row), row);
            let b = Operand::matrix(self.d_out.value.part(pixels.start * c_out..pixels.end * c_out), c_out);
            let c = Operand::matrix(d_weight, c_out);
            let gemm = Gemm::new(Layout::TN, [row, c_out, pixels.len()], a, b, c);
            launch_bound_gemm(lowering, &Gemm { accumulate: pixels.start > 0, ..gemm });
        }
    }

    /// Output pixels, counted over all images, so that what is gathered and what it is gathered from can be bound.
    fn bands(&self, limit: usize) -> Vec<Range<usize>> {
        let pixels = self.images * self.d_out.rows * self.d_out.columns;
        let step = aligned_rows(4 * self.d_out.channels as u64, BAND_ALIGNMENT);
        let bytes = 4 * (9 * self.x.channels).max(self.d_out.channels);
        let most = limit.min(BAND_BYTES) / bytes;
        let mut bands: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        while start < pixels {
            let ends = (start + 1..=pixels.min(start + most)).rev();
            let mut ends = ends.filter(|end| end.is_multiple_of(step) || *end == pixels);
            let end = ends.find(|&end| self.source_bytes(&(start..end)) <= limit);
            let end =
                end.unwrap_or_else(|| panic!("conv3x3: {:?} does not fit into bindings of {limit} bytes", self.x));
            bands.push(start..end);
            start = end;
        }
        bands
    }

    fn source_bytes(&self, pixels: &Range<usize>) -> usize {
        let (arg, _) = self.bind_source(pixels);
        arg.range.map_or(0, |range| 4 * range.len())
    }

    /// The rows of x that these output pixels read, and how many quads lie before them.
    fn bind_source(&self, pixels: &Range<usize>) -> (Arg, u32) {
        let axis = Axis::forward(self.geometry, self.x.rows, self.d_out.rows);
        let place = |pixel: usize| {
            let row = pixel / self.d_out.columns;
            (row / self.d_out.rows, row % self.d_out.rows)
        };
        let ((first_image, first), (last_image, last)) = (place(pixels.start), place(pixels.end - 1));
        let (start, end) = (axis.source_range(&(first..first + 1)).start, axis.source_range(&(last..last + 1)).end);
        self.x.bind(&(first_image..last_image + 1), &(start..end))
    }

    fn gather(&self, lowering: &mut Lowering<'_>, pixels: &Range<usize>, patches: Value) {
        let (source, source_start) = self.bind_source(pixels);
        let quads = self.x.channels / 4;
        let count = 9 * quads * pixels.len();
        let params = Params {
            count: count as u32,
            quads: quads as u32,
            height: self.x.rows as u32,
            width: self.x.columns as u32,
            out_height: self.d_out.rows as u32,
            out_width: self.d_out.columns as u32,
            stride: self.geometry.stride() as u32,
            pad: self.geometry.pad_before() as u32,
            first_pixel: pixels.start as u32,
            source_start,
        };
        let kernel = KernelSpec::new("conv_patches.wgsl", "gather", &[Read, Write]);
        let cost = Cost { flops: 0, bytes: 32 * count as u64 };
        let args = vec![source, patches.part(0..4 * count)];
        launch_quads(lowering, self.x.value, &kernel, args, &params, flat_workgroups(count), cost);
    }
}
