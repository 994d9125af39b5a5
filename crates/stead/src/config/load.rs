//! Puts the layers together: defaults, the file over them, the command line over both; then looks for the programs.

use super::around::Around;
use super::document::{Member, Place, Problem, parse, parse_flag};
use super::error::{ConfigError, Source, explain};
use super::foreign::{ForeignError, Imported, import, kind_of, kind_of_any, members};
use super::layers::{Defaults, Layered, Layers};
use super::read_pool::{PoolTable, one_worker};
use super::read_proxy;
use super::read_tls;
use super::search::nearest_file;
use super::settings::{AppSettings, ScheduleSettings, ScheduledWork, Settings};
use super::suggest::nearest;
use super::users::Caller;
use super::{datagrams, sharing, static_files};
use crate::cli::RunArguments;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The file of Stead's own.
pub const FILE_NAME: &str = "stead.toml";

/// What is read when nothing is named: the first of them that is there.
const FILE_NAMES: [&str; 8] = [
    FILE_NAME,
    "ecosystem.config.js",
    "ecosystem.config.cjs",
    "ecosystem.config.mjs",
    "ecosystem.json",
    "ecosystem.yml",
    "ecosystem.yaml",
    "Procfile",
];

/// The file of apps that is read in this directory when none is named.
pub fn file_here(directory: &Path) -> Option<&'static str> {
    FILE_NAMES.into_iter().find(|name| directory.join(name).is_file())
}

/// The file of another manager that is in this directory.
pub fn foreign_here(directory: &Path) -> Option<&'static str> {
    let others = FILE_NAMES.into_iter().filter(|name| *name != FILE_NAME).chain(["package.json"]);
    others.into_iter().find(|name| directory.join(name).is_file())
}

/// Whether a file of this name holds apps; a program of any other name runs.
pub fn names_apps(path: &Path) -> bool {
    kind_of(path).is_some() || path.extension() == Some(OsStr::new("toml"))
}

/// Makes settings of the arguments of `stead run`, in this process's directory and environment.
///
/// # Errors
/// What is wrong with the file, the options, or a program; nothing has been started then.
pub fn load(arguments: &RunArguments) -> Result<Settings, ConfigError> {
    let directory = std::env::current_dir().map_err(ConfigError::NoCurrentDirectory)?;
    load_from(arguments, &directory, &std::env::vars_os().collect())
}

