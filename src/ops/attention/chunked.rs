//! Attention for software drivers: chunks of the score matrix in memory, multiplied by the GEMM kernels.
//!
//! On such a driver a tile in workgroup memory costs as much as one in memory, and the GEMM kernels are several times
//! faster than anything that exchanges values between invocations. A chunk is small enough to stay in the last cache.

use std::ops::Range;

use crate::{
    gpu::{Access, Cost, KernelSpec},
    tape::{Arg, Lowering, Value},
};

use super::{
    super::gemm::{Gemm, Layout, Operand, launch_gemm},
    Mask,
    geometry::{Geometry, Saved, Wanted},
};

use Access::{Read, Write};

/// Bytes of the scores of one chunk.
const CHUNK_BYTES: usize = 16 << 20;

/// Most rows of a chunk: they are one dimension of a dispatch.
const MOST_ROWS: usize = 65_535 / CHUNK_ROWS * CHUNK_ROWS;

/// Rows of a chunk come in multiples of the GEMM kernels' tiles, which also aligns bindings for every width.
const CHUNK_ROWS: usize = 32;

/// Some queries of some pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chunk {
    pictures: Range<usize>,
    queries: Range<usize>,
}

/// The parameter block of `attention_scores.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    queries: u32,
    keys: u32,
    first_query: u32,
    first_batch: u32,
    scale: f32,
}

/// One chunk of an op: its launches.
struct Chunked<'a> {
    geometry: &'a Geometry,
    chunk: Chunk,
}

pub(super) fn forward(lowering: &mut Lowering<'_>, geometry: &Geometry) {
    let [q, k, v] = [0, 1, 2].map(|index| lowering.input(index));
    let (out, lse) = (lowering.output(0), lowering.output(1));
    let chunks = chunks(geometry, lowering.caps().max_binding, CHUNK_BYTES);
    let scores = scratch(lowering, "scores", geometry, &chunks);
    for chunk in chunks {
        let chunked = Chunked { geometry, chunk };
        chunked.scores(lowering, q, k, scores, geometry.scale());
        chunked.rows(lowering, "softmax", &[Write, Write], vec![scores.into(), lse.into()]);
        chunked.sum_over_keys(lowering, scores, v, out);
    }
}

pub(super) fn backward(lowering: &mut Lowering<'_>, geometry: &Geometry, saved: &Saved, wanted: &Wanted) {
    let &Saved { q, k, v, lse, d_out, delta } = saved;
    let chunks = chunks(geometry, lowering.caps().max_binding, CHUNK_BYTES / 2);
    let scores = scratch(lowering, "scores", geometry, &chunks);
    let d_scores = scratch(lowering, "d_scores", geometry, &chunks);
    for chunk in chunks {
        let chunked = Chunked { geometry, chunk };
        chunked.scores(lowering, q, k, scores, geometry.scale());
        chunked.scores(lowering, d_out, v, d_scores, 1.0);
        let args = vec![scores.into(), d_scores.into(), lse.into(), delta.into()];
        chunked.rows(lowering, "gradient", &[Write, Write, Read, Read], args);
        if let Some(d_q) = wanted.d_q {
            chunked.sum_over_keys(lowering, d_scores, k, d_q);
        }
        if let Some((d_k, d_v)) = wanted.d_k_v {
            chunked.sum_over_queries(lowering, d_scores, q, d_k);
            chunked.sum_over_queries(lowering, scores, d_out, d_v);
        }
    }
}

/// Chunks whose scores take about `bytes`, and whose bindings start at multiples of 256 bytes.
fn chunks(geometry: &Geometry, limit: u64, bytes: usize) -> Vec<Chunk> {
    let row_bytes = 4 * geometry.heads * geometry.keys.next_multiple_of(4);
    let (least, queries) = (geometry.aligned_pictures(), geometry.queries);
    let pictures = (bytes / (row_bytes * queries)).max(least) / least * least;
    let rows = (bytes / (row_bytes * pictures)).clamp(CHUNK_ROWS, MOST_ROWS) / CHUNK_ROWS * CHUNK_ROWS;
    let mut chunks = Vec::new();
    for band in geometry.bands(limit) {
        for first in band.clone().step_by(pictures) {
            for query in (0..queries).step_by(rows) {
                let pictures = first..(first + pictures).min(band.end);
                chunks.push(Chunk { pictures, queries: query..(query + rows).min(queries) });
            }
        }
    }
    chunks
}

/// A scratch value for the scores of any of `chunks`, of which the first is the largest.
fn scratch(lowering: &mut Lowering<'_>, name: &str, geometry: &Geometry, chunks: &[Chunk]) -> Value {
    let Chunk { pictures, queries } = &chunks[0];
    let keys = geometry.keys.next_multiple_of(4);
    lowering.scratch(name, &[pictures.len(), geometry.heads, queries.len(), keys])
}

