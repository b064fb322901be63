//! Files that appear under their final name whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

/// Writes `path` through a temporary file in the same folder: write, flush to disk, rename, flush the folder.
/// An existing file is replaced; after an error it is untouched and no temporary file is left.
///
/// # Errors
/// The text names the path and what to do about a full disk, a missing or a read-only folder.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    write_checked(path, write, |_| Ok(()))
}

/// As [`write_atomically`], with a look at the finished temporary file before it takes the final name.
pub(super) fn write_checked(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    check: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let folder = folder_of(path);
    let temporary =
        create_temporary(folder).and_then(|file| fill(file, write)).map_err(|error| explain(path, error))?;
    check(temporary.path()).with_context(|| format!("checking {} after writing", path.display()))?;
    temporary.persist(path).map_err(|error| explain(path, error.error))?;
    flush_folder(folder).map_err(|error| explain(path, error))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn create_temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".writing-");
    // Temporary files are private by default; the final file must get the rights any other new file gets.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

fn fill(file: NamedTempFile, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<NamedTempFile> {
    let mut buffered = BufWriter::with_capacity(1 << 20, file);
    write(&mut buffered)?;
    let file = buffered.into_inner().map_err(|error| error.into_error())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// A rename is on disk only once its folder is; Windows has no such call and needs none.
fn flush_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn explain(path: &Path, error: io::Error) -> anyhow::Error {
    let advice = match error.kind() {
        ErrorKind::NotFound => ": its folder does not exist",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            ": no permission to write there; choose another place (output_dir, -o), or close the program that has the file open"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            ": the disk is full; free some space or choose another place (output_dir, -o)"
        }
        ErrorKind::IsADirectory => ": there is a folder of that name",
        _ => "",
    };
    anyhow::Error::new(error).context(format!("cannot write {}{advice}", path.display()))
}

/// Checks that `folder` can be written before anything expensive happens.
///
/// # Errors
/// A folder that cannot be created or written.
pub fn check_writable(folder: &Path) -> Result<()> {
    let attempt = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        tempfile::NamedTempFile::new_in(folder).map(drop)
    };
    attempt().with_context(|| format!("{} cannot be written", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> usize {
        std::fs::read_dir(folder).expect("test folder").count()
    }

    #[test]
    fn replaces_an_existing_file() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.bin");
        for text in ["first", "second"] {
            write_atomically(&path, |out| out.write_all(text.as_bytes()))?;
            assert_eq!(std::fs::read_to_string(&path)?, text);
        }
        assert_eq!(entries(folder.path()), 1);
        Ok(())
    }

    #[test]
    fn an_error_leaves_the_old_file_and_no_temporary() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.bin");
        write_atomically(&path, |out| out.write_all(b"old"))?;
        let error = write_atomically(&path, |out| {
            out.write_all(b"half")?;
            Err(ErrorKind::StorageFull.into())
        })
        .expect_err("the writer failed");
        let text = format!("{error:#}");
        assert!(text.contains("a.bin") && text.contains("disk is full"), "{text}");
        assert_eq!(std::fs::read(&path)?, b"old");
        assert_eq!(entries(folder.path()), 1);
        Ok(())
    }

    #[test]
    fn a_failed_check_keeps_the_final_name_free() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.bin");
        let checked = write_checked(&path, |out| out.write_all(b"x"), |_| anyhow::bail!("differs"));
        assert!(checked.is_err());
        assert_eq!(entries(folder.path()), 0);
        Ok(())
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = write_atomically(Path::new("no/such/folder/a.bin"), |_| Ok(())).expect_err("the folder is missing");
        let text = format!("{error:#}");
        assert!(text.contains("no/such/folder/a.bin") && text.contains("does not exist"), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_readable_like_any_other() -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir()?;
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write_atomically(&ours, |_| Ok(()))?;
        std::fs::write(&plain, b"")?;
        let mode = |path: &Path| std::fs::metadata(path).map(|data| data.permissions().mode());
        assert_eq!(mode(&ours)?, mode(&plain)?);
        Ok(())
    }
}
