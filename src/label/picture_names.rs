//! The names under which tables know a folder's pictures.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::data::folder::PictureFolder;
use crate::data::metadata_table::Row;
use crate::data::names::same_form;

/// Names of pictures relative to their folder, with `/` between folders, in the folder's order.
#[derive(Debug, Clone)]
pub struct PictureNames {
    root: PathBuf,
    names: Vec<String>,
    /// By full path, as it is spelled and in one Unicode form.
    by_path: HashMap<String, usize>,
}

impl PictureNames {
    /// # Errors
    /// A name that is no text, which no table could hold.
    pub fn of(folder: &PictureFolder) -> Result<Self> {
        let root = folder.root.clone();
        let names = folder.pictures.iter().map(|picture| relative_name(&root, &picture.path));
        let names: Vec<String> = names.collect::<Result<_>>()?;
        let paths: Vec<String> = names.iter().map(|name| path_text(&root.join(name))).collect();
        let mut by_path: HashMap<String, usize> = paths.iter().cloned().zip(0..).collect();
        for (index, path) in paths.iter().enumerate() {
            by_path.entry(same_form(path)).or_insert(index);
        }
        Ok(Self { root, names, by_path })
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of picture `index`.
    pub fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    /// The picture that a table's row names: as it is spelled there, else in another Unicode form.
    pub(super) fn find(&self, row: &Row) -> Option<usize> {
        let path = path_text(&row.path(&self.root));
        self.by_path.get(&path).or_else(|| self.by_path.get(&same_form(&path))).copied()
    }

    /// What two rows for one file have in common, be the file there or not.
    pub(super) fn key(&self, row: &Row) -> String {
        match self.find(row) {
            Some(index) => path_text(&self.root.join(&self.names[index])),
            None => same_form(&path_text(&row.path(&self.root))),
        }
    }
}

fn relative_name(root: &Path, path: &Path) -> Result<String> {
    let parts = path.strip_prefix(root).unwrap_or(path).iter().map(|part| part.to_str());
    let parts: Option<Vec<&str>> = parts.collect();
    let parts = parts.with_context(|| format!("the name of {} is not UTF-8: rename the file", path.display()))?;
    Ok(parts.join("/"))
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}
