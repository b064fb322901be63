//! Kernel choice, and cutting a convolution into launches whose bindings the device allows.

use std::ops::Range;

use crate::{
    gpu::Cost,
    tape::{Arg, Lowering, Value},
};

use super::{
    super::{
        bands::BAND_ALIGNMENT,
        gemm::launch_sum_of_slices,
        panels::Panels,
        quads::{cost_of, quad_import},
    },
    phase::Axis,
    tile::Tile,
    winograd::Winograd,
};

/// A launch does no more than this, so that slow devices stay far below the two seconds after which a driver's
/// watchdog ends it.
const MAX_FLOPS: usize = 64_000_000_000;

/// Uniform block of the convolution kernels; see `shared/conv.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    rows: Axis,
    columns: Axis,
    first_pixel: u32,
    end_pixel: u32,
    source_quads: u32,
    result_quads: u32,
    source_start: u32,
    result_start: u32,
    weight_row_stride: u32,
    weight_panel_stride: u32,
    has_addend: u32,
    slices: u32,
}

/// One image tensor of a convolution, `(B, rows, columns, channels)`, cut by rows.
#[derive(Clone, Copy, Debug)]
pub struct Picture {
    pub value: Value,
    pub rows: usize,
    pub columns: usize,
    pub channels: usize,
}

impl Picture {
    fn row_bytes(&self) -> usize {
        4 * self.columns * self.channels
    }

    /// Rows that a binding of `limit` bytes holds wherever it starts.
    fn rows_within(&self, limit: usize) -> usize {
        limit.saturating_sub(BAND_ALIGNMENT as usize) / self.row_bytes()
    }

    /// A binding from row `rows.start` of the first of `images` to row `rows.end` of the last, and the number of quads
    /// of the value that lie before it.
    pub fn bind(&self, images: &Range<usize>, rows: &Range<usize>) -> (Arg, u32) {
        let start = (images.start * self.rows + rows.start) * self.row_bytes();
        let end = ((images.end - 1) * self.rows + rows.end) * self.row_bytes();
        let start = start - start % BAND_ALIGNMENT as usize;
        (self.value.part(start / 4..end / 4), (start / 16) as u32)
    }
}

/// The computation of one phase of `result` pixels from `source`.
pub struct Gather {
    pub images: usize,
    pub rows: Axis,
    pub columns: Axis,
    /// K channels
    pub source: Picture,
    /// `(9, K, N)`, or `(9, N, K)` where transposed, the rows of each tap perhaps in panels
    pub weight: Value,
    pub transposed: bool,
    /// `(N)`
    pub bias: Option<Value>,
    /// Added to the result, and like it.
    pub addend: Option<Value>,
    /// N channels
    pub result: Picture,
}

/// Grid rows that one launch computes: some of one image, or all of all images.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    pub images: Range<usize>,
    pub rows: Range<usize>,
}

impl Gather {
    /// Appends the launches that fill the phase's pixels.
    pub fn launch(&self, lowering: &mut Lowering<'_>) {
        if let Some(winograd) = Winograd::choose(lowering, self) {
            return winograd.launch(lowering);
        }
        let limit = lowering.caps().max_binding as usize;
        let sliced = self.tile(lowering, true);
        if sliced.slices() > 1 && self.fits_in_slices(sliced, limit) {
            return self.launch_sliced(lowering, sliced);
        }
        let tile = self.tile(lowering, false);
        for band in self.bands(limit, self.max_pixels(tile), 1) {
            self.launch_band(lowering, tile, &band);
        }
    }

    fn tile(&self, lowering: &Lowering<'_>, sliceable: bool) -> Tile {
        let k = self.taps() * self.source.channels;
        Tile::choose(lowering.caps().variant, self.pixels(), self.result.channels, k, sliceable)
    }

    /// Most pixels of a launch.
    fn max_pixels(&self, tile: Tile) -> usize {
        tile.max_pixels(self.result.channels).min(MAX_FLOPS / self.flops_per_pixel())
    }

    /// Whether one launch computes every result, and what its slices add up to can be bound.
    fn fits_in_slices(&self, tile: Tile, limit: usize) -> bool {
        let partial_bytes = 4 * tile.slices() * self.pixels() * self.result.channels;
        self.is_dense() && partial_bytes <= limit && self.bands(limit, self.max_pixels(tile), 1).len() == 1
    }

    /// How the weights of one tap lie in memory.
    pub fn tap(&self, lowering: &Lowering<'_>) -> Panels {
        Panels::described_by(&lowering.shape(self.weight)[1..]).expect("recording has checked that a tap is a matrix")
    }

    /// The part of the addend that lies where a band's `rows` of the result do.
    pub fn bind_addend(&self, band: &Band, rows: &Range<usize>) -> Option<Arg> {
        let addend = self.addend.map(|value| Picture { value, ..self.result })?;
        Some(addend.bind(&band.images, rows).0)
    }

    /// Grid pixels of all images.
    pub fn pixels(&self) -> usize {
        self.images * self.grid_rows() * self.grid_columns()
    }

    /// K and N.
    pub fn channels(&self) -> [usize; 2] {
        [self.source.channels, self.result.channels]
    }

