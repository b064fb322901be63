//! A file that is written again and again during a run, while its content from before the run is kept.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::weights::{sha256_hex, write_atomically};

/// A file of which `NAME.bak` keeps the content that it had before the run (`NAME.bak2` before the next, and so on).
///
/// A run that was stopped leaves its own, half-finished content behind; the next run must not take that for the
/// original. So while a run lasts, the hidden file `.NAME.run` holds the hashes of what the run replaces and of what it
/// writes: a file with one of these hashes is the run's own.
#[derive(Debug)]
pub(super) struct KeptFile {
    path: PathBuf,
    /// Hash of what this run last saw on disk; `None` where there was no file.
    seen: Option<String>,
    /// Whether the file differs from all that a run left behind, and must be kept before it is replaced.
    is_original: bool,
}

impl KeptFile {
    /// Looks at the file as it is now, before it is read.
    pub fn open(path: &Path) -> Result<Self> {
        let seen = read_if_there(path)?.map(|content| sha256_hex(&content));
        let own = read_if_there(&run_mark(path))?.unwrap_or_default();
        let own = String::from_utf8_lossy(&own).into_owned();
        let is_original = seen.as_ref().is_some_and(|hash| !own.lines().any(|line| line == hash));
        Ok(Self { path: path.to_owned(), seen, is_original })
    }

    /// Replaces the content, unless it is the same. The first time the old one is kept.
    ///
    /// # Errors
    /// Trouble with the disk, and a file that somebody else has changed meanwhile, which is left as it is.
    pub fn write(&mut self, content: &[u8]) -> Result<()> {
        let old = read_if_there(&self.path)?;
        let (old_hash, new_hash) = (old.as_deref().map(sha256_hex), sha256_hex(content));
        ensure!(
            old_hash == self.seen,
            "{} was changed by another program while captions were written: run this again, it goes on from there",
            self.path.display()
        );
        if old_hash.as_deref() == Some(new_hash.as_str()) {
            return Ok(());
        }
        if let Some(old) = old.filter(|_| self.is_original) {
            keep_copy(&self.path, &old)?;
        }
        let hashes = format!("{}\n{new_hash}\n", old_hash.unwrap_or_default());
        write_atomically(&run_mark(&self.path), |out| out.write_all(hashes.as_bytes()))?;
        write_atomically(&self.path, |out| out.write_all(content))?;
        (self.seen, self.is_original) = (Some(new_hash), false);
        Ok(())
    }

    /// Says that the run is complete: what it wrote is an original for the next one.
    pub fn finish(self) -> Result<()> {
        let mark = run_mark(&self.path);
        match fs::remove_file(&mark) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", mark.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Keeps `content`, which `path` has, as `NAME.bak`, or as `NAME.bak2` and so on: no older copy is replaced.
pub(super) fn keep_copy(path: &Path, content: &[u8]) -> Result<()> {
    let first = backup(path);
    let later = (2..).map(|number| first.with_file_name(format!("{}{number}", name_of(&first))));
    let free = std::iter::once(first.clone()).chain(later).find(|copy| !copy.exists());
    write_atomically(&free.expect("numbers do not end"), |out| out.write_all(content))
}

/// Where the content from before the first run is kept.
pub(super) fn backup(path: &Path) -> PathBuf {
    path.with_file_name(format!("{}.bak", name_of(path)))
}

fn run_mark(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}.run", name_of(path)))
}

fn name_of(path: &Path) -> String {
    crate::data::names::file_name(path)
}

pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    }

    fn expected(table: &str, backup: &str) -> Vec<(String, String)> {
        vec![("a.csv".into(), table.into()), ("a.csv.bak".into(), backup.into())]
    }

    #[test]
    fn the_original_outlives_stopped_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs::write(&path, "original").unwrap();
        let mut stopped = KeptFile::open(&path).unwrap();
        stopped.write(b"one").unwrap();
        stopped.write(b"two").unwrap();
        drop(stopped);
        let mut second = KeptFile::open(&path).unwrap();
        second.write(b"three").unwrap();
        assert_eq!(files(folder.path()), expected("three", "original"));
        second.finish().unwrap();
        assert!(!run_mark(&path).exists());
        KeptFile::open(&path).unwrap().write(b"four").unwrap();
        let mut all = expected("four", "original").to_vec();
        all.push(("a.csv.bak2".into(), "three".into()));
        assert_eq!(files(folder.path()), all);
    }

    #[test]
    fn what_a_person_changed_after_a_stop_is_an_original() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        KeptFile::open(&path).unwrap().write(b"one").unwrap();
        fs::write(&path, "corrected").unwrap();
        KeptFile::open(&path).unwrap().write(b"two").unwrap();
        assert_eq!(files(folder.path()), expected("two", "corrected"));
    }

    #[test]
    fn a_change_under_way_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mut kept = KeptFile::open(&path).unwrap();
        kept.write(b"one").unwrap();
        fs::write(&path, "corrected").unwrap();
        let message = kept.write(b"two").unwrap_err().to_string();
        assert!(message.contains("a.csv was changed by another program"), "{message}");
        assert_eq!(files(folder.path()), [("a.csv".into(), "corrected".into())]);
    }

    #[test]
    fn nothing_new_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs::write(&path, "same").unwrap();
        KeptFile::open(&path).unwrap().write(b"same").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
