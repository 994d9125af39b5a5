//! Where what an app prints is kept, and how much of it.

use super::text;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Where what an app prints is kept, and how much of it. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSettings {
    /// In which directory.
    pub place: LogPlace,
    /// JSON lines instead of text.
    pub json: bool,
    /// A file that reaches this size is closed and a new one begun.
    pub rotate_bytes: u64,
    /// A file that reaches this age, likewise.
    pub rotate_age: Duration,
    /// All files of the app together.
    pub total_bytes_max: u64,
    /// Closed files are compressed.
    pub compress: bool,
    /// A longer line is cut.
    pub line_bytes_max: u64,
    /// How a line for each request is written, if one is.
    pub access: Option<AccessForm>,
    /// With the query in it.
    pub access_query: bool,
}

/// How a request stands in the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessForm {
    /// An object.
    Json,
    /// The combined log format of Apache and NGINX.
    Common,
}

/// Where what an app prints is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogPlace {
    /// In the background a directory of the app's below the home, in the foreground nowhere.
    Auto,
    /// Nowhere.
    Off,
    /// Here: absolute.
    Directory(#[serde(with = "text")] PathBuf),
}