    /// Whether each result pixel is the sum over the 3×3 sources around it.
    pub fn is_dense(&self) -> bool {
        let dense = |axis: &Axis| axis.source_step == 1 && axis.result_step == 1 && axis.taps == 3;
        dense(&self.rows) && dense(&self.columns)
    }

    /// One band where bindings and dispatch allow it, else bands of rows of each image, of a `multiple` of rows if it
    /// can be.
    pub fn bands(&self, limit: usize, max_pixels: usize, multiple: usize) -> Vec<Band> {
        let grid_rows = self.grid_rows();
        let fits = |picture: &Picture| self.images * picture.rows * picture.row_bytes() <= limit;
        if fits(&self.source) && fits(&self.result) && self.pixels() <= max_pixels {
            return vec![Band { images: 0..self.images, rows: 0..grid_rows }];
        }
        let band_rows = self.rows_per_band(limit, max_pixels) / multiple * multiple;
        let band_rows = band_rows.max(multiple);
        let starts = (0..grid_rows).step_by(band_rows);
        let bands_of = |image: usize| {
            starts
                .clone()
                .map(move |start| Band { images: image..image + 1, rows: start..grid_rows.min(start + band_rows) })
        };
        (0..self.images).flat_map(bands_of).collect()
    }

    fn rows_per_band(&self, limit: usize, max_pixels: usize) -> usize {
        // n grid rows read (n − 1)·source_step + taps source rows and span (n − 1)·result_step + 1 result rows.
        let halo = (self.rows.taps - 1) as usize;
        let by_source = self.source.rows_within(limit).saturating_sub(halo) / self.rows.source_step as usize;
        let by_result = self.result.rows_within(limit) / self.rows.result_step as usize;
        let by_pixels = max_pixels / self.grid_columns();
        by_source.min(by_result).min(by_pixels).max(1)
    }

    /// The slices' sums, then the sum over them.
    fn launch_sliced(&self, lowering: &mut Lowering<'_>, tile: Tile) {
        let partial = lowering.scratch("partial", &[tile.slices(), self.pixels(), self.result.channels]);
        let sums = Picture { value: partial, ..self.result };
        let slices = Self { bias: None, addend: None, result: sums, ..*self };
        slices.launch_band(lowering, tile, &Band { images: 0..self.images, rows: 0..self.grid_rows() });
        launch_sum_of_slices(lowering, partial, self.bias, self.addend, self.result.value);
    }

    fn launch_band(&self, lowering: &mut Lowering<'_>, tile: Tile, band: &Band) {
        let source_rows = self.rows.source_range(&band.rows);
        let result_rows = self.rows.result_range(&band.rows);
        let (source, source_start) = self.source.bind(&band.images, &source_rows);
        let (result, result_start) = match tile.slices() {
            1 => self.result.bind(&band.images, &result_rows),
            _ => (self.result.value.into(), 0),
        };
        let first_row = band.images.start * self.grid_rows() + band.rows.start;
        let first_pixel = first_row * self.grid_columns();
        let pixels = band.images.len() * band.rows.len() * self.grid_columns();
        let tap = self.tap(lowering);
        let params = Params {
            rows: self.rows,
            columns: self.columns,
            first_pixel: first_pixel as u32,
            end_pixel: (first_pixel + pixels) as u32,
            source_quads: (self.source.channels / 4) as u32,
            result_quads: (self.result.channels / 4) as u32,
            source_start,
            result_start,
            weight_row_stride: (tap.row_stride() / 4) as u32,
            weight_panel_stride: (tap.panel_stride() / 4) as u32,
            has_addend: self.addend.is_some().into(),
            slices: tile.slices() as u32,
        };
        let addend = self.bind_addend(band, &result_rows).unwrap_or_else(|| source.clone());
        let mut args = vec![source, self.weight.into(), addend, result];
        args.extend(self.bias.map(Arg::from));
        let [source_type, weight_type] = [self.source.value, self.weight].map(|value| lowering.dtype(value));
        let kernel = tile.kernel(source_type, weight_type, self.channels(), self.transposed, self.bias.is_some());
        let cost = self.cost(lowering, band.images.len() * source_rows.len(), pixels);
        let workgroups = tile.workgroups(pixels, self.result.channels);
        lowering.launch(kernel.import(quad_import(source_type)), args, &params, workgroups, cost);
    }

    /// Source and weights read once, results written once.
    fn cost(&self, lowering: &Lowering<'_>, source_rows: usize, pixels: usize) -> Cost {
        let weight = self.taps() * self.source.channels * self.result.channels * lowering.dtype(self.weight).bytes();
        let pictures = source_rows * self.source.row_bytes() + 4 * pixels * self.result.channels;
        let flops = (pixels * self.flops_per_pixel()) as u64;
        let cost = cost_of(lowering.dtype(self.source.value), Cost { flops, bytes: pictures as u64 });
        Cost { bytes: cost.bytes + weight as u64, ..cost }
    }

    fn flops_per_pixel(&self) -> usize {
        2 * self.taps() * self.source.channels * self.result.channels
    }

    fn taps(&self) -> usize {
        (self.rows.taps * self.columns.taps) as usize
    }

    fn grid_rows(&self) -> usize {
        self.rows.grid as usize
    }

    fn grid_columns(&self) -> usize {
        self.columns.grid as usize
    }
}
