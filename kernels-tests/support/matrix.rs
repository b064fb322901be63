//! Matrices in f64, for plain loops.

use super::Tensor;

/// A matrix, row by row.
#[derive(Clone, Debug)]
pub struct Matrix {
    pub rows: usize,
    pub columns: usize,
    pub data: Vec<f64>,
}

impl Matrix {
    pub fn new(rows: usize, columns: usize, element: impl Fn(usize, usize) -> f64) -> Self {
        Self { rows, columns, data: (0..rows * columns).map(|at| element(at / columns, at % columns)).collect() }
    }

    /// A tensor whose last dimension is the columns.
    pub fn of(tensor: &Tensor) -> Self {
        let columns = tensor.shape[tensor.shape.len() - 1];
        Self::new(tensor.data.len() / columns, columns, |row, column| f64::from(tensor.data[row * columns + column]))
    }

    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.data[row * self.columns + column]
    }

    pub fn transposed(&self) -> Self {
        Self::new(self.columns, self.rows, |row, column| self.at(column, row))
    }

    pub fn times(&self, other: &Self) -> Self {
        Self::new(self.rows, other.columns, |row, column| {
            (0..self.columns).map(|i| self.at(row, i) * other.at(i, column)).sum()
        })
    }

    pub fn plus(&self, factor: f64, other: &Self) -> Self {
        Self::new(self.rows, self.columns, |row, column| self.at(row, column) + factor * other.at(row, column))
    }
}
