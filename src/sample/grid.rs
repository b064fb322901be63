//! Pictures side by side, with labels above the columns and beside the rows.

use image::{Rgb, RgbImage, imageops};

use super::fonts::Fonts;
use super::labels::{Label, Place, line_height};
use crate::data::names::same_form;

/// Lines of a column's label.
const MOST_LINES: usize = 6;
/// The widest row label, as a share of a cell.
const ROW_LABEL_SHARE: f32 = 0.8;

/// Draws pictures as a table on white: `cells[row][column]`, `columns` above, `rows` at the left; an empty
/// text takes no room. Smaller pictures are centred in their cells, missing ones left white.
///
/// Returns the picture, and a note for the user where no font has a sign of the labels.
pub fn labelled_grid(cells: &[Vec<RgbImage>], columns: &[String], rows: &[String]) -> (RgbImage, Option<String>) {
    let [columns, rows] = [columns, rows].map(|texts| texts.iter().map(|text| same_form(text)).collect::<Vec<_>>());
    let fonts = Fonts::for_text(&[columns.concat(), rows.concat()].concat());
    (draw_grid(cells, &columns, &rows, &fonts), fonts.note())
}

fn draw_grid(cells: &[Vec<RgbImage>], columns: &[String], rows: &[String], fonts: &Fonts) -> RgbImage {
    let table = Table::new(cells, columns.len(), rows.len());
    let row_labels: Vec<Label> = rows.iter().map(|text| table.row_label(text, fonts)).collect();
    let column_labels: Vec<Label> = columns.iter().map(|text| table.column_label(text, fonts)).collect();
    let beside = row_labels.iter().map(|label| label.width(fonts).ceil()).fold(0.0, f32::max);
    let left = table.margin + table.with_margin(beside);
    let width = left + table.offset(table.columns).0 - table.gap + table.margin;

    let above = column_labels.iter().map(Label::height).fold(0.0, f32::max);
    let top = table.margin + table.with_margin(above);
    let height = top + table.offset(table.rows).1 - table.gap + table.margin;

    let mut picture = RgbImage::from_pixel(width as u32, height as u32, Rgb([255; 3]));
    for (column, label) in column_labels.iter().enumerate() {
        let corner = (left + table.offset(column).0, top - table.margin - label.height());
        label.draw(&mut picture, Place { corner, width: table.cell.0, align: 0.5 }, fonts);
    }
    for (row, label) in row_labels.iter().enumerate() {
        let middle = top + table.offset(row).1 + (table.cell.1 - label.height()) / 2.0;
        let place = Place { corner: (table.margin, middle), width: beside, align: 1.0 };
        label.draw(&mut picture, place, fonts);
    }
    place_pictures(&mut picture, cells, (left, top), &table);
    picture
}

fn place_pictures(picture: &mut RgbImage, cells: &[Vec<RgbImage>], (left, top): (f32, f32), table: &Table) {
    for (row, cells) in cells.iter().enumerate() {
        for (column, cell) in cells.iter().enumerate() {
            let (width, height) = (cell.width() as f32, cell.height() as f32);
            let x = left + table.offset(column).0 + (table.cell.0 - width) / 2.0;
            let y = top + table.offset(row).1 + (table.cell.1 - height) / 2.0;
            imageops::replace(picture, cell, x as i64, y as i64);
        }
    }
}

/// Sizes in pixels.
struct Table {
    columns: usize,
    rows: usize,
    cell: (f32, f32),
    /// Between pictures.
    gap: f32,
    /// Around the whole, and between labels and pictures.
    margin: f32,
    font_size: f32,
}

impl Table {
    fn new(cells: &[Vec<RgbImage>], column_labels: usize, row_labels: usize) -> Self {
        let pictures = || cells.iter().flatten();
        let width = pictures().map(RgbImage::width).max().unwrap_or(0);
        let height = pictures().map(RgbImage::height).max().unwrap_or(0);
        let side = width.min(height) as f32;
        let font_size = (8.0 + side / 32.0).round().clamp(11.0, 32.0);
        Self {
            columns: cells.iter().map(Vec::len).max().unwrap_or(0).max(column_labels),
            rows: cells.len().max(row_labels),
            cell: (width as f32, height as f32),
            gap: (side / 48.0).round().clamp(4.0, 12.0),
            margin: (0.6 * font_size).round(),
            font_size,
        }
    }

