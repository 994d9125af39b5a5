//! Puts the layers together: defaults, the file over them, the command line over both; then looks for the programs.

use super::around::Around;
use super::document::{Member, Place, parse, parse_flag};
use super::error::{ConfigError, Source, explain};
use super::layers::{Defaults, Layered, Layers};
use super::search::nearest_file;
use super::settings::Settings;
use super::suggest::nearest;
use super::users::Caller;
use crate::cli::RunArguments;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The file that is read when no other is named.
pub(crate) const FILE_NAME: &str = "stead.toml";

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
    let layers = Layers {
        defaults: Defaults::read(),
        flags: flags(arguments),
        file_name: file.as_ref().map(|file| file.path.display().to_string()).unwrap_or_default(),
    };
    let layered = match &file {
        Some(file) => members(file)
            .and_then(|members| layers.file(members, Place::File(file.text.len()..file.text.len())))
            .map_err(|problem| explain(problem, Some(file)))?,
        None => layers.command_line().map_err(|problem| explain(problem, None))?,
    };
    let layered = select(arguments, layered)?;
    let base = file.as_ref().and_then(|file| directory.join(&file.path).parent().map(Path::to_owned));
    let base = base.as_deref().unwrap_or(directory);
    let around = Around { arguments, directory, base, environment, caller: Caller::of_this_process() };
    let mut apps = Vec::new();
    for (name, table) in layered.apps {
        apps.push(around.settings(name, table)?);
    }
    let file = file.map(|file| directory.join(file.path));
    Ok(Settings { apps, groups: layered.groups, file, json: arguments.json, lanes: layered.lanes })
}

/// Threads of the data path of an instance that no configuration speaks for.
pub fn lanes_default() -> u32 {
    let layers = Layers { defaults: Defaults::read(), flags: Vec::new(), file_name: String::new() };
    layers.lanes(None).expect("defaults.toml gives `lanes` a value")
}

fn read_file(arguments: &RunArguments, directory: &Path) -> Result<Source, ConfigError> {
    let path = arguments.config.clone().unwrap_or_else(|| PathBuf::from(FILE_NAME));
    let at = directory.join(&path);
    if arguments.config.is_none() && !at.exists() {
        return Err(ConfigError::Nothing { directory: directory.to_owned() });
    }
    let foreign = ["js", "cjs", "mjs", "json", "yaml", "yml"];
    if path.extension().is_some_and(|end| foreign.iter().any(|other| end == *other)) {
        return Err(ConfigError::Option {
            message: format!(
                "`{}` is not a stead.toml; ecosystem files are not read by this version",
                path.display()
            ),
            hint: Some("write its apps into stead.toml: docs/coming-from-pm2.md names the keys".to_owned()),
        });
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

fn members(file: &Source) -> Result<Vec<Member>, super::document::Problem> {
    parse(&file.text, Place::File)
}

fn flags(arguments: &RunArguments) -> Vec<Member> {
    arguments.set.iter().map(|setting| parse_flag(&setting.key, &setting.value)).collect()
}

/// What the options choose of a file, if they go together with it.
fn select(arguments: &RunArguments, mut layered: Layered) -> Result<Layered, ConfigError> {
    check_profile(arguments, &layered)?;
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
