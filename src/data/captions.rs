//! Which caption belongs to which picture: from a metadata table, or from text files beside the pictures.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use super::folder::{Picture, PictureFolder};
use super::metadata_table::{MetadataTable, Row};
use super::names::has_extension;
use super::names::{decomposed, file_name, name_list, same_form};
use super::text_encoding::{DecodedText, read_text};

/// Endings of caption files, the first that exists wins.
const CAPTION_EXTENSIONS: [&str; 2] = ["txt", "caption"];

/// The captions of a folder's pictures.
#[derive(Debug, Default)]
pub struct Captions {
    /// One per picture of the folder, in its order; `None` where there is none.
    pub captions: Vec<Option<String>>,
    /// Where the captions came from, and encodings that were guessed.
    pub notes: Vec<String>,
    /// Caption files beside the pictures that belong to none, or that were not asked for.
    pub unused_files: Vec<PathBuf>,
}

/// Captions from the table at `path`. Pictures that only the table names (in inner folders) join `folder`.
/// Errors: a row whose file is not there, two rows for one file.
pub fn from_table(path: &Path, folder: &mut PictureFolder, num_repeats: usize) -> Result<Captions> {
    let MetadataTable { rows, encoding, .. } = MetadataTable::read(path)?;
    let by_picture = rows_by_picture(path, &rows, folder)?;
    adopt(by_picture.keys(), folder, num_repeats);
    let captions =
        folder.pictures.iter().map(|picture| by_picture.get(&picture.path).map(|row| one_line(&row.caption)));
    let mut notes = vec![format!("captions come from {} ({} rows)", path.display(), rows.len())];
    notes.extend(encoding.map(|encoding| format!("{} is not UTF-8 and was read as {encoding}", file_name(path))));
    let files = caption_files(folder, &CAPTION_EXTENSIONS.map(String::from)).into_values();
    let unused_files = files.filter(|file| !is_same_file(file, path)).collect();
    Ok(Captions { captions: captions.collect(), notes, unused_files })
}

/// Captions from the files beside the pictures: `name.txt`, else `name.caption`; or `name` with
/// `caption_extension` alone, which may be given with or without its dot.
pub fn from_sidecars(folder: &PictureFolder, caption_extension: Option<&str>) -> Result<Captions> {
    let wanted = match caption_extension {
        Some(extension) => vec![extension.trim_start_matches('.').to_lowercase()],
        None => CAPTION_EXTENSIONS.map(String::from).to_vec(),
    };
    let known: Vec<String> = wanted.iter().cloned().chain(CAPTION_EXTENSIONS.map(String::from)).collect();
    let files = caption_files(folder, &known);
    let sidecars: Vec<Option<&PathBuf>> =
        folder.pictures.iter().map(|picture| sidecar(picture, &wanted, &files)).collect();
    let texts = sidecars.iter().map(|file| file.map(|file| read_text(file)).transpose());
    let texts: Vec<Option<DecodedText>> = texts.collect::<Result<_>>()?;

    let used: BTreeSet<&PathBuf> = sidecars.iter().copied().flatten().collect();
    let endings = wanted.iter().map(|extension| format!(".{extension}")).collect::<Vec<_>>().join(" and ");
    let mut notes = vec![format!("captions come from {} {endings} files beside the pictures", used.len())];
    notes.extend(encoding_note(&sidecars, &texts));
    let unused_files = files.values().filter(|file| !used.contains(file)).cloned().collect();
    let captions = texts.iter().map(|text| text.as_ref().map(|decoded| one_line(&decoded.text))).collect();
    Ok(Captions { captions, notes, unused_files })
}

fn is_same_file(left: &Path, right: &Path) -> bool {
    let canonical = |path: &Path| fs::canonicalize(path).ok();
    canonical(left) == canonical(right)
}

/// A path without its extension in one Unicode form, and the extension in lower case.
type FileKey = (String, String);

fn file_key(path: &Path, extension: &str) -> FileKey {
    (same_form(&path.with_extension("").to_string_lossy()), extension.to_lowercase())
}

