//! How reductions over positions are cut: each sample's positions into chunks, and launches into bands of chunks.

use std::ops::Range;

use crate::{
    gpu::Cost,
    tape::{Arg, Lowering, Value},
};

use super::bands::{BAND_ALIGNMENT, aligned_rows, flat_workgroups};

/// Invocations that keep a large GPU busy.
const WANTED_INVOCATIONS: usize = 1 << 17;

/// Samples of `positions` rows of `channels` f32 values; one invocation walks over a chunk's rows in one column of
/// four channels.
#[derive(Clone, Copy, Debug)]
pub struct Chunks {
    pub samples: usize,
    pub positions: usize,
    pub channels: usize,
    /// Positions per chunk; a sample's last chunk may be shorter.
    pub length: usize,
}

/// Chunks of one launch, and the rows that its bindings hold: these start aligned, before the first chunk's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkBand {
    pub chunks: Range<usize>,
    pub rows: Range<usize>,
}

/// `Chunks` of `shared/chunks.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ChunkParams {
    samples: u32,
    positions: u32,
    channels: u32,
    length: u32,
    per_sample: u32,
    first: u32,
    count: u32,
    first_row: u32,
}

impl Chunks {
    /// Cuts a value of shape (B, …, C).
    ///
    /// # Panics
    /// Where the shape has fewer than two dimensions, or C is no multiple of 4.
    pub fn of(shape: &[usize]) -> Self {
        let (&channels, leading) = shape.split_last().expect("a shape (B, …, C)");
        let (&samples, middle) = leading.split_first().expect("a shape (B, …, C)");
        assert_eq!(channels % 4, 0, "{shape:?}: the channels are no multiple of 4");
        let positions = middle.iter().product::<usize>();
        let length = (samples * positions * (channels / 4) / WANTED_INVOCATIONS).clamp(16, 256);
        Self { samples, positions, channels, length }
    }

    pub fn per_sample(&self) -> usize {
        self.positions.div_ceil(self.length)
    }

    /// Chunks of all samples.
    pub fn count(&self) -> usize {
        self.samples * self.per_sample()
    }

    /// Bands whose bindings of whole rows stay below `limit` bytes.
    ///
    /// # Panics
    /// Where not even one chunk fits.
    pub fn bands(self, limit: u64) -> impl Iterator<Item = ChunkBand> {
        let step = aligned_rows(self.row_bytes(), BAND_ALIGNMENT);
        let rows = (limit / self.row_bytes()) as usize;
        let count = self.count();
        let band = if self.samples * self.positions <= rows { count } else { rows.saturating_sub(step) / self.length };
        assert!(band > 0, "{self:?}: a chunk does not fit into bindings of {limit} bytes");
        (0..count).step_by(band).map(move |start| {
            let end = count.min(start + band);
            let rows = self.rows(start).start / step * step..self.rows(end - 1).end;
            ChunkBand { chunks: start..end, rows }
        })
    }

    /// The rows in `band` of a value of this shape.
    pub fn arg(&self, value: Value, band: &ChunkBand) -> Arg {
        value.part(band.rows.start * self.channels..band.rows.end * self.channels)
    }

    /// As [`Chunks::bands`], with the limit of the device that is lowered for.
    pub fn bands_for(self, lowering: &Lowering<'_>) -> impl Iterator<Item = ChunkBand> + use<> {
        self.bands(lowering.caps().max_binding)
    }

    /// One band that holds everything: for launches over per-chunk values, which are small.
    pub fn whole(&self) -> ChunkBand {
        ChunkBand { chunks: 0..self.count(), rows: 0..self.samples * self.positions }
    }

    /// What `shared/chunks.wgsl` wants to know of a launch over `band`.
    pub fn params(&self, band: &ChunkBand) -> ChunkParams {
        ChunkParams {
            samples: self.samples as u32,
            positions: self.positions as u32,
            channels: self.channels as u32,
            length: self.length as u32,
            per_sample: self.per_sample() as u32,
            first: band.chunks.start as u32,
            count: band.chunks.len() as u32,
            first_row: band.rows.start as u32,
        }
    }

    /// Workgroups of a launch over `band`: one invocation per chunk and column.
    pub fn workgroups(&self, band: &ChunkBand) -> [u32; 3] {
        flat_workgroups(band.chunks.len() * self.channels / 4)
    }

    /// Cost of a launch over `band`, given that of one element.
    pub fn cost(&self, band: &ChunkBand, per_element: Cost) -> Cost {
        let elements = (band.rows.len() * self.channels) as u64;
        Cost { flops: per_element.flops * elements, bytes: per_element.bytes * elements }
    }

    fn row_bytes(&self) -> u64 {
        4 * self.channels as u64
    }

    /// Rows of a chunk, counted over all samples.
    fn rows(&self, chunk: usize) -> Range<usize> {
        let (sample, index) = (chunk / self.per_sample(), chunk % self.per_sample());
        let start = index * self.length;
        let end = self.positions.min(start + self.length);
        sample * self.positions + start..sample * self.positions + end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKS: Chunks = Chunks { samples: 2, positions: 21, channels: 12, length: 8 };

    #[test]
    fn chunks_end_with_their_sample() {
        assert_eq!(CHUNKS.per_sample(), 3);
        let rows: Vec<_> = (0..CHUNKS.count()).map(|chunk| CHUNKS.rows(chunk)).collect();
        assert_eq!(rows, [0..8, 8..16, 16..21, 21..29, 29..37, 37..42]);
    }

    #[test]
    fn bands_start_aligned_and_hold_their_chunks() {
        // Every 32nd row of 48 bytes is aligned; 2,000 bytes hold 41 rows, of which 32 may be lost to alignment.
        let bands: Vec<_> = CHUNKS.bands(2_000).collect();
        let expected = [(0..1, 0..8), (1..2, 0..16), (2..3, 0..21), (3..4, 0..29), (4..5, 0..37), (5..6, 32..42)];
        assert_eq!(bands, expected.map(|(chunks, rows)| ChunkBand { chunks, rows }));
        assert_eq!(CHUNKS.bands(4_096).count(), 1);
    }
}
