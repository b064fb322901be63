//! Curves as inline SVG.

use std::fmt::Write;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 92.0;
const BOTTOM: f64 = 30.0;
const MARGIN: f64 = 12.0;
/// Points of a drawn line at most; longer ones are averaged.
const POINTS: usize = 400;
const LINES: f64 = 4.0;

/// A line, or points with a line, over steps.
pub struct Series {
    /// Style on the page: `main`, `fine` or `other`.
    pub class: &'static str,
    /// (step, value); values that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    pub dots: bool,
}

/// The series in one frame, from zero or from the smallest value, whichever shows more.
pub fn svg(series: &[Series]) -> String {
    let points = || series.iter().flat_map(|series| &series.points).filter(|(_, value)| value.is_finite());
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NEG_INFINITY, f64::max);
    let last = most(&mut points().map(|(step, _)| *step)).max(1.0);
    let top = most(&mut points().map(|(_, value)| *value));
    let low = -most(&mut points().map(|(_, value)| -value));
    if !top.is_finite() {
        return String::new();
    }
    let frame = Frame::new(low, top, last);
    let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
    frame.draw(&mut out);
    series.iter().for_each(|series| frame.draw_series(series, &mut out));
    out + "</svg>"
}

/// The ranges of both axes.
struct Frame {
    low: f64,
    high: f64,
    step: f64,
    last: f64,
}

impl Frame {
    fn new(low: f64, top: f64, last: f64) -> Self {
        let low = if low >= 0.0 && low < 0.5 * top { 0.0 } else { low };
        let span = if top > low { top - low } else { top.abs().max(f64::MIN_POSITIVE) };
        let step = round_step(span / LINES);
        let low = (low / step).floor() * step;
        let high = (low + step).max((top / step).ceil() * step);
        Self { low, high, step, last }
    }

    fn x(&self, step: f64) -> f64 {
        LEFT + step / self.last * (WIDTH - LEFT - MARGIN)
    }

    fn y(&self, value: f64) -> f64 {
        MARGIN + (self.high - value) / (self.high - self.low) * (HEIGHT - BOTTOM - MARGIN)
    }

    /// Grid lines with their values, and steps below.
    fn draw(&self, out: &mut String) {
        let count = ((self.high - self.low) / self.step).round() as usize;
        for index in 0..=count {
            let value = self.low + index as f64 * self.step;
            let y = self.y(value);
            let right = WIDTH - MARGIN;
            push(out, format_args!("<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>"));
            let (x, y, label) = (LEFT - 8.0, y + 6.0, number(value, self.step));
            push(out, format_args!("<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{label}</text>"));
        }
        let step = round_step(self.last / LINES).max(1.0);
        for index in 0..=(self.last / step) as usize {
            let at = index as f64 * step;
            let (x, y) = (self.x(at), HEIGHT - 6.0);
            push(out, format_args!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{at}</text>"));
        }
    }

    fn draw_series(&self, series: &Series, out: &mut String) {
        let points = thinned(&series.points);
        let place = |&(step, value): &(f64, f64)| format!("{:.1},{:.1}", self.x(step), self.y(value));
        let line = points.iter().map(place).collect::<Vec<_>>().join(" ");
        push(out, format_args!("<polyline class=\"{}\" points=\"{line}\"/>", series.class));
        for (step, value) in points.iter().filter(|_| series.dots) {
            push(out, format_args!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/>", self.x(*step), self.y(*value)));
        }
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes everything");
}

/// The next number of 1, 2 or 5 times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// A value as short as the distance of the lines allows.
fn number(value: f64, step: f64) -> String {
    match step {
        _ if value == 0.0 => "0".to_owned(),
        step if step < 1e-3 => format!("{value:.1e}"),
        step => format!("{value:.*}", (-step.log10().floor()).max(0.0) as usize),
    }
}

/// Finite points, neighbours averaged where there are many.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite: Vec<(f64, f64)> = points.iter().copied().filter(|(_, value)| value.is_finite()).collect();
    let mean = |group: &[(f64, f64)]| {
        let count = group.len() as f64;
        (group.iter().map(|(step, _)| step).sum::<f64>() / count, group.iter().map(|(_, v)| v).sum::<f64>() / count)
    };
    finite.chunks(finite.len().div_ceil(POINTS).max(1)).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: Vec<(f64, f64)>) -> Series {
        Series { class: "main", points, dots: true }
    }

    #[test]
    fn lines_stand_at_round_numbers() {
        for (least, step) in [(0.03, 0.05), (0.011, 0.02), (1.0, 1.0), (2.5e-5, 5e-5), (7.0, 10.0)] {
            assert!((round_step(least) / step - 1.0).abs() < 1e-9, "{least}");
        }
        let frame = Frame::new(0.12, 0.13, 100.0);
        assert!((frame.low - 0.12).abs() < 1e-9 && (frame.high - 0.13).abs() < 1e-9, "{} {}", frame.low, frame.high);
        assert_eq!(Frame::new(0.01, 0.2, 1.0).low, 0.0);
    }

    #[test]
    fn every_point_lies_inside_of_the_frame() {
        let drawn = svg(&[series(vec![(0.0, 1.0), (50.0, 0.25), (100.0, f64::NAN)])]);
        assert_eq!(drawn.matches("<circle").count(), 2, "{drawn}");
        assert!(drawn.contains(&format!("cx=\"{LEFT:.1}\"")), "{drawn}");
        assert!(svg(&[series(Vec::new())]).is_empty());
        assert!(svg(&[series(vec![(1.0, 2.0)])]).contains("<circle"), "one value is a curve");
    }

    #[test]
    fn long_runs_are_averaged() {
        let points: Vec<(f64, f64)> = (0..1000).map(|step| (f64::from(step), f64::from(step % 2))).collect();
        let thin = thinned(&points);
        assert!(thin.len() <= POINTS);
        assert_eq!(thin[0], (1.0, 1.0 / 3.0));
    }
}