/// The files with one of `extensions`.
fn caption_files(folder: &PictureFolder, extensions: &[String]) -> BTreeMap<FileKey, PathBuf> {
    let key = |path: &PathBuf| file_key(path, &path.extension().unwrap_or_default().to_string_lossy());
    let files = folder.others.iter().filter(|path| has_extension(path, extensions));
    files.map(|path| (key(path), path.clone())).collect()
}

fn sidecar<'a>(picture: &Picture, wanted: &[String], files: &'a BTreeMap<FileKey, PathBuf>) -> Option<&'a PathBuf> {
    wanted.iter().find_map(|extension| files.get(&file_key(&picture.path, extension)))
}

fn encoding_note(sidecars: &[Option<&PathBuf>], texts: &[Option<DecodedText>]) -> Option<String> {
    let read = sidecars.iter().flatten().zip(texts.iter().flatten());
    let guessed = read.filter_map(|(file, text)| text.encoding.map(|name| format!("{} ({name})", file_name(file))));
    let guessed: Vec<String> = guessed.collect();
    let count = guessed.len();
    (count > 0).then(|| {
        format!("{count} caption files are not UTF-8 and were read as another encoding: {}", name_list(guessed))
    })
}

/// Line ends and the space around them become one space: to the tokenizer they are the same.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Pictures that only the table names, in inner folders.
fn adopt<'a>(named: impl Iterator<Item = &'a PathBuf>, folder: &mut PictureFolder, num_repeats: usize) {
    let listed: BTreeSet<PathBuf> = folder.pictures.iter().map(|picture| picture.path.clone()).collect();
    let adopted = named.filter(|path| !listed.contains(*path));
    folder.pictures.extend(adopted.map(|path| Picture { path: path.clone(), repeats: num_repeats }));
    let pictures = &folder.pictures;
    folder.unread_folders.retain(|inner| !pictures.iter().any(|picture| picture.path.starts_with(inner)));
}

/// The files that the rows name: as they are spelled, else in another Unicode form of the same name.
struct NamedFiles {
    listed: BTreeSet<PathBuf>,
    by_form: BTreeMap<String, PathBuf>,
}

impl NamedFiles {
    fn of(folder: &PictureFolder) -> Self {
        let listed: BTreeSet<PathBuf> = folder.pictures.iter().map(|picture| picture.path.clone()).collect();
        let by_form = listed.iter().map(|path| (same_form(&path.to_string_lossy()), path.clone())).collect();
        Self { listed, by_form }
    }

    fn find(&self, path: PathBuf) -> Option<PathBuf> {
        if self.listed.contains(&path) {
            return Some(path);
        }
        let name = path.to_string_lossy().into_owned();
        let form = same_form(&name);
        self.by_form.get(&form).cloned().or_else(|| {
            let spellings = [path, PathBuf::from(decomposed(&name)), PathBuf::from(form)];
            spellings.into_iter().find(|path| path.is_file())
        })
    }
}

fn absent_message(table: &Path, absent: &[&Row], folder: &PictureFolder) -> String {
    let rows = name_list(absent.iter().map(|row| match similar_picture(&row.file_name, folder) {
        Some(similar) => format!("line {}: '{}' (is it {similar}?)", row.line, row.file_name),
        None => format!("line {}: '{}'", row.line, row.file_name),
    }));
    let root = folder.root.display();
    format!("{} names {} files that are not in {root}: {rows}", table.display(), absent.len())
}

/// A picture whose name differs in case, extension or folder only.
fn similar_picture(name: &str, folder: &PictureFolder) -> Option<String> {
    let stem =
        |name: &str| Path::new(&name.replace('\\', "/")).file_stem().map(|stem| stem.to_string_lossy().to_lowercase());
    let names = folder.pictures.iter().map(|picture| file_name(&picture.path));
    names.into_iter().find(|other| stem(other) == stem(name))
}

