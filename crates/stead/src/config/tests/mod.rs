//! What `stead run` makes of files, options and commands, and every error text on the way.

mod care;
mod choosing;
mod datagrams;
mod edge;
mod errors;
mod foreign;
mod layers;
mod messages;
mod pools;
mod programs;
mod routes;
mod schema;
mod tls;

use super::test_support::Folder;
use super::{Certificate, ClientCa, ConfigError, Scheme, Settings, load_from};
use crate::cli::{Command, Report, RunArguments, parse};
use std::collections::BTreeMap;
use std::ffi::OsString;

/// A folder with programs in `bin/`, which is the whole `PATH`.
fn folder() -> Folder {
    let folder = Folder::new();
    for program in ["node", "python3", "sh", "gunicorn"] {
        folder.program(&format!("bin/{program}"), "");
    }
    folder
}

fn arguments(line: &str) -> RunArguments {
    let words = super::shell::split(format!("stead run {line}").as_ref()).unwrap();
    match parse(words) {
        Ok(Command::Run(arguments)) => arguments,
        other => panic!("{line}: {other:?}"),
    }
}

/// What `stead run` with these words makes of a folder.
fn load(folder: &Folder, line: &str) -> Result<Settings, ConfigError> {
    let path = folder.path().join("bin").into_os_string();
    let environment = BTreeMap::from([("PATH".into(), path), ("HOME".into(), OsString::from("/root"))]);
    load_from(&arguments(line), folder.path(), &environment)
}

/// The same with `stead.toml` in the folder.
fn load_file(folder: &Folder, text: &str, line: &str) -> Result<Settings, ConfigError> {
    folder.file("stead.toml", text);
    load(folder, line)
}

/// The text a person reads, with the exit code and without the folder's path.
fn report(folder: &Folder, error: &ConfigError) -> String {
    let report = Report::from(error);
    folder.neutral(&format!("{report}(exit code {})\n", u8::from(report.code)))
}