/// [`load`] in another directory (absolute) and environment.
///
/// # Errors
/// As [`load`].
pub fn load_from(
    arguments: &RunArguments,
    directory: &Path,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<Settings, ConfigError> {
    let found = match named_file(arguments, directory)? {
        Some(path) => Some(read_file(path, directory, environment)?),
        None => None,
    };
    let file = found.as_ref().map(|found| &found.source);
    let layers = Layers {
        defaults: Defaults::read(),
        flags: flags(arguments),
        file_name: file.map(|file| file.path.display().to_string()).unwrap_or_default(),
    };
    let layered = match &found {
        Some(found) => found.members().and_then(|members| layers.file(members, found.end())),
        None if arguments.pool => layers.command_line_pool(),
        None => layers.command_line(),
    };
    let pools: Vec<String> = layered.as_ref().map(pools_of).unwrap_or_default();
    let layered = select(arguments, layered.map_err(|problem| explain(problem, file))?)?;
    let base = file.and_then(|file| directory.join(&file.path).parent().map(Path::to_owned));
    let base = base.as_deref().unwrap_or(directory);
    let around = Around { arguments, directory, base, environment, caller: Caller::of_this_process() };
    let imported = found.as_ref().and_then(|found| found.foreign.as_ref());
    let mut notes: Vec<String> = imported.map(|imported| imported.losses().collect()).unwrap_or_default();
    let mut apps = Vec::new();
    for (name, table) in layered.apps {
        let asks_clients = table.tls.asks_clients();
        let fewer = table.pool.as_ref().filter(|_| arguments.instances.is_none()).and_then(PoolTable::beyond);
        let app = around.settings(name, table)?;
        notes.extend(fewer.map(|fewer| one_worker(&app.name, fewer)));
        read_proxy::check(&app)?;
        notes.extend(unknown_pools(&app, &pools));
        notes.extend(read_tls::check(&app, asks_clients)?);
        apps.push(app);
    }
    let apps = static_files::set_apart(apps)?;
    sharing::check(&apps)?;
    datagrams::check(&apps)?;
    let file = file.map(|file| directory.join(&file.path));
    Ok(Settings { apps, groups: layered.groups, file, notes, json: arguments.json, lanes: layered.lanes })
}

fn pools_of(layered: &Layered) -> Vec<String> {
    let pools = layered.apps.iter().filter(|(_, table)| table.pool.is_some());
    pools.filter_map(|(name, _)| name.clone()).collect()
}

/// Notes on schedules whose tasks are for pools that are not in this file: they may be in another one, or misspelt.
fn unknown_pools(app: &AppSettings, known: &[String]) -> Vec<String> {
    let note = |schedule: &ScheduleSettings| {
        let ScheduledWork::Task { pool: Some(pool), .. } = &schedule.work else { return None };
        if known.contains(pool) {
            return None;
        }
        let near = nearest(pool, known.iter().map(String::as_str));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let (app, name) = (&app.name, &schedule.name);
        Some(format!("schedule `{name}` of `{app}` is for pool `{pool}`, which is not in this file{near}"))
    };
    app.schedules.iter().filter_map(note).collect()
}

/// Threads of the data path of an instance that no configuration speaks for.
pub fn lanes_default() -> u32 {
    let layers = Layers { defaults: Defaults::read(), flags: Vec::new(), file_name: String::new() };
    layers.lanes(None).expect("defaults.toml gives `lanes` a value")
}

/// A file of apps, read.
struct Found {
    source: Source,
    /// There if others have written it; `source` has no text then.
    foreign: Option<Imported>,
}

impl Found {
    fn members(&self) -> Result<Vec<Member>, Problem> {
        match &self.foreign {
            Some(imported) => members(imported),
            None => parse(&self.source.text, Place::File),
        }
    }

    /// Where one more app would stand.
    fn end(&self) -> Place {
        Place::File(self.source.text.len()..self.source.text.len())
    }
}

/// The file of apps that the arguments mean, if they mean one; as it is named, from this directory.
pub fn file_of(arguments: &RunArguments, directory: &Path) -> Option<PathBuf> {
    named_file(arguments, directory).ok().flatten()
}

/// The file that the arguments mean, if they mean one: `-c`, a word that is a file of apps, or what is here.
fn named_file(arguments: &RunArguments, directory: &Path) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(path) = &arguments.config {
        return Ok(Some(path.clone()));
    }
    match arguments.command.as_slice() {
        [] => {
            let found = file_here(directory).map(PathBuf::from);
            found.map(Some).ok_or_else(|| ConfigError::Nothing { directory: directory.to_owned() })
        }
        [word] if arguments.arguments.is_empty() => {
            let path = Path::new(word);
            Ok((names_apps(path) && directory.join(path).is_file()).then(|| path.to_owned()))
        }
        _ => Ok(None),
    }
}

