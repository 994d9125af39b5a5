//! How apps were asked for: the words, the directory and the environment. Evaluated again for every restart and reload, so
//! that a changed file is taken over.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::cli::{self, Report};
use crate::config::{self, Settings};

/// What was typed, where, and in which environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Definition {
    /// The words after `stead run` or `stead start`.
    pub(super) arguments: Vec<OsString>,
    /// Absolute.
    pub(super) directory: PathBuf,
    /// Whole.
    pub(super) environment: BTreeMap<OsString, OsString>,
}

impl Definition {
    /// These words in this process's directory and environment.
    pub(super) fn here(arguments: Vec<OsString>) -> io::Result<Self> {
        let environment = std::env::vars_os().collect();
        Ok(Self { arguments, directory: std::env::current_dir()?, environment })
    }

    /// What is to run.
    pub(super) fn evaluate(&self) -> Result<Settings, Report> {
        let arguments = cli::parse_run(&self.arguments)?;
        config::load_from(&arguments, &self.directory, &self.environment)
            .map_err(|error| Report::from(&error))
    }
}
