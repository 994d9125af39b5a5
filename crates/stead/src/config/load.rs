//! Puts the layers together: defaults, the file over them, the command line over both; then looks for the programs.

use super::document::{Entry, Member, Place, Problem, Value, parse, parse_flag};
use super::error::{ConfigError, Source, explain};
use super::instances::cores;
use super::program::{Request, resolve, tidy};
use super::read_app::{AppTable, read_app};
use super::reader::{Reader, count, string, unknown_key};
use super::search::nearest_file;
use super::settings::{AppSettings, Settings};
use super::{DEFAULTS, INSTANCES_MAX};
use crate::cli::RunArguments;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The file that is read when no other is named.
const FILE_NAME: &str = "stead.toml";

/// Cores for each thread of the data path.
const CORES_PER_LANE: u32 = 4;

/// Variables that tell a process about descriptors and sockets of its parent. Workers get their own.
const SCRUBBED: [&str; 11] = [
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NODE_CHANNEL_FD",
    "NODE_CHANNEL_SERIALIZATION_MODE",
    "NODE_UNIQUE_ID",
    "NOTIFY_SOCKET",
    "STEAD_KEEPER_FD",
    "STEAD_KEEPER_PROTOCOL",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

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
    let file = match arguments.command.is_empty() {
        true => Some(read_file(arguments, directory)?),
        false => None,
    };
    let defaults = Defaults::read();
    let tables = Tables { defaults: &defaults, flags: flags(arguments), file: file.as_ref() };
    let layered = match &file {
        Some(file) => tables.layer_file(file).map_err(|problem| explain(problem, Some(file)))?,
        None => tables.layer_command_line().map_err(|problem| explain(problem, None))?,
    };
    check_single_app(arguments, layered.apps.len())?;
    let base = file.as_ref().and_then(|file| directory.join(&file.path).parent().map(Path::to_owned));
    let around = Around { arguments, directory, base: base.as_deref().unwrap_or(directory), environment };
    let mut apps = Vec::new();
    for (name, table) in layered.apps {
        apps.push(around.settings(name, table)?);
    }
    let file = file.map(|file| directory.join(file.path));
    Ok(Settings { apps, file, json: arguments.json, lanes: layered.lanes })
}

/// Threads of the data path of an instance that no configuration speaks for.
pub fn lanes_default() -> u32 {
    let tables = Tables { defaults: &Defaults::read(), flags: Vec::new(), file: None };
    tables.lanes(None).expect("defaults.toml gives `lanes` a value")
}

fn read_file(arguments: &RunArguments, directory: &Path) -> Result<Source, ConfigError> {
    let path = arguments.config.clone().unwrap_or_else(|| PathBuf::from(FILE_NAME));
    let at = directory.join(&path);
    if arguments.config.is_none() && !at.exists() {
        return Err(ConfigError::Nothing { directory: directory.to_owned() });
    }
    match std::fs::read_to_string(&at) {
        Ok(text) => Ok(Source { path, text }),
        Err(source) => {
            let nearest = if at.exists() { None } else { nearest_file(&at) };
            let nearest = nearest.map(|name| path.with_file_name(name).display().to_string());
            Err(ConfigError::Unreadable { path, nearest, source })
        }
    }
}

fn flags(arguments: &RunArguments) -> Vec<Member> {
    arguments.set.iter().map(|setting| parse_flag(&setting.key, &setting.value)).collect()
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

/// `defaults.toml`, taken apart.
struct Defaults {
    lanes: Member,
    app: Vec<Member>,
}

impl Defaults {
    fn read() -> Defaults {
        let mut members = parse(DEFAULTS, |_| Place::Defaults).expect("defaults.toml is valid TOML");
        let app = members.pop().map(|member| member.entry.value);
        let lanes = members.pop().expect("defaults.toml names `lanes`");
        match app {
            Some(Value::Table(mut apps)) => match apps.pop().map(|member| member.entry.value) {
                Some(Value::Table(app)) => Defaults { lanes, app },
                _ => unreachable!("defaults.toml has the table [app.NAME]"),
            },
            _ => unreachable!("defaults.toml ends with the table [app.NAME]"),
        }
    }
}

/// What the layers say together, before programs are looked for.
struct Layered {
    lanes: u32,
    apps: Vec<(Option<String>, AppTable)>,
}

struct Tables<'a> {
    defaults: &'a Defaults,
    flags: Vec<Member>,
    file: Option<&'a Source>,
}

