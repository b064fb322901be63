//! Where a convolution reads and writes, as the kernels see it.
//!
//! Along one axis, forward: `out[o] = Σ_k x[o·stride + k − pad] · w[k]`. So pixel `i` of `x` gets the gradients of those
//! `o` for which `o·stride = i + pad − k`. With stride 2 that leaves one tap to some pixels and two to their neighbours;
//! pixels of one parity form a phase, within which all have the same taps.

use std::ops::Range;

use super::ConvGeometry;

/// A regular set of result pixels along one axis; the twin of `Axis` in `shared/conv.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Axis {
    pub grid: u32,
    pub source: u32,
    pub source_step: u32,
    pub source_first: i32,
    pub result: u32,
    pub result_step: u32,
    pub result_first: u32,
    pub taps: u32,
    pub tap_first: i32,
    pub tap_step: i32,
    unused: [u32; 2],
}

impl Axis {
    /// The forward pass from `source` to `result` pixels.
    pub fn forward(geometry: ConvGeometry, source: usize, result: usize) -> Self {
        Self {
            grid: result as u32,
            source: source as u32,
            source_step: geometry.stride() as u32,
            source_first: -(geometry.pad_before() as i32),
            result: result as u32,
            result_step: 1,
            result_first: 0,
            taps: 3,
            tap_first: 0,
            tap_step: 1,
            unused: [0; 2],
        }
    }

    /// The phases of the input's gradient: from `source` pixels of the output's gradient to `result` pixels of the
    /// input's. Empty ones are left out.
    pub fn backward(geometry: ConvGeometry, source: usize, result: usize) -> Vec<Self> {
        let stride = geometry.stride();
        let phases = (0..stride).map(|first| Self::backward_phase(geometry, first, source, result));
        phases.filter(|phase| phase.grid > 0).collect()
    }

    fn backward_phase(geometry: ConvGeometry, first: usize, source: usize, result: usize) -> Self {
        let stride = geometry.stride();
        // o = (i + pad − k) / stride grows as the tap falls, so the last matching tap comes first.
        let matching = |tap: &usize| (first + geometry.pad_before() + stride * 3 - tap).is_multiple_of(stride);
        let taps: Vec<usize> = (0..3).rev().filter(matching).collect();
        let offset = (first + geometry.pad_before()) as i32 - taps[0] as i32;
        Self {
            grid: result.saturating_sub(first).div_ceil(stride) as u32,
            source: source as u32,
            source_step: 1,
            source_first: offset.div_euclid(stride as i32),
            result: result as u32,
            result_step: stride as u32,
            result_first: first as u32,
            taps: taps.len() as u32,
            tap_first: taps[0] as i32,
            tap_step: -(stride as i32),
            unused: [0; 2],
        }
    }

    /// Source pixels that `grid` positions read, at least one.
    pub fn source_range(&self, grid: &Range<usize>) -> Range<usize> {
        let at = |grid: usize| grid as i64 * i64::from(self.source_step) + i64::from(self.source_first);
        let last = i64::from(self.source) - 1;
        let start = at(grid.start).clamp(0, last);
        let final_tap = (at(grid.end - 1) + i64::from(self.taps) - 1).clamp(start, last);
        start as usize..final_tap as usize + 1
    }

    /// Result pixels from the first to the last one that `grid` positions write.
    pub fn result_range(&self, grid: &Range<usize>) -> Range<usize> {
        let at = |grid: usize| grid * self.result_step as usize + self.result_first as usize;
        at(grid.start)..at(grid.end - 1) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every (source, result, tap) that an axis visits, inside the source.
    fn visits(axis: &Axis) -> Vec<(usize, usize, usize)> {
        let mut visits = Vec::new();
        for grid in 0..axis.grid as i32 {
            for j in 0..axis.taps as i32 {
                let source = grid * axis.source_step as i32 + axis.source_first + j;
                let result = grid * axis.result_step as i32 + axis.result_first as i32;
                if (0..axis.source as i32).contains(&source) {
                    visits.push((source as usize, result as usize, (axis.tap_first + j * axis.tap_step) as usize));
                }
            }
        }
        visits
    }

    #[test]
    fn backward_visits_what_forward_visits() {
        for geometry in [ConvGeometry::Same, ConvGeometry::Down, ConvGeometry::DownAsymmetric] {
            for length in 2..9 {
                let out = geometry.output_length(length);
                let mut forward = visits(&Axis::forward(geometry, length, out));
                let backward = Axis::backward(geometry, out, length);
                let mut mirrored: Vec<_> =
                    backward.iter().flat_map(visits).map(|(source, result, tap)| (result, source, tap)).collect();
                forward.sort_unstable();
                mirrored.sort_unstable();
                assert_eq!(forward, mirrored, "{geometry:?}, {length} pixels");
                assert_eq!(backward.iter().map(|axis| axis.grid as usize).sum::<usize>(), length);
            }
        }
    }
}
