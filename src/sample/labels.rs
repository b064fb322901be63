//! Short texts on pictures: measured, wrapped, drawn.

use ab_glyph::{Font, GlyphId, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};

use super::fonts::{Fonts, is_visible};

/// From one line to the next, in sizes.
const LINE_HEIGHT: f32 = 1.3;
/// From the top of a line to its baseline, in sizes.
const BASELINE: f32 = 1.0;
/// The box that stands for a sign which no font has, in sizes: its advance, the room around it and its line.
const BOX: (f32, f32, f32) = (0.9, 0.1, 0.07);
const INK: f32 = 24.0;

/// A text broken into lines.
pub struct Label {
    lines: Vec<String>,
    /// Pixels of the em square.
    size: f32,
}

/// Where a label goes, in pixels.
#[derive(Clone, Copy)]
pub struct Place {
    /// Left and top of the first line.
    pub corner: (f32, f32),
    pub width: f32,
    /// Where lines stand within the width: 0 left, 0.5 in the middle, 1 right.
    pub align: f32,
}

impl Label {
    /// Breaks `text` so that no line is wider than `width` pixels; what is beyond `most_lines` gives way to "…".
    pub fn new(text: &str, size: f32, width: f32, most_lines: usize, fonts: &Fonts) -> Self {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut lines = wrap(&text, size, width, fonts);
        if lines.len() > most_lines {
            lines.truncate(most_lines);
            lines.last_mut().into_iter().for_each(|line| cut(line, size, width, fonts));
        }
        Self { lines, size }
    }

    /// Width of the widest line, in pixels.
    pub fn width(&self, fonts: &Fonts) -> f32 {
        self.lines.iter().map(|line| text_width(line, self.size, fonts)).fold(0.0, f32::max)
    }

    pub fn height(&self) -> f32 {
        self.lines.len() as f32 * line_height(self.size)
    }

    /// Draws the lines where `place` says.
    pub fn draw(&self, picture: &mut RgbImage, place: Place, fonts: &Fonts) {
        let Place { corner: (left, top), width, align } = place;
        for (number, line) in self.lines.iter().enumerate() {
            let x = left + align * (width - text_width(line, self.size, fonts));
            let baseline = (top + number as f32 * line_height(self.size) + BASELINE * self.size).round();
            draw_line(picture, line, (x, baseline), self.size, fonts);
        }
    }
}

/// Whole pixels from one line to the next.
pub fn line_height(size: f32) -> f32 {
    (LINE_HEIGHT * size).round()
}

fn wrap(text: &str, size: f32, width: f32, fonts: &Fonts) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in unbroken_parts(text).into_iter().filter(|part| !part.is_empty()) {
        let longer = lines.last().map(|line| format!("{line}{part}"));
        match longer.filter(|longer| text_width(longer.trim_end(), size, fonts) <= width) {
            Some(longer) => *lines.last_mut().expect("it was made longer") = longer,
            None => lines.extend(pieces_that_fit(part, size, width, fonts)),
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// The stretches between places where a line may end.
fn unbroken_parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for ((_, before), (at, after)) in text.char_indices().zip(text.char_indices().skip(1)) {
        if may_break(before, after) {
            parts.push(&text[start..at]);
            start = at;
        }
    }
    parts.push(&text[start..]);
    parts
}

fn may_break(before: char, after: char) -> bool {
    const NEVER_FIRST: &str = "，。、；：！？）】》」』”’,.;:!?)]}";
    const NEVER_LAST: &str = "（【《「『“‘([{";
    if NEVER_FIRST.contains(after) || NEVER_LAST.contains(before) || after == ' ' {
        return false;
    }
    match before {
        ' ' | '_' | '/' => true,
        '-' | ',' => !after.is_ascii_digit(),
        _ => is_wide(before) || is_wide(after),
    }
}

/// Chinese, Japanese and Korean, which break between any two signs.
fn is_wide(sign: char) -> bool {
    matches!(sign, '\u{2E80}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FFEF}' | '\u{20000}'..='\u{3FFFF}')
}

/// A part, cut between signs where it is wider than a line.
fn pieces_that_fit(part: &str, size: f32, width: f32, fonts: &Fonts) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for sign in part.chars() {
        let last = pieces.last_mut().expect("there is always one");
        let longer = format!("{last}{sign}");
        if last.is_empty() || text_width(longer.trim_end(), size, fonts) <= width {
            *last = longer;
        } else {
            pieces.push(sign.to_string());
        }
    }
    pieces
}

/// Shortens a line until "…" fits behind it.
fn cut(line: &mut String, size: f32, width: f32, fonts: &Fonts) {
    while text_width(&format!("{line}…"), size, fonts) > width && line.pop().is_some() {}
    *line = format!("{}…", line.trim_end());
}

