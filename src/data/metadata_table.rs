//! Metadata tables: captions of many pictures in one csv or jsonl file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Map, Value};

use super::text_encoding::{DecodedText, read_text};

const FILE_COLUMNS: [&str; 3] = ["filename", "file_name", "image"];
const CAPTION_COLUMNS: [&str; 3] = ["prompt", "text", "caption"];

/// One picture's caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Line of the table on which the row starts, from 1.
    pub line: usize,
    /// As the table spells it: relative to the picture folder.
    pub file_name: String,
    pub caption: String,
}

impl Row {
    /// Where the row's file lies if `root` is the picture folder: tables written on Windows separate folders by `\`.
    pub fn path(&self, root: &Path) -> PathBuf {
        let name = self.file_name.replace('\\', "/");
        root.join(name.trim_start_matches("./"))
    }
}

/// A metadata table.
#[derive(Debug, PartialEq, Eq)]
pub struct MetadataTable {
    pub rows: Vec<Row>,
    /// Columns of a csv that were passed over.
    pub other_columns: Vec<String>,
    /// The encoding's name where it is not UTF-8.
    pub encoding: Option<&'static str>,
}

impl MetadataTable {
    /// Reads a `.csv` or `.jsonl` table; `.tsv` and `.txt` are read as csv, for Excel saves such. Columns (or keys) are one of `filename`, `file_name`, `image` and one of
    /// `prompt`, `text`, `caption`; others are passed over. A csv may be separated by commas, semicolons or tabs.
    /// Where its header has the file and the caption column only, a caption may hold separators without being
    /// quoted: the row's first one splits. Errors name file and line; a table without rows is one.
    pub fn read(path: &Path) -> Result<Self> {
        let table = Self::read_even_empty(path)?;
        ensure!(!table.rows.is_empty(), "the metadata table {} has no rows", path.display());
        Ok(table)
    }

    /// As [`Self::read`], for a table that is yet to be filled.
    pub fn read_even_empty(path: &Path) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let parse = match extension.as_str() {
            "csv" | "tsv" | "txt" => csv_rows,
            "jsonl" => jsonl_rows,
            "xlsx" | "xls" | "ods" | "numbers" => bail!(
                "{} is a spreadsheet, not a table of text: save it as CSV (in Excel: Save As, CSV UTF-8)",
                path.display()
            ),
            _ => bail!("{}: a metadata table ends in .csv or .jsonl", path.display()),
        };
        let DecodedText { text, encoding } = read_text(path)?;
        let (rows, other_columns) =
            parse(&text).with_context(|| format!("cannot use the metadata table {}", path.display()))?;
        Ok(Self { rows, other_columns, encoding })
    }
}

/// Where a csv's header has the two columns.
struct Columns {
    file_name: usize,
    caption: usize,
    count: usize,
    others: Vec<String>,
    delimiter: u8,
}

impl Columns {
    fn find(header: &csv::StringRecord, delimiter: u8) -> Result<Self> {
        let names: Vec<String> = header.iter().map(|name| name.trim().to_lowercase()).collect();
        let file_name = find_column(&names, &FILE_COLUMNS)?;
        let caption = find_column(&names, &CAPTION_COLUMNS)?;
        let others = header.iter().enumerate().filter(|(index, _)| ![file_name, caption].contains(index));
        let others = others.map(|(_, name)| name.trim().to_owned()).collect();
        Ok(Self { file_name, caption, count: names.len(), others, delimiter })
    }

    fn row(&self, fields: &csv::StringRecord, line: usize) -> Result<Row> {
        let caption = if self.first_separator_splits() {
            let separator = char::from(self.delimiter).to_string();
            fields.iter().skip(1).collect::<Vec<_>>().join(&separator)
        } else {
            fields.get(self.caption).unwrap_or_default().to_owned()
        };
        let fits = fields.len() == self.count || (self.first_separator_splits() && fields.len() > self.count);
        ensure!(
            fits,
            "line {line} has {} fields where the header names {}: put a caption with commas into double quotes",
            fields.len(),
            self.count
        );
        Ok(Row { line, file_name: fields[self.file_name].trim().to_owned(), caption: unquote(caption.trim()) })
    }

