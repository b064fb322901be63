//! Files of the repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The repository's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `folder`, a path within the repository, that end in `extension`; sorted, as paths within the
/// repository.
pub fn below(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|own| own == extension) {
                found.push(path.strip_prefix(root()).expect("found below it").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The text of a file that [`below`] found.
pub fn text(path: &Path) -> String {
    fs::read_to_string(root().join(path)).expect("a readable file")
}