impl Tables<'_> {
    fn layer_command_line(&self) -> Result<Layered, Problem> {
        Ok(Layered { lanes: self.lanes(None)?, apps: vec![(None, self.app("an app", &[])?)] })
    }

    fn layer_file(&self, file: &Source) -> Result<Layered, Problem> {
        let mut apps = Vec::new();
        let mut lanes = None;
        let mut end = Place::File(file.text.len()..file.text.len());
        for member in parse(&file.text, Place::File)? {
            match (member.key.as_str(), &member.entry.value) {
                ("lanes", _) => lanes = Some(member),
                ("app", Value::Table(tables)) => {
                    end = member.key_place.clone();
                    for table in tables {
                        apps.push(self.app_of(table)?);
                    }
                }
                ("app", _) => {
                    let message = "`app` is not a table";
                    let hint = "each app has a table: [app.NAME]".to_owned();
                    return Err(Problem::new(&member.entry.place, message).hint(Some(hint)));
                }
                (key, _) => return Err(unknown_key(key, &member.key_place, "the file", &["app", "lanes"])),
            }
        }
        if apps.is_empty() {
            let hint = "write `[app.NAME]` and a `command`".to_owned();
            return Err(Problem::new(&end, "the file has no app").hint(Some(hint)));
        }
        Ok(Layered { lanes: self.lanes(lanes)?, apps })
    }

    fn app_of(&self, table: &Member) -> Result<(Option<String>, AppTable), Problem> {
        let name = &table.key;
        check_name(name).map_err(|message| Problem::new(&table.key_place, message))?;
        let Value::Table(members) = &table.entry.value else {
            let hint = format!("write `[app.{name}]` and the settings below it");
            return Err(
                Problem::new(&table.entry.place, format!("`app.{name}` is not a table")).hint(Some(hint))
            );
        };
        let app = self.app(&format!("`[app.{name}]`"), members)?;
        if app.command.is_none() {
            let problem = Problem::new(&table.key_place, format!("app `{name}` has no `command`"));
            return Err(problem.hint(Some("for example: command = \"node server.js\"".to_owned())));
        }
        Ok((Some(name.clone()), app))
    }

    fn app(&self, table: &str, members: &[Member]) -> Result<AppTable, Problem> {
        let flags = self.flags.iter().filter(|member| member.key != "lanes");
        let layers = self.defaults.app.iter().chain(members).chain(flags).cloned();
        read_app(Reader::new(table.to_owned(), layers))
    }

    fn lanes(&self, from_file: Option<Member>) -> Result<u32, Problem> {
        let flag = self.flags.iter().find(|member| member.key == "lanes").cloned();
        let layers = [Some(self.defaults.lanes.clone()), from_file, flag].into_iter().flatten();
        Reader::new(self.file.map(|file| file.path.display().to_string()).unwrap_or_default(), layers)
            .get("lanes", lanes)
    }
}

fn lanes(entry: &Entry) -> Result<u32, Problem> {
    match &entry.value {
        Value::Integer(_) => count(1)(entry),
        _ if string(entry)? == "auto" => Ok((cores() / CORES_PER_LANE).max(1)),
        _ => Err(Problem::new(&entry.place, "expected a number or \"auto\"")),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    match name.starts_with(|letter: char| letter.is_ascii_alphanumeric()) && name.chars().all(allowed) {
        true => Ok(()),
        false => {
            Err(format!("`{name}` is not a name: letters, digits, `-`, `_` and `.`, a letter or digit first"))
        }
    }
}

/// What is around an app: where and how `stead run` was called.
struct Around<'a> {
    arguments: &'a RunArguments,
    /// The current one.
    directory: &'a Path,
    /// Where relative directories of tables start.
    base: &'a Path,
    environment: &'a BTreeMap<OsString, OsString>,
}

impl Around<'_> {
    fn settings(&self, name: Option<String>, table: AppTable) -> Result<AppSettings, ConfigError> {
        let arguments = self.arguments;
        let name = arguments.name.clone().or(name);
        if let Some(name) = &name {
            check_name(name).map_err(|message| ConfigError::Option { message, hint: None })?;
        }
        let directory = match &arguments.cwd {
            Some(directory) => self.directory.join(directory),
            None => self.base.join(&table.cwd),
        };
        let mut environment = self.environment(&table);
        let words = table.command.as_deref().unwrap_or(&arguments.command);
        let shell = table.shell || arguments.shell;
        let request = Request { words, arguments: &arguments.arguments, shell, directory: &tidy(&directory) };
        let resolved = resolve(request, &mut environment).map_err(|source| {
            let what = name.as_ref().map_or_else(|| command(words), |name| format!("app `{name}`"));
            ConfigError::Program { what, source }
        })?;
        let listen = if arguments.listen.is_empty() { table.listen } else { arguments.listen.clone() };
        Ok(AppSettings {
            name: name.unwrap_or(resolved.name),
            program: resolved.program,
            directory: resolved.directory,
            environment,
            instances: arguments.instances.unwrap_or(table.instances).here().min(INSTANCES_MAX),
            listen,
            mode: arguments.mode.unwrap_or(table.mode),
            ports: table.ports,
            upstream: table.upstream,
            remote_address: table.remote_address,
            serialization: table.serialization,
            ready: table.ready,
            ready_interval: table.ready_interval,
            ready_timeout: table.ready_timeout,
            on_ready_timeout: table.on_ready_timeout,
            restart: table.restart,
            stop: table.stop,
            reload_parallel: table.reload_parallel,
            balancer: table.balancer,
        })
    }

    fn environment(&self, table: &AppTable) -> BTreeMap<OsString, OsString> {
        let mut environment = self.environment.clone();
        environment.retain(|name, _| !SCRUBBED.iter().any(|scrubbed| name == scrubbed));
        environment.extend(table.env.iter().cloned());
        let flags = self.arguments.env.iter();
        environment.extend(flags.map(|variable| (variable.name.clone(), variable.value.clone())));
        environment
    }
}

/// What to call an app whose name is not known because its program is not.
fn command(words: &[OsString]) -> String {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    format!("`{}`", words.join(" "))
}
