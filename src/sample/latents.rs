//! Latents on the host.

/// Latents of one picture, (4, height, width), channels first.
#[derive(Clone, Debug, PartialEq)]
pub struct Latents {
    pub values: Vec<f32>,
    pub height: usize,
    pub width: usize,
}

impl Latents {
    /// Bilinearly resized, as torch's `interpolate(mode="bilinear")` does it: the second pass of WebUIs under "Latent".
    pub fn resized(&self, height: usize, width: usize) -> Self {
        let rows: Vec<Between> = (0..height).map(|row| Between::new(row, height, self.height)).collect();
        let columns: Vec<Between> = (0..width).map(|column| Between::new(column, width, self.width)).collect();
        let mut values = Vec::with_capacity(self.values.len() / (self.height * self.width) * height * width);
        for channel in self.values.chunks_exact(self.height * self.width) {
            for row in &rows {
                let [above, below] = [row.first, row.second].map(|row| &channel[row * self.width..][..self.width]);
                values.extend(columns.iter().map(|column| row.mix(column.of(above), column.of(below))));
            }
        }
        Self { values, height, width }
    }
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
        let small = Latents { values: vec![1.0, 2.0, 3.0, 5.0], height: 2, width: 2 };
        let expected = [1.0, 1.25, 1.75, 2.0, 2.0, 2.375, 3.125, 3.5, 3.0, 3.5, 4.5, 5.0];
        assert_eq!(small.resized(3, 4).values, expected);
        assert_eq!(small.resized(2, 2), small);
    }
}
