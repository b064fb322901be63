//! Winograd's F(2×2, 3×3) for software drivers: the picture and the weights are transformed, and 16 matrix products do
//! what 36 would; see `conv_winograd.wgsl`.
//!
//! Weights are transformed anew each time: kept, they would take 16/9 of the memory that f32 weights take.

use crate::{
    gpu::{
        Access::{self, Read, Write},
        Cost, KernelSpec, Variant,
    },
    tape::{Arg, DType, Lowering, Value},
};

use super::{
    super::{
        bands::flat_workgroups,
        gemm::{Gemm, Layout, Operand, launch_gemm, weight_import},
    },
    launch::{Band, Gather},
};

/// Products of a pair of channels: positions of a 4×4 tile.
const POSITIONS: usize = 16;
/// Bytes of the transformed sources, or products, of one band: they should not outgrow the last cache by much.
const BAND_BYTES: usize = 32 << 20;
/// Fewer pixels or channels than these do not pay for the transforms.
const LEAST_PIXELS: usize = 512;
const LEAST_CHANNELS: usize = 32;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
    quads: u32,
    height: u32,
    width: u32,
    first_row: u32,
    start: u32,
}

/// A convolution of stride 1 that is worth the transforms.
pub(super) struct Winograd<'a> {
    gather: &'a Gather,
}

impl<'a> Winograd<'a> {
    /// Where the device's variant and the sizes say so.
    pub fn choose(lowering: &Lowering<'_>, gather: &'a Gather) -> Option<Self> {
        let caps = lowering.caps();
        let [k, n] = gather.channels();
        let filters = (4 * POSITIONS * k * n) as u64;
        let pays = caps.variant == Variant::CpuDriver
            && gather.is_dense()
            && gather.pixels() >= LEAST_PIXELS
            && k.min(n) >= LEAST_CHANNELS
            && filters <= caps.max_binding;
        pays.then_some(Self { gather })
    }

    /// Appends the launches.
    pub fn launch(&self, lowering: &mut Lowering<'_>) {
        let [k, n] = self.gather.channels();
        let filters = lowering.scratch("filters", &[POSITIONS, k, n]);
        self.transform_filters(lowering, filters);
        let most_pixels = BAND_BYTES / (4 * POSITIONS * k.max(n)) * 4;
        let bands = self.gather.bands(lowering.caps().max_binding as usize, most_pixels, 2);
        let most_tiles = bands.iter().map(|band| self.tiles(band)).max().unwrap_or(0);
        let sources = lowering.scratch("sources", &[POSITIONS, most_tiles, k]);
        let products = lowering.scratch("products", &[POSITIONS, most_tiles, n]);
        for band in &bands {
            self.transform_sources(lowering, band, sources);
            self.multiply(lowering, self.tiles(band), [sources, filters, products]);
            self.transform_products(lowering, band, products);
        }
    }

    /// Tiles of 2×2 results.
    fn tiles(&self, band: &Band) -> usize {
        band.images.len() * band.rows.len().div_ceil(2) * self.gather.result.columns.div_ceil(2)
    }

    fn transform_filters(&self, lowering: &mut Lowering<'_>, filters: Value) {
        let weight = self.gather.weight;
        let dtype = lowering.dtype(weight);
        let pairs = lowering.elements(weight) / 9;
        let params = Params { count: (pairs / 4) as u32, quads: 0, height: 0, width: 0, first_row: 0, start: 0 };
        let kernel = self.kernel("filter_taps", &[Read, Write], dtype, self.gather.transposed, false);
        let cost = Cost { flops: 28 * pairs as u64, bytes: ((9 * dtype.bytes() + 4 * POSITIONS) * pairs) as u64 };
        lowering.launch(kernel, vec![weight.into(), filters.into()], &params, flat_workgroups(pairs / 4), cost);
    }

    fn transform_sources(&self, lowering: &mut Lowering<'_>, band: &Band, sources: Value) {
        let source = &self.gather.source;
        let (picture, start) = source.bind(&band.images, &self.gather.rows.source_range(&band.rows));
        let (count, params) = self.params(band, source.channels, start);
        let kernel = self.kernel("source", &[Read, Write], DType::F32, false, false);
        let cost = Cost { flops: 128 * count as u64, bytes: 16 * (4 + POSITIONS) as u64 * count as u64 };
        lowering.launch(kernel, vec![picture, sources.into()], &params, flat_workgroups(count), cost);
    }

    fn transform_products(&self, lowering: &mut Lowering<'_>, band: &Band, products: Value) {
        let result = &self.gather.result;
        let (picture, start) = result.bind(&band.images, &self.gather.rows.result_range(&band.rows));
        let (count, params) = self.params(band, result.channels, start);
        let mut args: Vec<Arg> = vec![products.into(), picture];
        args.extend(self.gather.bias.map(Arg::from));
        let bindings = &[Read, Write, Read][..args.len()];
        let kernel = self.kernel("result", bindings, DType::F32, false, self.gather.bias.is_some());
        let cost = Cost { flops: 96 * count as u64, bytes: 16 * (4 + POSITIONS) as u64 * count as u64 };
        lowering.launch(kernel, args, &params, flat_workgroups(count), cost);
    }

    /// One product for each position of a tile.
    fn multiply(&self, lowering: &mut Lowering<'_>, tiles: usize, [sources, filters, products]: [Value; 3]) {
        let [k, n] = self.gather.channels();
        let operand = |value: Value, rows: usize, columns: usize| Operand {
            batch_stride: [0, rows * columns],
            ..Operand::matrix(value, columns)
        };
        let (layout, b) = match self.gather.transposed {
            true => (Layout::NT, operand(filters, n, k)),
            false => (Layout::NN, operand(filters, k, n)),
        };
        let gemm = Gemm::new(layout, [tiles, n, k], operand(sources, tiles, k), b, operand(products, tiles, n));
        launch_gemm(lowering, &Gemm { batch: [1, POSITIONS], ..gemm });
    }

    /// Vectors of a plane of the tiles of `band`, and the parameters of a picture of `channels`.
    fn params(&self, band: &Band, channels: usize, start: u32) -> (usize, Params) {
        let (height, width) = (self.gather.result.rows, self.gather.result.columns);
        let quads = channels / 4;
        let count = self.tiles(band) * quads;
        let first_row = band.images.start * height.div_ceil(2) + band.rows.start / 2;
        let sizes = [count, quads, height, width, first_row].map(|size| size as u32);
        let [count32, quads, height, width, first_row] = sizes;
        (count, Params { count: count32, quads, height, width, first_row, start })
    }

    fn kernel(&self, entry: &'static str, bindings: &[Access], weight: DType, flipped: bool, bias: bool) -> KernelSpec {
        let bias = if bias { "shared/bias_f32.wgsl" } else { "shared/bias_none.wgsl" };
        let kernel = KernelSpec::new("conv_winograd.wgsl", entry, bindings).import(weight_import(weight)).import(bias);
        kernel.constant("FLIPPED", u32::from(flipped))
    }
}
