//! The apps of a `package.json`: what its key `pm2` says, else its script `start`.

use super::apps::{Place, apps};
use super::draft::{Draft, Note, fit_name};
use super::error::ForeignError;
use serde_json::Value;

pub(super) fn package(value: &Value, place: Place<'_>) -> Result<(Vec<Draft>, Vec<Note>), ForeignError> {
    if let Some(pm2) = value.get("pm2") {
        return apps(pm2, place);
    }
    let start = value.pointer("/scripts/start").and_then(Value::as_str);
    if start.is_none_or(|line| line.trim().is_empty()) {
        let reason = "it has neither a script `start` nor the key `pm2`".to_owned();
        return Err(ForeignError::NoApp { path: place.name.to_owned(), reason });
    }
    let folder = place.directory.file_name().unwrap_or_default().to_string_lossy();
    let name = value.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = name.map_or(folder.as_ref(), |name| name.rsplit('/').next().unwrap_or(name));
    let mut draft = Draft { name: fit_name(name), ..Draft::default() };
    draft
        .set("command", "npm start", "scripts.start")
        .remark("the script itself runs, without npm beside it");
    Ok((vec![draft], Vec::new()))
}
