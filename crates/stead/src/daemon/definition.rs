//! How apps were asked for, made into settings: at the start, and again for every restart and reload, so that a changed file
//! is taken over.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stead_control::{Definition, Text};
use stead_process::cgroup::{CgroupError, Cgroups};

use super::settings::for_kernel;
use crate::cli::{self, ExitCode, Report};
use crate::config::{self, AppSettings, ConfigError, Group, Mode, Settings};

/// Where an app comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Origin {
    /// How it was asked for; shared by the apps of one file.
    pub(super) definition: Arc<Definition>,
    /// Of the same file: apps that share their luck.
    pub(super) groups: Vec<Group>,
    /// The file that defines it, if one does.
    pub(super) file: Option<PathBuf>,
}

impl Origin {
    /// Of what the definition came to.
    pub(super) fn new(definition: &Arc<Definition>, settings: &Settings) -> Self {
        let (groups, file) = (settings.groups.clone(), settings.file.clone());
        Self { definition: Arc::clone(definition), groups, file }
    }
}

/// These words in this process's directory and environment.
pub(super) fn here(arguments: &[OsString]) -> io::Result<Definition> {
    Ok(Definition {
        arguments: arguments.iter().cloned().map(Text::from).collect(),
        directory: std::env::current_dir()?.into(),
        environment: std::env::vars_os().map(|(name, value)| (name.into(), value.into())).collect(),
    })
}

/// What these words of `stead run` would run, in this process's directory and environment.
///
/// # Errors
/// What is wrong with them, as `stead start` would say it.
pub fn settings_of(arguments: &[OsString]) -> Result<Settings, Report> {
    let definition =
        here(arguments).map_err(|error| Report::from(&ConfigError::NoCurrentDirectory(error)))?;
    evaluate(&definition)
}

/// What is to run.
pub(super) fn evaluate(definition: &Definition) -> Result<Settings, Report> {
    let words: Vec<OsString> = definition.arguments.iter().cloned().map(Text::into_os_string).collect();
    let environment = definition.environment.iter().cloned();
    let environment = environment.map(|(name, value)| (name.into_os_string(), value.into_os_string()));
    let arguments = cli::parse_run(&words)?;
    let settings = config::load_from(&arguments, definition.directory.as_path(), &environment.collect())
        .map_err(|error| Report::from(&error))?;
    settings.apps.iter().try_for_each(prepare_limits)?;
    settings.apps.iter().try_for_each(refuse_whole_connections)?;
    Ok(settings)
}

/// Whole connections need a program that can take them.
fn refuse_whole_connections(app: &AppSettings) -> Result<(), Report> {
    let refused = |cause: &str, hint: &str| {
        let message = format!("app `{}` cannot have the mode that it asks for", app.name);
        Err(Report::new(ExitCode::Usage, message).cause(cause).hint(hint))
    };
    match app.listen_mode() {
        // A socket of UDP is passed on in any mode.
        Mode::Shared if app.listen.is_empty() && !app.datagrams.is_empty() => Ok(()),
        Mode::Shared if !app.program.is_node && !app.takes_sockets() => refused(
            "`shared` passes the listening socket on, and the program is told a port or path of its own",
            "`upstream = \"listen-fds\"` passes it as systemd does, `{fd}` in `command` names its number",
        ),
        Mode::Shared if app.program.is_node && app.listen.len() > 1 => refused(
            "a Node.js program that shares a listening socket has one address, and `listen` has several",
            "keep one of them; `*:PORT` means all addresses of the machine",
        ),
        _ => Ok(()),
    }
}

/// Limits that are asked for and not kept would be worse than none.
fn prepare_limits(app: &AppSettings) -> Result<(), Report> {
    let limits = for_kernel(app.cgroup);
    Cgroups::of_parent().prepare(&limits).map_err(|error| {
        let message = format!("the limits of app `{}` cannot be set", app.name);
        Report::new(ExitCode::Failure, message).cause(cli::in_one_line(&error)).hint(advice(&error))
    })
}

fn advice(error: &CgroupError) -> String {
    let how = match error {
        CgroupError::Absent { .. } | CgroupError::Missing { .. } => {
            "boot with cgroup version 2 alone (`systemd.unified_cgroup_hierarchy=1`), and have the groups above pass on their \
             controllers (`Delegate=yes`)"
        }
        CgroupError::Foreign { .. } | CgroupError::Shared { .. } | CgroupError::Unusable { .. } => {
            "start Stead with `systemd-run --user --scope -p Delegate=yes stead ...` (as root without `--user`), or as the \
             service that `stead startup` writes"
        }
    };
    format!("{how}; without, `recycle_memory` replaces workers that grow, and `limits` bounds each process")
}
