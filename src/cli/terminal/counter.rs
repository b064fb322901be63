//! Progress of a preparation on stderr: a bar where stderr is a terminal, plain lines now and then where it is not.

use std::{
    io::{self, IsTerminal},
    time::Instant,
};

use indicatif::{ProgressBar, ProgressStyle};

use super::progress::LINE_INTERVAL;

/// Counts items of a preparation.
pub struct Counter {
    items: &'static str,
    total: usize,
    done: usize,
    /// `None` where stderr is no terminal.
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Counter {
    /// Counts `total` of `items`, a word for what is counted.
    pub fn new(items: &'static str, total: usize) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{pos}/{len} {msg} {wide_bar}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total as u64).with_style(style).with_message(items)
        });
        Self { items, total, done: 0, bar, last_line: Instant::now() }
    }

    /// `count` more are done.
    pub fn add(&mut self, count: usize) {
        self.set(self.done + count);
    }

    /// So many are done.
    pub fn set(&mut self, done: usize) {
        self.done = done;
        if let Some(bar) = &self.bar {
            bar.set_position(self.done as u64);
        } else if self.last_line.elapsed() >= LINE_INTERVAL {
            self.line(&format!("{} of {} {}", self.done, self.total, self.items));
            self.last_line = Instant::now();
        }
    }

    /// A line that stays.
    pub fn line(&self, text: &str) {
        self.suspend(|| eprintln!("{text}"));
    }

    /// Runs what writes to the terminal, without the bar in its way.
    pub fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
