//! The apps of a Procfile: `name: command`, one per line.

use super::apps::Place;
use super::draft::{Draft, Note, Weight, fit_name};
use super::error::ForeignError;
use crate::config::shell;
use std::ffi::OsStr;

/// What runs Procfiles gives the first program the port in PORT, or else this one, and each other one a port that is so much
/// higher than the one before.
const PORT: u32 = 5000;
const PORT_STEP: u32 = 100;

pub(super) fn procfile(text: &str, place: Place<'_>) -> Result<(Vec<Draft>, Vec<Note>), ForeignError> {
    let (mut drafts, mut notes) = (Vec::new(), Vec::new());
    let port = place.environment.get(OsStr::new("PORT")).and_then(|port| port.to_str()?.parse().ok());
    let mut ports = (port.unwrap_or(PORT)..).step_by(PORT_STEP as usize);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let parts = line.split_once(':').map(|(name, command)| (name.trim(), command.trim()));
        let Some((name, command)) = parts.filter(|(name, command)| is_name(name) && !command.is_empty())
        else {
            let reason = format!("line {} is not `name: command`", index + 1);
            return Err(ForeignError::Malformed {
                path: place.name.to_owned(),
                format: "a Procfile",
                reason,
            });
        };
        let port = ports.next().unwrap_or(PORT);
        if name == "release" {
            let reason = "it runs once before a release: as `before_start` of an app, or by hand";
            notes.push(Note::new(name, reason, Weight::Lost));
            continue;
        }
        drafts.push(draft(name, command, &port.to_string()));
    }
    if drafts.is_empty() {
        return Err(ForeignError::NoApp { path: place.name.to_owned(), reason: "it has no line".to_owned() });
    }
    if place.directory.join(".env").is_file() {
        let reason = "its variables are not read: write them into `env`";
        notes.push(Note::new(".env", reason, Weight::Lost));
    }
    Ok((drafts, notes))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
}

fn draft(name: &str, command: &str, port: &str) -> Draft {
    let mut draft = Draft { name: fit_name(name), ..Draft::default() };
    draft.set("command", command, name);
    let line = shell::simple_line(command).filter(|_| !command.contains('$'));
    if line.is_none() {
        draft.set("shell", true, name);
    }
    let tells_port = command.contains("$PORT") || command.contains("${PORT");
    let is_node = command.split_whitespace().any(|word| word == "node" || word == "npm");
    if !is_node && (tells_port || name == "web") {
        draft.set("listen", vec![port.to_owned()], name);
        draft.remark("the public address; each copy gets a port of its own in PORT");
    } else {
        draft.set("env", toml::Table::from_iter([("PORT".to_owned(), port.into())]), name);
    }
    draft
}