fn rows_by_picture<'a>(table: &Path, rows: &'a [Row], folder: &PictureFolder) -> Result<BTreeMap<PathBuf, &'a Row>> {
    let files = NamedFiles::of(folder);
    let mut by_picture: BTreeMap<PathBuf, &Row> = BTreeMap::new();
    let mut absent = Vec::new();
    for row in rows {
        let Some(path) = files.find(row.path(&folder.root)) else {
            absent.push(row);
            continue;
        };
        if let Some(earlier) = by_picture.insert(path, row) {
            let (name, table) = (&row.file_name, table.display());
            bail!("{table} gives '{name}' two captions, on lines {} and {}: keep one", earlier.line, row.line);
        }
    }
    ensure!(absent.is_empty(), absent_message(table, &absent, folder));
    Ok(by_picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(files: &[(&str, &[u8])]) -> (tempfile::TempDir, PictureFolder) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            fs::write(folder.path().join(name), content).unwrap();
        }
        let listing = PictureFolder::list(folder.path(), 1).unwrap();
        (folder, listing)
    }

    fn names(paths: &[PathBuf]) -> Vec<String> {
        paths.iter().map(|path| file_name(path)).collect()
    }

    #[test]
    fn text_files_win_over_caption_files() {
        let files: &[(&str, &[u8])] = &[
            ("a.png", b""),
            ("a.TXT", b" pink\r\n peony \n"),
            ("a.caption", b"other"),
            ("b.png", b""),
            ("b.caption", b"silk"),
            ("c.png", b""),
            ("z.txt", b"nobody's"),
        ];
        let (_guard, folder) = folder_with(files);
        let found = from_sidecars(&folder, None).unwrap();
        assert_eq!(found.captions, [Some("pink peony".into()), Some("silk".into()), None]);
        assert_eq!(names(&found.unused_files), ["a.caption", "z.txt"]);
    }

    #[test]
    fn an_explicit_extension_is_the_only_one() {
        let (_guard, folder) = folder_with(&[("a.png", b""), ("a.txt", b"x"), ("a.tags", b"y")]);
        for extension in ["tags", ".tags"] {
            let found = from_sidecars(&folder, Some(extension)).unwrap();
            assert_eq!(found.captions, [Some("y".into())]);
            assert_eq!(names(&found.unused_files), ["a.txt"]);
        }
    }

    #[test]
    fn a_guessed_encoding_is_told() {
        let caption = encoding_rs::GB18030.encode("牡丹").0;
        let (_guard, folder) = folder_with(&[("a.png", b""), ("a.txt", &caption)]);
        let found = from_sidecars(&folder, None).unwrap();
        assert_eq!(found.captions, [Some("牡丹".into())]);
        assert!(found.notes[1].contains("a.txt (GB18030)"), "{:?}", found.notes);
    }

    #[test]
    fn a_table_gives_captions_and_names_inner_pictures() {
        let table = b"filename,prompt\n./b.png,silk, red\ninner\\c.png,thread\n";
        let (guard, mut folder) =
            folder_with(&[("a.png", b""), ("b.png", b""), ("b.txt", b"x"), ("inner/c.png", b""), ("m.csv", table)]);
        let found = from_table(&guard.path().join("m.csv"), &mut folder, 1).unwrap();
        assert_eq!(found.captions, [None, Some("silk, red".into()), Some("thread".into())]);
        assert_eq!(folder.pictures.len(), 3);
        assert_eq!(names(&found.unused_files), ["b.txt"]);
    }

    #[test]
    fn rows_without_file_and_double_rows_are_errors() {
        let message = |table: &str| {
            let (guard, mut folder) = folder_with(&[("a.png", b""), ("m.csv", table.as_bytes())]);
            from_table(&guard.path().join("m.csv"), &mut folder, 1).unwrap_err().to_string()
        };
        let absent = message("filename,prompt\na.png,x\nA.jpg,y\nq.png,z\n");
        assert!(absent.contains("names 2 files"), "{absent}");
        assert!(absent.contains("line 3: 'A.jpg' (is it a.png?), line 4: 'q.png'"), "{absent}");
        let double = message("filename,prompt\na.png,x\n./a.png,y\n");
        assert!(double.contains("lines 2 and 3"), "{double}");
    }
}
