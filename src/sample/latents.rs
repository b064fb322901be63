//! Latents on the host.

use crate::size::Size;

/// Latents of one picture, (channels, height, width).
#[derive(Clone, Debug, PartialEq)]
pub struct Latents {
    pub values: Vec<f32>,
    pub size: Size,
}

impl Latents {
    /// Bilinearly resized, as torch's `interpolate(mode="bilinear")` does it: the second pass of WebUIs under "Latent".
    pub fn resized(&self, size: Size) -> Self {
        let (rows, columns) = (between(size.height, self.size.height), between(size.width, self.size.width));
        let mut values = Vec::with_capacity(self.values.len() / self.size.area() * size.area());
        for channel in self.values.chunks_exact(self.size.area()) {
            for row in &rows {
                let [above, below] =
                    [row.first, row.second].map(|row| &channel[row * self.size.width..][..self.size.width]);
                values.extend(columns.iter().map(|column| row.mix(column.of(above), column.of(below))));
            }
        }
        Self { values, size }
    }
}

/// Where each of `count` points lies among `source` points.
fn between(count: usize, source: usize) -> Vec<Between> {
    (0..count).map(|index| Between::new(index, count, source)).collect()
}

/// Two neighbours along one axis, and how much of the second.
struct Between {
    first: usize,
    second: usize,
    share: f32,
}

impl Between {
    /// Where point `index` of `count` lies among `source` points; both span the same length, points in the middle of
    /// their parts of it.
    fn new(index: usize, count: usize, source: usize) -> Self {
        let position = ((index as f64 + 0.5) * source as f64 / count as f64 - 0.5).max(0.0);
        let first = (position as usize).min(source - 1);
        Self { first, second: (first + 1).min(source - 1), share: (position - first as f64) as f32 }
    }

    fn of(&self, line: &[f32]) -> f32 {
        self.mix(line[self.first], line[self.second])
    }

    fn mix(&self, first: f32, second: f32) -> f32 {
        (1.0 - self.share) * first + self.share * second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torch.nn.functional.interpolate(torch.tensor([[[[1., 2.], [3., 5.]]]]), size=(3, 4), mode="bilinear")
    #[test]
    fn resizes_as_torch_does() {
        let small = Latents { values: vec![1.0, 2.0, 3.0, 5.0], size: Size::square(2) };
        let expected = [1.0, 1.25, 1.75, 2.0, 2.0, 2.375, 3.125, 3.5, 3.0, 3.5, 4.5, 5.0];
        assert_eq!(small.resized(Size::new(4, 3)).values, expected);
        assert_eq!(small.resized(small.size), small);
    }
}