    fn first_separator_splits(&self) -> bool {
        (self.count, self.file_name, self.caption) == (2, 0, 1)
    }
}

fn find_column(names: &[String], wanted: &[&str]) -> Result<usize> {
    let mut found = (0..names.len()).filter(|&index| wanted.contains(&names[index].as_str()));
    match (found.next(), found.next()) {
        (Some(index), None) => Ok(index),
        (Some(first), Some(second)) => {
            bail!("the header names both '{}' and '{}': keep one of them", names[first], names[second])
        }
        (None, _) => bail!(
            "the first line must name the columns, for instance filename,prompt: none of {} is among '{}'",
            wanted.join(", "),
            names.join(", ")
        ),
    }
}

/// The rows, and the names of columns that were passed over.
fn csv_rows(text: &str) -> Result<(Vec<Row>, Vec<String>)> {
    let (delimiter, header) = delimiter(text);
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(&text.as_bytes()[header..]);
    let columns = Columns::find(reader.headers()?, delimiter)?;
    let mut fields = csv::StringRecord::new();
    let mut rows = Vec::new();
    let mut start = header + reader.position().byte() as usize;
    while reader.read_record(&mut fields)? {
        let end = header + reader.position().byte() as usize;
        let line = first_line(text, start, end);
        ensure!(!has_open_quote(&text[start..end]), "line {line}: a double quote is opened and never closed");
        rows.push(columns.row(&fields, line)?);
        start = end;
    }
    Ok((rows, columns.others))
}

/// The separator, and where the header begins. The header tells it, for no column's name holds one; or a line `sep=;`
/// in front of it, which Excel understands.
fn delimiter(text: &str) -> (u8, usize) {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if let Some(&[delimiter @ (b'\t' | b';' | b',')]) = first.strip_prefix("sep=").map(str::as_bytes) {
        let header = text.find("sep=").unwrap_or_default() + first.len();
        return (delimiter, header);
    }
    let found = (*b"\t;").into_iter().find(|&delimiter| first.contains(char::from(delimiter)));
    (found.unwrap_or(b','), 0)
}

/// The line, from 1, of the first sign in `start..end` that is no line end: the reader passes over empty lines.
fn first_line(text: &str, start: usize, end: usize) -> usize {
    let empty = text[start..end].len() - text[start..end].trim_start_matches('\n').len();
    1 + text[..start + empty].matches('\n').count()
}

/// Whether a record swallowed further lines because of a single quote. A lone quote within one line is an inch mark.
fn has_open_quote(record: &str) -> bool {
    record.trim_matches('\n').contains('\n') && record.matches('"').count() % 2 == 1
}

/// Takes off quotes that the csv reader left because a space stood before them.
fn unquote(caption: &str) -> String {
    let inner = caption.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if !inner.replace("\"\"", "").contains('"') => inner.replace("\"\"", "\""),
        _ => caption.to_owned(),
    }
}

fn jsonl_rows(text: &str) -> Result<(Vec<Row>, Vec<String>)> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let rows = lines.map(|(number, line)| jsonl_row(line, number).with_context(|| format!("line {number}")));
    Ok((rows.collect::<Result<_>>()?, Vec::new()))
}

fn jsonl_row(text: &str, line: usize) -> Result<Row> {
    let object: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| anyhow!("no JSON object on one line, see column {}", error.column()))?;
    let file_name = string_value(&object, &FILE_COLUMNS)?.trim().to_owned();
    let caption = string_value(&object, &CAPTION_COLUMNS)?.trim().to_owned();
    Ok(Row { line, file_name, caption })
}