fn read_file(
    path: PathBuf,
    directory: &Path,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<Found, ConfigError> {
    let at = directory.join(&path);
    let unreadable = |path: PathBuf, source| {
        let nearest = if at.exists() { None } else { nearest_file(&at) };
        let nearest = nearest.map(|name| path.with_file_name(name).display().to_string());
        ConfigError::Unreadable { path, nearest, source }
    };
    if kind_of_any(&path).is_some() {
        return match import(&path, directory, environment) {
            Ok(imported) => {
                Ok(Found { source: Source { path, text: String::new() }, foreign: Some(imported) })
            }
            Err(ForeignError::Unreadable { path, source }) => Err(unreadable(path, source)),
            Err(error) => Err(error.into()),
        };
    }
    match std::fs::read_to_string(&at) {
        Ok(text) => Ok(Found { source: Source { path, text }, foreign: None }),
        Err(source) => Err(unreadable(path, source)),
    }
}

fn flags(arguments: &RunArguments) -> Vec<Member> {
    arguments.set.iter().map(|setting| parse_flag(&setting.key, &setting.value)).collect()
}

/// What the options choose of a file, if they go together with it.
fn select(arguments: &RunArguments, mut layered: Layered) -> Result<Layered, ConfigError> {
    check_profile(arguments, &layered)?;
    if arguments.pool && layered.apps.iter().any(|(name, _)| name.is_some()) {
        let message = "`--pool` is for a program, and a file of apps was named".to_owned();
        let hint = "a pool of a file is a table: [pool.NAME] and a command".to_owned();
        return Err(ConfigError::Option { message, hint: Some(hint) });
    }
    if !arguments.only.is_empty() && layered.apps.iter().all(|(name, _)| name.is_none()) {
        let message = "`--only` chooses among the apps of a file, and no file was named".to_owned();
        return Err(ConfigError::Option {
            message,
            hint: Some("for example: -c stead.toml --only shop".to_owned()),
        });
    }
    if !arguments.only.is_empty() {
        let names: Vec<&str> = layered.apps.iter().filter_map(|(name, _)| name.as_deref()).collect();
        if let Some(unknown) = arguments.only.iter().find(|name| !names.contains(&name.as_str())) {
            let meant = nearest(unknown, names.iter().copied()).map(|name| format!("did you mean `{name}`?"));
            let message = format!("`--only`: there is no app `{unknown}` in the file");
            return Err(ConfigError::Option { message, hint: meant });
        }
        let chosen = |name: &String| arguments.only.contains(name);
        layered.apps.retain(|(name, _)| name.as_ref().is_some_and(chosen));
        layered.groups.iter_mut().for_each(|group| group.apps.retain(chosen));
        layered.groups.retain(|group| !group.apps.is_empty());
    }
    check_single_app(arguments, layered.apps.len())?;
    Ok(layered)
}

/// A profile that no app has is a slip of the finger.
fn check_profile(arguments: &RunArguments, layered: &Layered) -> Result<(), ConfigError> {
    let Some(profile) = arguments.profile() else { return Ok(()) };
    let known: Vec<&str> =
        layered.apps.iter().flat_map(|(_, app)| app.profiles.keys()).map(String::as_str).collect();
    if known.contains(&profile) {
        return Ok(());
    }
    let hint = match (arguments.command.is_empty(), nearest(profile, known)) {
        (false, _) => "variables are written NAME=VALUE; profiles stand in a file".to_owned(),
        (true, Some(name)) => format!("did you mean `{name}`?"),
        (true, None) => format!("write it into an app's table: env_{profile} = {{ NAME = \"value\" }}"),
    };
    let message = format!("`--env {profile}`: no app has `env_{profile}`");
    Err(ConfigError::Option { message, hint: Some(hint) })
}

/// Options that mean one app need to know which.
fn check_single_app(arguments: &RunArguments, apps: usize) -> Result<(), ConfigError> {
    let used = [
        ("--name", arguments.name.is_some()),
        ("--instances", arguments.instances.is_some()),
        ("--listen", !arguments.listen.is_empty()),
        ("--cwd", arguments.cwd.is_some()),
        ("--mode", arguments.mode.is_some()),
    ];
    match used.iter().find(|(_, used)| *used) {
        Some((option, _)) if apps > 1 => Err(ConfigError::Option {
            message: format!("`{option}` is for one app, and the file has {apps}"),
            hint: Some("write it into the app's table in the file".to_owned()),
        }),
        _ => Ok(()),
    }
}
