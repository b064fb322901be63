//! Winograd's F(2×2, 3×3) for software drivers: the picture and the weights are transformed, and 16 matrix products do
//! what 36 would; see `conv_winograd.wgsl`.
//!
//! Transformed weights take 16/9 of the memory of f32 weights. They are kept where transforming them anew would take a
//! good part of the time that the products take.

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
        quads::quad_import,
    },
    launch::{Band, Gather},
};

/// Products of a pair of channels: positions of a 4×4 tile.
const POSITIONS: usize = 16;
/// Bytes of the transformed sources, or products, of one band: they should not outgrow the last cache by much.
const BAND_BYTES: usize = 32 << 20;
/// Fewer channels do not pay for the transforms of pictures.
const LEAST_CHANNELS: usize = 32;
/// Fewer tiles do not pay for transforming the weights anew, or for reading them transformed.
const LEAST_TILES: usize = 128;
const LEAST_TILES_KEPT: usize = 64;
/// Most tiles times pairs of channels whose filters are kept, 64 bytes for each pair. With more tiles the transform counts
/// for less; with more pairs, as in SD v1.5's widest layers, filters take more memory than its whole U-Net in f16.
const MOST_PRODUCTS_KEPT: usize = LEAST_TILES_KEPT * 1920 * 640;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
    quads: u32,
    height: u32,
    width: u32,
    first_row: u32,
    start: u32,
    turned: u32,
    has_addend: u32,
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
        let winograd = Self { gather };
        let least_tiles = if winograd.keeps_filters(lowering) { LEAST_TILES_KEPT } else { LEAST_TILES };
        let pays = caps.variant == Variant::CpuDriver
            && gather.is_dense()
            && winograd.all_tiles() >= least_tiles
            && k.min(n) >= LEAST_CHANNELS
            && filters <= caps.max_binding;
        pays.then_some(winograd)
    }

    fn keeps_filters(&self, lowering: &Lowering<'_>) -> bool {
        let [k, n] = self.gather.channels();
        let tiles = self.all_tiles();
        tiles >= LEAST_TILES_KEPT
            && tiles * k * n <= MOST_PRODUCTS_KEPT
            && lowering.outlives_program(self.gather.weight)
    }

    /// Appends the launches.
    pub fn launch(&self, lowering: &mut Lowering<'_>) {
        let [k, n] = self.gather.channels();
        let filters = self.filters(lowering);
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

    fn all_tiles(&self) -> usize {
        self.tiles(&Band { images: 0..self.gather.images, rows: 0..self.gather.result.rows })
    }

    /// The transformed weights, the same for both directions: a convolution with turned taps takes them in another order.
    fn filters(&self, lowering: &mut Lowering<'_>) -> Value {
        let weight = self.gather.weight;
        let shape = [POSITIONS, lowering.elements(weight) / 9];
        if self.keeps_filters(lowering) {
            let transform = |lowering: &mut Lowering<'_>, filters| self.transform_filters(lowering, filters);
            let kept = lowering.prepared(weight, "winograd", &shape, transform);
            return kept.expect("weights that outlive the program can be prepared");
        }
        let filters = lowering.scratch("filters", &shape);
        self.transform_filters(lowering, filters);
        filters
    }

    fn transform_filters(&self, lowering: &mut Lowering<'_>, filters: Value) {
        let weight = self.gather.weight;
        let dtype = lowering.dtype(weight);
        let pairs = lowering.elements(weight) / 9;
        let params = Params { count: (pairs / 4) as u32, ..bytemuck::Zeroable::zeroed() };
        let kernel = self.kernel("filter_taps", &[Read, Write], dtype, false);
        let cost = Cost { flops: 28 * pairs as u64, bytes: ((9 * dtype.bytes() + 4 * POSITIONS) * pairs) as u64 };
        let args = vec![weight.into(), filters.into()];
        lowering.launch(kernel.import(quad_import(DType::F32)), args, &params, flat_workgroups(pairs / 4), cost);
    }

    fn transform_sources(&self, lowering: &mut Lowering<'_>, band: &Band, sources: Value) {
        let source = &self.gather.source;
        let (picture, start) = source.bind(&band.images, &self.gather.rows.source_range(&band.rows));
        let (count, params) = self.params(band, source.channels, start);
        let kernel = self.kernel("source", &[Read, Write], DType::F32, false);
        let cost = Cost { flops: 128 * count as u64, bytes: 16 * (4 + POSITIONS) as u64 * count as u64 };
        let args = vec![picture, sources.into()];
        lowering.launch(self.on_pictures(lowering, kernel), args, &params, flat_workgroups(count), cost);
    }

    fn transform_products(&self, lowering: &mut Lowering<'_>, band: &Band, products: Value) {
        let result = &self.gather.result;
        let rows = self.gather.rows.result_range(&band.rows);
        let (picture, start) = result.bind(&band.images, &rows);
        let (count, params) = self.params(band, result.channels, start);
        let addend = self.gather.bind_addend(band, &rows);
        let params = Params { has_addend: addend.is_some().into(), ..params };
        let mut args: Vec<Arg> = vec![products.into(), addend.unwrap_or_else(|| products.into()), picture];
        args.extend(self.gather.bias.map(Arg::from));
        let bindings = &[Read, Read, Write, Read][..args.len()];
        let kernel = self.kernel("result", bindings, DType::F32, self.gather.bias.is_some());
        let cost = Cost { flops: 96 * count as u64, bytes: 16 * (4 + POSITIONS) as u64 * count as u64 };
        lowering.launch(self.on_pictures(lowering, kernel), args, &params, flat_workgroups(count), cost);
    }

    /// One product for each position of a tile.
    fn multiply(&self, lowering: &mut Lowering<'_>, tiles: usize, [sources, filters, products]: [Value; 3]) {
        let [k, n] = self.gather.channels();
        let layout = if self.gather.transposed { Layout::NT } else { Layout::NN };
        let operand = |matrix: Operand, elements: usize| Operand { batch_stride: [0, elements], ..matrix };
        let a = operand(Operand::matrix(sources, k), tiles * k);
        // Transformed tap by tap, the filters lie as the weights do.
        let b = operand(Operand::panels(filters, self.gather.tap(lowering)), k * n);
        let c = operand(Operand::matrix(products, n), tiles * n);
        let gemm = Gemm::new(layout, [tiles, n, k], a, b, c);
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
        let turned = u32::from(self.gather.transposed);
        (count, Params { count: count32, quads, height, width, first_row, start, turned, has_addend: 0 })
    }

    fn on_pictures(&self, lowering: &Lowering<'_>, kernel: KernelSpec) -> KernelSpec {
        kernel.import(quad_import(lowering.dtype(self.gather.source.value)))
    }

    fn kernel(&self, entry: &'static str, bindings: &[Access], weight: DType, bias: bool) -> KernelSpec {
        let bias = if bias { "shared/bias_f32.wgsl" } else { "shared/bias_none.wgsl" };
        KernelSpec::new("conv_winograd.wgsl", entry, bindings).import(weight_import(weight)).import(bias)
    }
}
