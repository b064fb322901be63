//! How a picture of any size becomes one of the training size: scaled until it covers it, the rest cut off.

use super::resize::Side;
use crate::size::Size;

/// The scaling and the centre crop that bring a picture to the training size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    pub horizontal: Side,
    pub vertical: Side,
}

impl Fit {
    /// Scales `source` so that it just covers `target`, the overhanging side rounded half up, and crops the middle. No
    /// length may be 0.
    pub fn cover(source: Size, target: Size) -> Self {
        let resized = if source.width * target.height >= source.height * target.width {
            Size::new(divide_half_up(source.width * target.height, source.height), target.height)
        } else {
            Size::new(target.width, divide_half_up(source.height * target.width, source.width))
        };
        Self {
            horizontal: Side::centred(source.width, resized.width, target.width),
            vertical: Side::centred(source.height, resized.height, target.height),
        }
    }

    /// The share of the picture, 0 to 1, that the crop cuts off.
    pub fn cut(&self) -> f64 {
        let kept_share = |side: Side| side.kept as f64 / side.resized as f64;
        1.0 - kept_share(self.horizontal) * kept_share(self.vertical)
    }

    /// Whether the picture had to be enlarged: it is smaller than the training size and will look soft.
    pub fn upscaled(&self) -> bool {
        [self.horizontal, self.vertical].iter().any(|side| side.resized > side.source)
    }
}

fn divide_half_up(dividend: usize, divisor: usize) -> usize {
    (2 * dividend + divisor) / (2 * divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cover(source: (usize, usize), target: (usize, usize)) -> Fit {
        Fit::cover(Size::new(source.0, source.1), Size::new(target.0, target.1))
    }

    #[test]
    fn wide_picture_loses_left_and_right() {
        let fit = cover((1000, 600), (512, 512));
        assert_eq!(fit.horizontal, Side { source: 1000, resized: 853, offset: 170, kept: 512 });
        assert_eq!(fit.vertical, Side { source: 600, resized: 512, offset: 0, kept: 512 });
        assert!((fit.cut() - (1.0 - 512.0 / 853.0)).abs() < 1e-12);
        assert!(!fit.upscaled());
    }

    #[test]
    fn overhang_is_rounded_half_up() {
        // 3 · 512 / 1024 = 1.5
        assert_eq!(cover((1024, 3), (512, 1)).vertical.resized, 2);
        assert_eq!(cover((3, 1024), (1, 512)).horizontal.resized, 2);
    }

    #[test]
    fn small_picture_is_upscaled_and_exact_one_untouched() {
        assert!(cover((511, 2000), (512, 512)).upscaled());
        let exact = cover((768, 512), (768, 512));
        assert_eq!((exact.cut(), exact.upscaled()), (0.0, false));
    }
}
