//! What is to be told about an import.

/// What became of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has another name here, or is counted differently.
    Renamed,
    /// It was left out there, and its default there is not ours.
    WrittenOut,
    NoEffect,
    /// It would change the result, and is not there, or not yet.
    NotTakenOver,
    ByHand,
}

impl Fate {
    /// In the order in which they are told.
    pub const ALL: [Fate; 5] = [Fate::Renamed, Fate::WrittenOut, Fate::NoEffect, Fate::NotTakenOver, Fate::ByHand];

    pub fn title(self) -> &'static str {
        match self {
            Fate::Renamed => "renamed or converted",
            Fate::WrittenOut => "written out, because the other trainer has another default",
            Fate::NoEffect => "changes nothing here",
            Fate::NotTakenOver => "not taken over, though it would change the result",
            Fate::ByHand => "to fill in or to check by hand",
        }
    }
}

/// Settings of which the same is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub fate: Fate,
    pub names: Vec<String>,
    /// May be empty, where the fate says all.
    pub text: String,
}

impl Finding {
    /// "xformers, lowram: speed and memory".
    pub fn line(&self) -> String {
        let names = self.names.join(", ");
        if self.text.is_empty() { names } else { format!("{names}: {}", self.text) }
    }
}

/// All that is to be told.
#[derive(Clone, Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, fate: Fate, name: impl Into<String>, text: impl Into<String>) {
        let (name, text) = (name.into(), text.into());
        match self.0.iter_mut().find(|finding| finding.fate == fate && finding.text == text) {
            Some(finding) => finding.names.push(name),
            None => self.0.push(Finding { fate, names: vec![name], text }),
        }
    }

    /// Those of one fate, in the order of the file.
    pub fn of(&self, fate: Fate) -> impl Iterator<Item = &Finding> {
        self.0.iter().filter(move |finding| finding.fate == fate)
    }
}