impl Chunked<'_> {
    /// scores = alpha · a·bᵀ, for a laid out as the queries and b as the keys.
    fn scores(&self, lowering: &mut Lowering<'_>, a: Value, b: Value, scores: Value, alpha: f32) {
        let sizes = [self.chunk.queries.len(), self.geometry.keys, self.geometry.head];
        let operands = [self.queries(a), self.keys(b), self.score_matrix(scores)];
        self.multiply(lowering, Layout::NT, sizes, operands, alpha, false);
    }

    /// out = scores·b, for b laid out as the keys.
    fn sum_over_keys(&self, lowering: &mut Lowering<'_>, scores: Value, b: Value, out: Value) {
        let sizes = [self.chunk.queries.len(), self.geometry.head, self.geometry.keys];
        let operands = [self.score_matrix(scores), self.keys(b), self.queries(out)];
        self.multiply(lowering, Layout::NN, sizes, operands, 1.0, false);
    }

    /// out += scoresᵀ·b, for b laid out as the queries; a picture's first chunk starts the sum.
    fn sum_over_queries(&self, lowering: &mut Lowering<'_>, scores: Value, b: Value, out: Value) {
        let sizes = [self.geometry.keys, self.geometry.head, self.chunk.queries.len()];
        let operands = [self.score_matrix(scores), self.queries(b), self.keys(out)];
        self.multiply(lowering, Layout::TN, sizes, operands, 1.0, self.chunk.queries.start > 0);
    }

    fn multiply(
        &self,
        lowering: &mut Lowering<'_>,
        layout: Layout,
        sizes: [usize; 3],
        [a, b, c]: [Operand; 3],
        alpha: f32,
        accumulate: bool,
    ) {
        let batch = [self.chunk.pictures.len(), self.geometry.heads];
        launch_gemm(lowering, &Gemm { batch, alpha, accumulate, ..Gemm::new(layout, sizes, a, b, c) });
    }

    /// A pass over the rows of the scores.
    fn rows(&self, lowering: &mut Lowering<'_>, entry: &'static str, bindings: &[Access], args: Vec<Arg>) {
        let Self { geometry, chunk } = self;
        let causal = u32::from(geometry.mask == Mask::Causal);
        let kernel = KernelSpec::new("attention_scores.wgsl", entry, bindings).constant("CAUSAL", causal);
        let params = Params {
            queries: geometry.queries as u32,
            keys: geometry.keys as u32,
            first_query: chunk.queries.start as u32,
            first_batch: chunk.pictures.start as u32,
            scale: geometry.scale(),
        };
        let workgroups = [chunk.queries.len(), geometry.heads, chunk.pictures.len()].map(|count| count as u32);
        let count: usize = chunk.queries.len() * geometry.heads * chunk.pictures.len() * geometry.keys;
        let cost = Cost { flops: 0, bytes: 16 * count as u64 };
        lowering.launch(kernel, args, &params, workgroups, cost);
    }

    /// The chunk's rows of a value laid out as the queries.
    fn queries(&self, value: Value) -> Operand {
        let Chunk { pictures, queries } = &self.chunk;
        let (rows, width) = (self.geometry.queries, self.geometry.width());
        let element = |picture: usize, query: usize| (picture * rows + query) * width;
        let range = element(pictures.start, queries.start)..element(pictures.end - 1, queries.end);
        self.by_head(value.part(range), rows)
    }

    /// The chunk's pictures of a value laid out as the keys.
    fn keys(&self, value: Value) -> Operand {
        self.by_head(self.geometry.key_band(value, &self.chunk.pictures), self.geometry.keys)
    }

    /// A head is a stretch of each row.
    fn by_head(&self, arg: Arg, rows: usize) -> Operand {
        let width = self.geometry.width();
        Operand { batch_stride: [rows * width, self.geometry.head], ..Operand::matrix(arg, width) }
    }

    fn score_matrix(&self, scores: Value) -> Operand {
        let keys = self.geometry.keys.next_multiple_of(4);
        let head = self.chunk.queries.len() * keys;
        Operand { batch_stride: [self.geometry.heads * head, head], ..Operand::matrix(scores, keys) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_query_of_every_picture_once() {
        for (batch, queries, keys, heads, head) in
            [(2, 4096, 4096, 8, 40), (3, 65, 77, 2, 8), (20, 7, 5, 1, 4), (2, 70_000, 1, 1, 4)]
        {
            let geometry = Geometry { batch, queries, keys, heads, head, mask: Mask::None };
            for bytes in [1 << 12, 1 << 20] {
                let chunks = chunks(&geometry, 1 << 27, bytes);
                let mut seen = vec![0; batch * queries];
                for Chunk { pictures, queries: rows } in &chunks {
                    let start = 4 * (pictures.start * queries + rows.start) * geometry.width();
                    assert_eq!(start % 256, 0, "{geometry:?} {pictures:?} {rows:?}");
                    assert!(rows.len() <= 65_535);
                    for picture in pictures.clone() {
                        rows.clone().for_each(|row| seen[picture * queries + row] += 1);
                    }
                }
                assert!(seen.iter().all(|&count| count == 1), "{geometry:?}, chunks of {bytes} bytes");
            }
        }
    }
}
