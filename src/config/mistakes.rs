//! All that is wrong with a configuration, told at once.

use anyhow::{Error, Result, anyhow};
use std::path::Path;

/// Mistakes, each with its line of the file where it has one.
#[derive(Default)]
pub(super) struct Mistakes(Vec<(Option<usize>, Error)>);

impl Mistakes {
    pub(super) fn add(&mut self, line: Option<usize>, mistake: Error) {
        self.0.push((line, mistake));
    }

    /// # Errors
    /// One mistake as it is; several in one text, top to bottom, those without a line last.
    pub(super) fn into_result(mut self, path: &Path) -> Result<()> {
        match self.0.len() {
            0 => Ok(()),
            1 => Err(self.0.remove(0).1),
            count => {
                self.0.sort_by_key(|(line, _)| (line.is_none(), *line));
                let told: Vec<String> = self.0.iter().map(|(_, mistake)| format!("{mistake:#}")).collect();
                Err(anyhow!("{}: {count} mistakes\n{}", path.display(), told.join("\n")))
            }
        }
    }
}