/// A sign as it is drawn: a glyph of a font at its scale, or a box.
enum Sign<'a> {
    Glyph(ab_glyph::PxScaleFont<&'a ab_glyph::FontArc>, GlyphId),
    Box,
}

fn signs<'a>(text: &'a str, size: f32, fonts: &'a Fonts) -> impl Iterator<Item = (Sign<'a>, f32)> {
    text.chars().filter(|&sign| is_visible(sign)).map(move |sign| match fonts.glyph(sign) {
        None => (Sign::Box, BOX.0 * size),
        Some((font, glyph)) => {
            let em = font.height_unscaled() / font.units_per_em().unwrap_or(1000.0);
            let scaled = font.into_scaled(PxScale::from(size * em));
            let advance = scaled.h_advance(glyph);
            (Sign::Glyph(scaled, glyph), advance)
        }
    })
}

fn text_width(text: &str, size: f32, fonts: &Fonts) -> f32 {
    signs(text, size, fonts).map(|(_, advance)| advance).sum()
}

fn draw_line(picture: &mut RgbImage, line: &str, (mut x, baseline): (f32, f32), size: f32, fonts: &Fonts) {
    for (sign, advance) in signs(line, size, fonts) {
        match sign {
            Sign::Box => draw_box(picture, (x, baseline), size),
            Sign::Glyph(font, glyph) => {
                let placed = glyph.with_scale_and_position(font.scale(), point(x, baseline));
                if let Some(outline) = font.outline_glyph(placed) {
                    let corner = outline.px_bounds().min;
                    outline.draw(|dx, dy, cover| {
                        ink(picture, corner.x as i64 + dx as i64, corner.y as i64 + dy as i64, cover)
                    });
                }
            }
        }
        x += advance;
    }
}

fn draw_box(picture: &mut RgbImage, (x, baseline): (f32, f32), size: f32) {
    let (left, bottom) = ((x + BOX.1 * size).round() as i64, baseline as i64);
    let (width, height) = (((BOX.0 - 2.0 * BOX.1) * size).round() as i64, (0.75 * size).round() as i64);
    let line = (BOX.2 * size).round().max(1.0) as i64;
    for (dx, dy) in (0..width).flat_map(|dx| (0..height).map(move |dy| (dx, dy))) {
        if dx.min(width - 1 - dx) < line || dy.min(height - 1 - dy) < line {
            ink(picture, left + dx, bottom - height + dy, 1.0);
        }
    }
}

/// Darkens a pixel, 0 to 1; outside of the picture nothing happens.
fn ink(picture: &mut RgbImage, x: i64, y: i64, cover: f32) {
    let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
    if let Some(Rgb(pixel)) = picture.get_pixel_mut_checked(x, y) {
        for value in pixel {
            *value = (f32::from(*value) + cover.clamp(0.0, 1.0) * (INK - f32::from(*value))).round() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: f32 = 14.0;

    fn lines(text: &str, width: f32, most: usize) -> Vec<String> {
        let fonts = Fonts::from_folders(text, &[]);
        let label = Label::new(text, SIZE, width, most, &fonts);
        assert!(label.width(&fonts) <= width, "{:?}", label.lines);
        label.lines
    }

    #[test]
    fn lines_end_where_they_may() {
        assert_eq!(lines("a photo\nof  a cat", 60.0, 9), ["a photo", "of a cat"]);
        assert_eq!(lines("suzhou_flower-000010", 60.0, 9), ["suzhou_", "flower-00", "0010"]);
        assert_eq!(lines("苏州刺绣，牡丹", 52.0, 9), ["苏州刺", "绣，牡丹"]);
        assert!(lines(" ", 60.0, 9).is_empty());
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let lines = lines(&"peony ".repeat(40), 100.0, 2);
        assert!(lines.len() == 2 && lines[1].ends_with('…') && !lines[0].ends_with('…'), "{lines:?}");
    }

    #[test]
    fn letters_and_boxes_are_drawn_inside_of_their_line() {
        for text in ["Ägypten, façade", "中国"] {
            let fonts = Fonts::from_folders(text, &[]);
            let label = Label::new(text, SIZE, 200.0, 1, &fonts);
            let mut picture = RgbImage::from_pixel(200, 40, Rgb([255; 3]));
            label.draw(&mut picture, Place { corner: (10.0, 10.0), width: 180.0, align: 0.5 }, &fonts);
            let inked: Vec<(u32, u32)> =
                picture.enumerate_pixels().filter(|(.., pixel)| pixel[0] < 128).map(|(x, y, _)| (x, y)).collect();
            assert!(inked.len() > 40, "{text}");
            assert!(inked.iter().all(|&(x, y)| (10..190).contains(&x) && (10..28).contains(&y)), "{text}");
        }
    }
}
