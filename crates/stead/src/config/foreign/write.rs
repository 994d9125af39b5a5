//! What was imported, as a `stead.toml` with comments.

use super::draft::{Draft, Imported, Note, Setting, Weight};
use std::fmt::Write;
use toml::Value;

/// Columns that a comment may have.
const COLUMNS: usize = 120;

impl Imported {
    /// The whole file.
    pub fn to_toml(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let mut text = format!(
            "# Imported from {name}. Every key that is not here has its default; `stead config defaults` prints them with their reasons.\n"
        );
        self.notes.iter().for_each(|note| comment(&mut text, &format!("Not taken over: {}", said(note))));
        self.apps.iter().for_each(|app| write_app(&mut text, app));
        text
    }
}

fn write_app(text: &mut String, app: &Draft) {
    // A dot would begin a table in the table.
    let name = if app.name.contains('.') { format!("\"{}\"", app.name) } else { app.name.clone() };
    push(text, &format!("\n[app.{name}]\n"));
    for setting in &app.settings {
        if let Some(remark) = explained(setting) {
            comment(text, &remark);
        }
        push(text, &format!("{} = {}\n", setting.key, written(&setting.value)));
    }
    for note in app.notes.iter().filter(|note| note.weight != Weight::Needless) {
        let weight = if note.weight == Weight::Mistake { "Mistake" } else { "Not taken over" };
        comment(text, &format!("{weight}: {}", said(note)));
    }
}

/// Where a setting comes from, when its name does not say so, and what is different now.
fn explained(setting: &Setting) -> Option<String> {
    let Setting { key, from, remark, .. } = setting;
    let same = key == from || (key == "command" && from == "script");
    match (same, remark) {
        (true, None) => None,
        (true, Some(remark)) => Some(format!("{remark}.")),
        (false, None) => Some(format!("`{from}`.")),
        (false, Some(remark)) => Some(format!("`{from}`: {remark}.")),
    }
}

/// Long lists and tables one value per line would be prettier; one line is never wrong.
fn written(value: &Value) -> String {
    value.to_string().trim().to_owned()
}

fn said(note: &Note) -> String {
    let end = if note.reason.ends_with('?') { "" } else { "." };
    format!("`{}`: {}{end}", note.key, note.reason)
}

/// A comment, broken where it is too long.
fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > COLUMNS {
            push(text, &format!("{line}\n"));
            line = String::from("#  ");
        }
        line.push(' ');
        line.push_str(word);
    }
    push(text, &format!("{line}\n"));
}

fn push(text: &mut String, more: &str) {
    // Writing to a string cannot fail.
    let _ = text.write_str(more);
}
