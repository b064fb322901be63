//! Metadata tables: whatever Excel, Notepad and macOS make of them.

use encoding_rs::GB18030;

use super::{
    Outcome::{self, Read, Refused},
    folder_with, understand,
};

/// The table's name and content, the pictures beside it in natural order, and what must happen: `Read` has
/// their captions.
type Case = (&'static str, Vec<u8>, &'static [&'static str], Outcome);

const TABLE: &str = "filename,prompt\na.png,pink peony\nb.png,silk\n";
const PAIR: &[&str] = &["a.png", "b.png"];
const CAPTIONS: &[&str] = &["pink peony", "silk"];

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

fn encodings() -> Vec<Case> {
    let marked = format!("\u{FEFF}{TABLE}");
    let gb = |text| GB18030.encode(text).0.into_owned();
    let mark = "\u{FEFF}filename,prompt\na.png,pink peony\nb.png,silk\n";
    vec![
        ("metadata.csv", text(TABLE), PAIR, Read(CAPTIONS, &[])),
        ("metadata.csv", text(mark), PAIR, Read(CAPTIONS, &[])),
        ("metadata.csv", utf16(&marked, u16::to_le_bytes), PAIR, Read(CAPTIONS, &["was read as UTF-16LE"])),
        ("metadata.csv", utf16(&marked, u16::to_be_bytes), PAIR, Read(CAPTIONS, &["was read as UTF-16BE"])),
        ("metadata.csv", utf16(TABLE, u16::to_le_bytes), PAIR, Read(CAPTIONS, &["was read as UTF-16LE"])),
        (
            "metadata.csv",
            gb("filename,prompt\n牡丹.png,苏绣 silk embroidery\n"),
            &["牡丹.png"],
            Read(&["苏绣 silk embroidery"], &["metadata.csv is not UTF-8 and was read as GB18030"]),
        ),
        ("metadata.csv", b"filename,prompt\na.png,x\xFF\xFF\n".to_vec(), PAIR, Refused(&["line 2 is not UTF-8"])),
        ("metadata.csv", b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0".to_vec(), PAIR, Refused(&["metadata.csv", "UTF-8"])),
    ]
}

fn line_ends_and_separators() -> Vec<Case> {
    let with = |line_end: &str| text(&TABLE.replace('\n', line_end));
    let separated = |separator: &str| text(&TABLE.replace(',', separator));
    let excel = format!("sep=;\r\n{}", TABLE.replace(',', ";").replace('\n', "\r\n"));
    vec![
        ("metadata.csv", with("\r\n"), PAIR, Read(CAPTIONS, &[])),
        ("metadata.csv", with("\r"), PAIR, Read(CAPTIONS, &[])),
        ("metadata.csv", with("\n\n"), PAIR, Read(CAPTIONS, &[])),
        ("metadata.csv", separated(";"), PAIR, Read(CAPTIONS, &[])),
        ("metadata.csv", separated("\t"), PAIR, Read(CAPTIONS, &[])),
        ("metadata.csv", text(&excel), PAIR, Read(CAPTIONS, &[])),
        (
            "metadata.csv",
            text("filename,prompt\na.png,pink, red, 5\" hoop\nb.png,\"silk, \"\"fine\"\"\"\n"),
            PAIR,
            Read(&["pink, red, 5\" hoop", "silk, \"fine\""], &[]),
        ),
        ("metadata.csv", text("\"filename\";\"prompt\"\n\"a.png\";\"x; y\"\n"), &["a.png"], Read(&["x; y"], &[])),
        ("metadata.csv", text("filename,prompt\na.png,\"two\nlines\"\n"), &["a.png"], Read(&["two lines"], &[])),
        ("metadata.csv", text("filename,prompt\na.png,\"open\nb.png,y\n"), PAIR, Refused(&["line 2: a double quote"])),
        ("metadata.csv", text("Image;id;Prompt\na.png;7;x\n"), &["a.png"], Read(&["x"], &[])),
        ("metadata.csv", text("a.png,x\nb.png,y\n"), PAIR, Refused(&["filename,prompt", "a.png"])),
        (
            "metadata.jsonl",
            text("\u{FEFF}{\"file_name\": \"a.png\", \"text\": \"牡丹 silk, fine\"}\r\n"),
            &["a.png"],
            Read(&["牡丹 silk, fine"], &[]),
        ),
    ]
}

fn names() -> Vec<Case> {
    vec![
        ("metadata.csv", text("filename,prompt\nMus\u{E9}e.png,x\n"), &["Muse\u{301}e.png"], Read(&["x"], &[])),
        ("metadata.csv", text("filename,prompt\nMuse\u{301}e.png,x\n"), &["Mus\u{E9}e.png"], Read(&["x"], &[])),
        (
            "metadata.csv",
            text("filename,prompt\n刺绣/Mus\u{E9}e.png,x\n"),
            &["刺绣/Muse\u{301}e.png"],
            Read(&["x"], &[]),
        ),
        ("metadata.csv", text("filename,prompt\n 苏 绣 1.png ,x\n"), &["苏 绣 1.png"], Read(&["x"], &[])),
        (
            "metadata.csv",
            text("filename,prompt\n花\\a.png,x\n./b.png,y\n"),
            &["b.png", "花/a.png"],
            Read(&["y", "x"], &[]),
        ),
        ("metadata.csv", text("filename,prompt\nA.PNG,x\n"), &["A.PNG"], Read(&["x"], &[])),
        (
            "metadata.csv",
            text("filename,prompt\na.jpg,x\n"),
            &["a.JPEG"],
            Refused(&["line 2: 'a.jpg' (is it a.JPEG?)"]),
        ),
        ("metadata.csv", text("filename,prompt\na.png,x\n./a.png,y\n"), &["a.png"], Refused(&["lines 2 and 3"])),
        ("metadata.csv", text("filename,prompt\na.png,x\n"), PAIR, Refused(&["1 of 2 pictures", "b.png"])),
    ]
}

/// Tables that `metadata_path` must name, for they are not called metadata.csv.
fn other_files() -> Vec<Case> {
    vec![
        ("captions.tsv", text("filename\tprompt\na.png\tx, y\n"), &["a.png"], Read(&["x, y"], &[])),
        (
            "captions.txt",
            utf16("\u{FEFF}filename\tprompt\r\na.png\tx, y\r\n", u16::to_le_bytes),
            &["a.png"],
            Read(&["x, y"], &["captions.txt is not UTF-8 and was read as UTF-16LE"]),
        ),
        ("captions.xlsx", b"PK\x03\x04".to_vec(), PAIR, Refused(&["captions.xlsx is a spreadsheet", "CSV UTF-8"])),
        ("captions.docx", b"PK\x03\x04".to_vec(), PAIR, Refused(&["captions.docx", "ends in .csv or .jsonl"])),
    ]
}

#[track_caller]
fn check((table, content, pictures, outcome): &Case, number: usize) {
    let files: Vec<(&str, &[u8])> = pictures.iter().map(|name| (*name, &b""[..])).collect();
    let folder = folder_with(&[&files[..], &[(table, content)]].concat());
    let path = folder.path().join(table);
    let what = format!("case {number}, {table}");
    let metadata = (!table.starts_with("metadata")).then_some(&*path);
    outcome.judge(&what, understand(folder.path(), metadata), |captions, expected| {
        let expected: Vec<_> = pictures.iter().zip(expected).collect();
        let found: Vec<_> = captions.iter().map(|(name, caption)| (name, caption)).collect();
        assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{what}");
    });
}

fn check_all(cases: &[Case]) {
    cases.iter().zip(1..).for_each(|(case, number)| check(case, number));
}

#[test]
fn any_encoding_is_read_and_a_guess_is_told() {
    check_all(&encodings());
}

#[test]
fn line_ends_separators_and_quotes() {
    check_all(&line_ends_and_separators());
}

#[test]
fn names_are_found_however_they_are_spelled() {
    check_all(&names());
}

#[test]
fn other_files_than_csv() {
    check_all(&other_files());
}
