//! Ranges of numbers: what a value must lie in, and how that is said.

use super::words::Language;
use std::ops::{Bound, RangeBounds, RangeInclusive};

/// The numbers that a key takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct NumberRange {
    low: f64,
    includes_low: bool,
    high: Bound<f64>,
}

pub(super) const fn from(low: f64) -> NumberRange {
    NumberRange { low, includes_low: true, high: Bound::Unbounded }
}

pub(super) const fn above(low: f64) -> NumberRange {
    NumberRange { low, includes_low: false, high: Bound::Unbounded }
}

impl NumberRange {
    pub(super) const fn to(self, high: f64) -> Self {
        Self { high: Bound::Included(high), ..self }
    }

    pub(super) const fn below(self, high: f64) -> Self {
        Self { high: Bound::Excluded(high), ..self }
    }

    /// Whether a number lies within, and still does as the f32 that is computed with.
    pub(super) fn holds(&self, number: f64) -> bool {
        let low = if self.includes_low { Bound::Included(self.low) } else { Bound::Excluded(self.low) };
        let in_f32 = (low.map(|low| low as f32), self.high.map(|high| high as f32));
        fits_f32(number) && (low, self.high).contains(&number) && in_f32.contains(&(number as f32))
    }

    /// "a number from 0 to below 1".
    pub(super) fn said(&self, language: Language) -> String {
        match language {
            Language::English => self.in_english(),
            Language::Chinese => self.in_chinese(),
        }
    }

    fn in_english(&self) -> String {
        let (first, before_high) = if self.includes_low { ("from", " to") } else { ("above", " and") };
        let high = match self.high {
            Bound::Included(high) if self.includes_low => format!("{before_high} {high}"),
            Bound::Included(high) => format!("{before_high} at most {high}"),
            Bound::Excluded(high) => format!("{before_high} below {high}"),
            Bound::Unbounded => String::new(),
        };
        format!("a number {first} {}{high}", self.low)
    }

    fn in_chinese(&self) -> String {
        let first = if self.includes_low { "不小于" } else { "大于" };
        let high = match self.high {
            Bound::Included(high) => format!("、不大于 {high}"),
            Bound::Excluded(high) => format!("、小于 {high}"),
            Bound::Unbounded => String::new(),
        };
        format!("{first} {}{high} 的数", self.low)
    }
}

/// Whether an f32 holds a number, neither overflowing nor losing its digits below the smallest normal one.
pub(super) fn fits_f32(number: f64) -> bool {
    number == 0.0 || (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&number.abs())
}

/// "a whole number from 1 to 1024"; the largest number of its type is no bound.
pub(super) fn whole_said(range: &RangeInclusive<u32>, language: Language) -> String {
    let (low, high) = (range.start(), range.end());
    match (language, *high) {
        (Language::English, u32::MAX) => format!("a whole number from {low}"),
        (Language::English, _) => format!("a whole number from {low} to {high}"),
        (Language::Chinese, u32::MAX) => format!("不小于 {low} 的整数"),
        (Language::Chinese, _) => format!("{low} 到 {high} 的整数"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_what_it_says() {
        for (range, en, zh, inside, outside) in [
            (from(0.0), "a number from 0", "不小于 0 的数", 0.0, -0.1),
            (above(0.0), "a number above 0", "大于 0 的数", 1e9, 0.0),
            (from(0.0).to(1.0), "a number from 0 to 1", "不小于 0、不大于 1 的数", 1.0, 1.1),
            (from(0.0).below(1.0), "a number from 0 to below 1", "不小于 0、小于 1 的数", 0.99, 1.0),
            (above(0.0).to(1.0), "a number above 0 and at most 1", "大于 0、不大于 1 的数", 1.0, 0.0),
            (above(0.0).below(1.0), "a number above 0 and below 1", "大于 0、小于 1 的数", 0.5, 1.0),
        ] {
            assert_eq!(range.said(Language::English), en);
            assert_eq!(range.said(Language::Chinese), zh);
            assert!(range.holds(inside) && !range.holds(outside), "{en}");
            assert!(!range.holds(f64::NAN) && !range.holds(f64::INFINITY), "{en}");
        }
    }

    #[test]
    fn a_range_holds_what_an_f32_does() {
        for number in [1e39, 1e-39, 1e-300] {
            assert!(!from(0.0).holds(number), "{number}");
        }
        assert!(!from(0.0).below(1.0).holds(1.0 - 1e-9) && from(0.0).below(1.0).holds(1.0 - 1e-7));
        assert!(from(0.0).to(f64::from(u32::MAX)).holds(f64::from(u32::MAX)) && from(0.0).holds(1e-30));
    }

    #[test]
    fn whole_numbers_have_a_most_or_none() {
        assert_eq!(whole_said(&(1..=2), Language::English), "a whole number from 1 to 2");
        assert_eq!(whole_said(&(0..=u32::MAX), Language::English), "a whole number from 0");
        assert_eq!(whole_said(&(1..=2), Language::Chinese), "1 到 2 的整数");
        assert_eq!(whole_said(&(0..=u32::MAX), Language::Chinese), "不小于 0 的整数");
    }
}