fn string_value<'a>(object: &'a Map<String, Value>, wanted: &[&str]) -> Result<&'a str> {
    let mut found = wanted.iter().filter_map(|key| object.get_key_value(*key));
    match (found.next(), found.next()) {
        (Some((key, value)), None) => value.as_str().with_context(|| format!("the value of '{key}' is no text")),
        (Some((first, _)), Some((second, _))) => bail!("both '{first}' and '{second}' are given: keep one of them"),
        (None, _) => bail!("no key is one of {}", wanted.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captions(table: Result<(Vec<Row>, Vec<String>)>) -> Vec<(usize, String, String)> {
        table.unwrap().0.into_iter().map(|row| (row.line, row.file_name, row.caption)).collect()
    }

    fn row(line: usize, file_name: &str, caption: &str) -> (usize, String, String) {
        (line, file_name.into(), caption.into())
    }

    #[test]
    fn unquoted_captions_split_at_the_first_comma() {
        let text = "filename,prompt\na.png,pink peony, silk, 5\" hoop\n\nb.png,\"quoted, with \"\"marks\"\"\"\nc.png, \"x, y\"\nd.png,\n";
        assert_eq!(
            captions(csv_rows(text)),
            [
                row(2, "a.png", "pink peony, silk, 5\" hoop"),
                row(4, "b.png", "quoted, with \"marks\""),
                row(5, "c.png", "x, y"),
                row(6, "d.png", ""),
            ]
        );
    }

    #[test]
    fn other_column_names_order_and_separators() {
        for text in ["file_name,text\na.png,x", "Image;Prompt\na.png;x", "caption\tid\timage\nx\t7\ta.png"] {
            assert_eq!(captions(csv_rows(text)), [row(2, "a.png", "x")], "{text}");
        }
        assert_eq!(csv_rows("prompt,Year,file_name,\n").unwrap().1, ["Year", ""]);
        assert_eq!(captions(csv_rows("sep=;\nfilename;prompt\na.png;x, y")), [row(3, "a.png", "x, y")]);
    }

    #[test]
    fn lines_are_counted_through_quoted_line_breaks() {
        let rows = captions(csv_rows("filename,prompt\na.png,\"two\nlines\"\nb.png,x\n"));
        assert_eq!(rows, [row(2, "a.png", "two\nlines"), row(4, "b.png", "x")]);
    }

    #[test]
    fn broken_csv_names_the_line() {
        let message = |text: &str| format!("{:#}", csv_rows(text).unwrap_err());
        assert!(message("a.png,x\nb.png,y\n").contains("the first line must name the columns"));
        assert!(message("filename,prompt,text\na,b,c\n").contains("both 'prompt' and 'text'"));
        assert!(message("filename,prompt,id\na.png,x,1\nb.png,y, z,2\n").contains("line 3 has 4 fields"));
        assert!(message("filename,prompt\na.png\n").contains("line 2 has 1 fields"));
        assert!(message("filename,prompt\na.png,\"x\nb.png,y\n").contains("line 2: a double quote"));
    }

    #[test]
    fn jsonl_rows_and_their_errors() {
        let text =
            "{\"file_name\": \"a.png\", \"text\": \"x, y\", \"id\": 3}\n\n{\"image\": \"b.png\", \"caption\": \"z\"}\n";
        assert_eq!(captions(jsonl_rows(text)), [row(1, "a.png", "x, y"), row(3, "b.png", "z")]);
        let message = |text: &str| format!("{:#}", jsonl_rows(text).unwrap_err());
        assert!(message("{\"image\": \"a\", \"text\": \"x\"}\n{oops}\n").starts_with("line 2: no JSON object"));
        assert!(message("{\"image\": \"a\"}").contains("prompt, text, caption"));
        assert!(message("{\"image\": \"a\", \"text\": 5}").contains("'text' is no text"));
    }

    #[test]
    fn table_of_a_spreadsheet_in_gb18030_is_read_by_file_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metadata.csv");
        std::fs::write(&path, encoding_rs::GB18030.encode("filename,prompt\r\n牡丹.png,苏州刺绣，牡丹\r\n").0).unwrap();
        let table = MetadataTable::read(&path).unwrap();
        assert_eq!(table.encoding, Some("GB18030"));
        assert_eq!(table.rows, [Row { line: 2, file_name: "牡丹.png".into(), caption: "苏州刺绣，牡丹".into() }]);
        std::fs::write(&path, "oops").unwrap();
        assert!(format!("{:#}", MetadataTable::read(&path).unwrap_err()).contains("metadata.csv"));
    }
}
