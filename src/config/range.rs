//! Ranges of numbers: what a value must lie in, and how that is said.

use super::words::Language;
use std::ops::{Bound, RangeBounds, RangeInclusive};

/// The numbers that a key takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct NumberRange {
    low: Bound<f64>,
    high: Bound<f64>,
}

pub(super) const fn from(low: f64) -> NumberRange {
    NumberRange { low: Bound::Included(low), high: Bound::Unbounded }
}

pub(super) const fn above(low: f64) -> NumberRange {
    NumberRange { low: Bound::Excluded(low), high: Bound::Unbounded }
}

impl NumberRange {
    pub(super) const fn to(self, high: f64) -> Self {
        Self { high: Bound::Included(high), ..self }
    }

    pub(super) const fn below(self, high: f64) -> Self {
        Self { high: Bound::Excluded(high), ..self }
    }

    /// Whether a finite number lies within.
    pub(super) fn holds(&self, number: f64) -> bool {
        number.is_finite() && (self.low, self.high).contains(&number)
    }

    /// "a number from 0 to below 1".
    pub(super) fn said(&self, language: Language) -> String {
        match language {
            Language::English => self.in_english(),
            Language::Chinese => self.in_chinese(),
        }
    }

    fn in_english(&self) -> String {
        let low = match self.low {
            Bound::Included(low) => format!(" from {low}"),
            Bound::Excluded(low) => format!(" above {low}"),
            Bound::Unbounded => String::new(),
        };
        let high = match (self.low, self.high) {
            (_, Bound::Unbounded) => String::new(),
            (Bound::Excluded(_), Bound::Included(high)) => format!(" and at most {high}"),
            (_, Bound::Included(high)) => format!(" to {high}"),
            (Bound::Excluded(_), Bound::Excluded(high)) => format!(" and below {high}"),
            (_, Bound::Excluded(high)) => format!(" to below {high}"),
        };
        format!("a number{low}{high}")
    }

    fn in_chinese(&self) -> String {
        let low = match self.low {
            Bound::Included(low) => format!("不小于 {low}"),
            Bound::Excluded(low) => format!("大于 {low}"),
            Bound::Unbounded => String::new(),
        };
        let high = match self.high {
            Bound::Included(high) => format!("不大于 {high}"),
            Bound::Excluded(high) => format!("小于 {high}"),
            Bound::Unbounded => String::new(),
        };
        let joint = if low.is_empty() || high.is_empty() { "" } else { "、" };
        format!("{low}{joint}{high} 的数")
    }
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
    fn whole_numbers_have_a_most_or_none() {
        assert_eq!(whole_said(&(1..=2), Language::English), "a whole number from 1 to 2");
        assert_eq!(whole_said(&(0..=u32::MAX), Language::English), "a whole number from 0");
        assert_eq!(whole_said(&(1..=2), Language::Chinese), "1 到 2 的整数");
        assert_eq!(whole_said(&(0..=u32::MAX), Language::Chinese), "不小于 0 的整数");
    }
}
