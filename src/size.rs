//! Width and height of a picture or of a latent. A leaf that all others may import.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

/// Pixels of a picture, or rows and columns of a latent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

impl Size {
    pub const fn new(width: usize, height: usize) -> Self {
        Self { width, height }
    }

    pub const fn square(side: usize) -> Self {
        Self::new(side, side)
    }

    /// Pixels, or places of a latent.
    pub fn area(self) -> usize {
        self.width * self.height
    }

    /// Of a picture that is turned by a quarter.
    #[must_use]
    pub fn turned(self) -> Self {
        Self::new(self.height, self.width)
    }

    /// The latent of a picture of this size, with `cell` pixels along each side of one of its places; both sides of the
    /// picture are multiples of that.
    #[must_use]
    pub fn cells(self, cell: usize) -> Self {
        Self::new(self.width / cell, self.height / cell)
    }

    /// The picture of a latent of this size, with `cell` pixels along each side of one of its places.
    #[must_use]
    pub fn pixels(self, cell: usize) -> Self {
        Self::new(self.width * cell, self.height * cell)
    }
}

/// As the image crate has it.
impl From<(u32, u32)> for Size {
    fn from((width, height): (u32, u32)) -> Self {
        Self::new(width as usize, height as usize)
    }
}

impl Display for Size {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_comes_first_and_cells_lead_back_to_pixels() {
        let size = Size::new(512, 768);
        assert_eq!(size.to_string(), "512×768");
        assert_eq!((size.cells(8), size.area()), (Size { width: 64, height: 96 }, 512 * 768));
        assert_eq!(size.cells(8).pixels(8), size);
        assert_eq!(size.turned(), Size::new(768, 512));
    }
}
