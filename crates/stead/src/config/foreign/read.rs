//! Reads a foreign file, whatever it is.

use super::apps::{Place, apps};
use super::draft::Imported;
use super::error::ForeignError;
use super::evaluate::{Program, evaluate};
use super::kind::{Kind, kind_of_any};
use super::package::package;
use super::procfile::procfile;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// What a file may hold.
const BYTES_MAX: u64 = 16 << 20;

/// Understands a file. `name` is as it was named, from `directory`, which is absolute.
///
/// # Errors
/// The file cannot be read, or is not what its name says, or names no app.
pub fn import(
    name: &Path,
    directory: &Path,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<Imported, ForeignError> {
    let path = || name.to_owned();
    let kind = kind_of_any(name).ok_or_else(|| ForeignError::Unknown { path: path() })?;
    let file = directory.join(name);
    let text = text(&file).map_err(|source| ForeignError::Unreadable { path: path(), source })?;
    let directory_of_file = file.parent().unwrap_or(directory);
    let place = Place { name, directory: directory_of_file, called_in: directory, environment };
    let (apps, notes) = match kind {
        Kind::Procfile => procfile(&text, place)?,
        Kind::Package => package(&json(&text, name)?, place)?,
        Kind::Json => apps(&json(&text, name)?, place)?,
        Kind::Yaml => apps(&yaml(&text, name)?, place)?,
        Kind::Program => apps(&evaluate(Program { name, file: &file, directory, environment })?, place)?,
    };
    Ok(Imported { path: path(), apps, notes })
}

/// A file has an end, a pipe may have none.
fn text(file: &Path) -> std::io::Result<String> {
    use std::io;
    let metadata = std::fs::metadata(file)?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() || metadata.len() > BYTES_MAX {
        let reason = format!("not a file of at most {} MiB", BYTES_MAX >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    std::fs::read_to_string(file)
}

fn json(text: &str, name: &Path) -> Result<Value, ForeignError> {
    let malformed = |reason| ForeignError::Malformed { path: name.to_owned(), format: "JSON", reason };
    let options = jsonc_parser::ParseOptions::default();
    match jsonc_parser::parse_to_serde_value::<Option<Value>>(text, &options) {
        Ok(value) => Ok(value.unwrap_or_default()),
        Err(error) => Err(malformed(error.to_string())),
    }
}

fn yaml(text: &str, name: &Path) -> Result<Value, ForeignError> {
    serde_saphyr::from_str(text).map_err(|error| ForeignError::Malformed {
        path: name.to_owned(),
        format: "YAML",
        reason: error.without_snippet().to_string(),
    })
}