    /// The distance of the nth cell from the first, to the right and down.
    fn offset(&self, number: usize) -> (f32, f32) {
        (number as f32 * (self.cell.0 + self.gap), number as f32 * (self.cell.1 + self.gap))
    }

    /// A label's width or height with the room behind it; none where there is no label.
    fn with_margin(&self, length: f32) -> f32 {
        if length > 0.0 { length + self.margin } else { 0.0 }
    }

    fn row_label(&self, text: &str, fonts: &Fonts) -> Label {
        let lines = (self.cell.1 / line_height(self.font_size)).max(1.0) as usize;
        Label::new(text, self.font_size, ROW_LABEL_SHARE * self.cell.0, lines, fonts)
    }

    fn column_label(&self, text: &str, fonts: &Fonts) -> Label {
        Label::new(text, self.font_size, self.cell.0, MOST_LINES, fonts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INK: Rgb<u8> = Rgb([200, 0, 0]);

    fn cells(columns: usize, rows: usize) -> Vec<Vec<RgbImage>> {
        vec![vec![RgbImage::from_pixel(96, 64, INK); columns]; rows]
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| text.to_string()).collect()
    }

    /// Left, top, right and bottom of the pictures.
    fn pictures(grid: &RgbImage) -> (u32, u32, u32, u32) {
        let inked = || grid.enumerate_pixels().filter(|(.., pixel)| **pixel == INK);
        let (columns, rows) = (inked().map(|(x, ..)| x), inked().map(|(_, y, _)| y));
        (columns.clone().min().unwrap(), rows.clone().min().unwrap(), columns.max().unwrap(), rows.max().unwrap())
    }

    #[test]
    fn every_picture_is_whole_and_labels_take_room() {
        let (bare, _) = labelled_grid(&cells(3, 2), &[], &[]);
        let columns = texts(&["0", "1", "Muse\u{301}e"]);
        let (labelled, note) = labelled_grid(&cells(3, 2), &columns, &texts(&["a", "b"]));
        assert_eq!(note, None);
        for grid in [&bare, &labelled] {
            assert_eq!(grid.pixels().filter(|pixel| **pixel == INK).count(), 6 * 96 * 64);
        }
        let ((left, top, right, bottom), margin) = (pictures(&bare), 7);
        assert_eq!((left, top), (margin, margin));
        assert_eq!((right + 1 + margin, bottom + 1 + margin), bare.dimensions());
        let (further, lower, ..) = pictures(&labelled);
        assert!(further > left + 6 && lower > top + 12, "{further} {lower}");
    }

    #[test]
    fn smaller_pictures_are_centred_and_missing_ones_white() {
        let mut cells = cells(2, 2);
        cells[0][0] = RgbImage::from_pixel(16, 24, Rgb([0, 0, 200]));
        cells[1].pop();
        let (grid, _) = labelled_grid(&cells, &[], &[]);
        assert_eq!(grid.pixels().filter(|pixel| **pixel == INK).count(), 2 * 96 * 64);
        let small: Vec<_> = grid.enumerate_pixels().filter(|(.., pixel)| pixel[2] == 200).collect();
        assert_eq!((small[0].0, small[0].1, small.len()), (7 + 40, 7 + 20, 16 * 24));
        assert_eq!(grid.get_pixel(grid.width() - 20, grid.height() - 20), &Rgb([255; 3]));
    }

    #[test]
    fn a_grid_of_nothing_is_no_panic() {
        assert!(labelled_grid(&[], &[], &[]).0.width() > 0);
        assert!(labelled_grid(&[vec![]], &texts(&["a"]), &texts(&["b"])).0.width() > 0);
    }
}
