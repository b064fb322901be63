//! How frozen matrices lie in memory.
//!
//! A tile of a product reads a few columns of many rows. Were the rows stored whole, every read would begin another cache
//! line of another page, and lines would be thrown out before their other columns are read. So a wide matrix is stored in
//! panels: 64 columns of all rows, then the next 64, so that a tile reads one stretch of memory from end to end.

/// Columns of a panel: as many as the widest tile of the CPU drivers' kernels has. `shared/panels.wgsl` knows it too.
pub const PANEL: usize = 64;

/// A matrix as its shape describes it: `(rows, columns)`, or in panels `(columns / 64, rows, 64)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panels {
    pub rows: usize,
    pub columns: usize,
    /// Columns of a row that lie side by side.
    width: usize,
}

impl Panels {
    /// The best layout of a frozen matrix: panels where they divide its columns.
    pub fn of(rows: usize, columns: usize) -> Self {
        let width = if columns.is_multiple_of(PANEL) { PANEL } else { columns };
        Self { rows, columns, width }
    }

    /// The layout that a shape describes; `None` where it describes no matrix.
    pub fn described_by(shape: &[usize]) -> Option<Self> {
        match *shape {
            [rows, columns] => Some(Self { rows, columns, width: columns }),
            [panels, rows, PANEL] => Some(Self { rows, columns: panels * PANEL, width: PANEL }),
            _ => None,
        }
    }

    /// The shape that describes this layout.
    pub fn shape(self) -> Vec<usize> {
        if self.width == self.columns {
            return vec![self.rows, self.columns];
        }
        vec![self.columns / PANEL, self.rows, PANEL]
    }

    /// Where an element lies.
    pub fn index(self, row: usize, column: usize) -> usize {
        (column / self.width * self.rows + row) * self.width + column % self.width
    }

    /// Elements from one row to the next.
    pub(super) fn row_stride(self) -> usize {
        self.width
    }

    /// Elements from 64 columns of a row to its next 64.
    pub(super) fn panel_stride(self) -> usize {
        if self.width == self.columns { PANEL } else { self.rows * PANEL }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_has_a_place_of_its_own() {
        for panels in [Panels::of(3, 128), Panels::of(5, 64), Panels::of(2, 68)] {
            let places = (0..panels.rows * panels.columns)
                .map(|at| panels.index(at / panels.columns, at % panels.columns))
                .collect::<std::collections::BTreeSet<_>>();
            assert!(places.into_iter().eq(0..panels.rows * panels.columns), "{panels:?}");
        }
    }

    #[test]
    fn strides_lead_where_the_index_does() {
        for panels in [Panels::of(3, 192), Panels::of(5, 64), Panels::of(2, 132)] {
            for (row, column) in [(0, 0), (1, 63), (1, panels.columns - 1)] {
                let place = row * panels.row_stride() + column / PANEL * panels.panel_stride() + column % PANEL;
                assert_eq!(panels.index(row, column), place, "{panels:?}");
            }
        }
    }

    #[test]
    fn a_shape_tells_the_layout() {
        assert_eq!(Panels::of(3, 128).shape(), [2, 3, 64]);
        assert_eq!(Panels::of(3, 68).shape(), [3, 68]);
        for panels in [Panels::of(3, 128), Panels::of(3, 68)] {
            assert_eq!(Panels::described_by(&panels.shape()), Some(panels));
        }
        assert_eq!(Panels::described_by(&[2, 3, 60]), None);
    }
}
