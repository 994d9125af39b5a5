//! What of a foreign file has been taken over, and what has not and why.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use toml::Value;

/// A foreign file, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// As it was named.
    pub path: PathBuf,
    /// At least one; names unique.
    pub apps: Vec<Draft>,
    /// About the file as a whole.
    pub notes: Vec<Note>,
}

/// Something that was not taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// As it was written.
    pub key: String,
    /// Why, and what to do instead: a fragment without a full stop.
    pub reason: String,
    /// What that means.
    pub weight: Weight,
}

/// What it means that something was not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Its value cannot be what was meant, so the app is not started without asking.
    Mistake,
    /// Something is different now.
    Lost,
    /// Nothing is lost.
    Needless,
}

/// One app on its way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    /// Fit for an app.
    pub name: String,
    /// In the order of the table of keys.
    pub settings: Vec<Setting>,
    /// What was not taken over.
    pub notes: Vec<Note>,
    /// What has the last word once all keys are known.
    pub(super) pending: Pending,
}

/// One setting of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Our key.
    pub key: String,
    /// As in stead.toml.
    pub value: Value,
    /// The key it comes from.
    pub from: String,
    /// What is different now.
    pub remark: Option<String>,
}

/// What several keys of PM2's make together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pending {
    /// Where its files are looked for: absolute.
    pub(super) directory: PathBuf,
    pub(super) script: Option<String>,
    pub(super) arguments: Vec<String>,
    pub(super) interpreter: Option<String>,
    pub(super) interpreter_arguments: Vec<String>,
    pub(super) name: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) port: Option<String>,
    /// Keys of log files that are the null device.
    pub(super) silenced: Vec<String>,
}

impl Draft {
    pub(super) fn new(directory: &Path) -> Draft {
        Draft {
            pending: Pending { directory: directory.to_owned(), ..Pending::default() },
            ..Draft::default()
        }
    }

    /// Takes a setting over; an earlier one of the same key stays.
    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>, from: &str) -> &mut Draft {
        if self.settings.iter().all(|setting| setting.key != key) {
            let (key, from) = (key.to_owned(), from.to_owned());
            self.settings.push(Setting { key, value: value.into(), from, remark: None });
        }
        self
    }

    /// Says what is different about the setting taken over last.
    pub(super) fn remark(&mut self, remark: &str) {
        if let Some(setting) = self.settings.last_mut() {
            setting.remark = Some(remark.to_owned());
        }
    }

    /// Something is lost: why, and what to do instead.
    pub(super) fn note(&mut self, key: &str, reason: impl Into<String>) {
        self.notes.push(Note::new(key, reason, Weight::Lost));
    }
}

/// A note with all the apps that it is about; none: the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// What.
    pub note: &'a Note,
    /// Their names.
    pub apps: Vec<&'a str>,
}

impl Imported {
    /// What was not taken over, once for all apps that it is about.
    pub fn told(&self) -> Vec<Told<'_>> {
        let mut all: Vec<Told<'_>> = self.notes.iter().map(|note| Told { note, apps: Vec::new() }).collect();
        for (app, note) in self.apps.iter().flat_map(|app| app.notes.iter().map(move |note| (app, note))) {
            match all.iter_mut().find(|told| told.note == note && !told.apps.is_empty()) {
                Some(told) => told.apps.push(&app.name),
                None => all.push(Told { note, apps: vec![&app.name] }),
            }
        }
        all
    }
}

impl Display for Told<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        /// Names that are worth reading.
        const NAMES_MAX: usize = 5;
        let Note { key, reason, .. } = self.note;
        match self.apps.as_slice() {
            [] => write!(formatter, "`{key}`: {reason}"),
            names if names.len() > NAMES_MAX => write!(formatter, "`{key}` ({} apps): {reason}", names.len()),
            names => write!(formatter, "`{key}` ({}): {reason}", names.join(", ")),
        }
    }
}

impl Note {
    pub(super) fn new(key: &str, reason: impl Into<String>, weight: Weight) -> Note {
        Note { key: key.to_owned(), reason: reason.into(), weight }
    }
}

/// A text made fit for the name of an app.
pub fn fit_name(text: &str) -> String {
    let fit =
        |letter: char| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '-' };
    let name: String = text.chars().map(fit).collect();
    match name.trim_matches(['-', '.', '_']) {
        "" => "app".to_owned(),
        name => name.to_owned(),
    }
}
