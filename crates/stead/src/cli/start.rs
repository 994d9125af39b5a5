//! `stead start`: apps in the background instance, which is started if it does not run. What runs already is not started
//! twice; it is told. `startOrRestart` and `startOrReload` renew what runs already, by the definition that was just given.

use super::background::ensure;
use super::fleet::{Aim, Fleet, Member, tell_version};
use super::follow::{already, until_started};
use super::list::instance;
use super::output::Output;
use super::reload::environment;
use super::selector::{is_pattern, select};
use super::steps::{Renewal, renew};
use super::{ExitCode, Report, RunArguments, TargetArguments, session};
use crate::config::{file_here, names_apps};
use clap::Args;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use stead_control::{
    Client, Definition, Home, RenewRequest, RuntimeDirectory, StartAnswer, StartRequest, Status, Text,
};

/// The arguments of `stead start`.
#[derive(Args, Clone, Debug, Default)]
#[command(
    override_usage = "stead start [OPTIONS] <SCRIPT | COMMAND | FILE | APP>... [-- ARGUMENTS...]\n       stead start [OPTIONS] [-c FILE]",
    after_help = "Examples:\n  stead start server.js -i max --name shop\n  stead start ecosystem.config.js --only shop --env production\n  \
                  stead start --listen 8000 'gunicorn api:app --bind unix:{socket}'\n  stead start resize.js --pool\n  stead start shop"
)]
pub struct StartArguments {
    /// Apps that are there already get the environment of this command
    #[arg(short = 'a', long)]
    pub update_env: bool,

    /// Do not wait until workers are ready
    #[arg(long)]
    pub no_wait: bool,

    /// Run on this terminal, as `stead run`
    #[arg(long, visible_alias = "foreground")]
    pub no_daemon: bool,

    // Last, because of the headings in the help.
    /// What to start
    #[command(flatten)]
    pub what: RunArguments,
}

/// What becomes of apps that run already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// They are told.
    Stays,
    /// They get the definition and are restarted.
    Restarts,
    /// They get the definition and are reloaded.
    Reloads,
}

/// Carries it out.
pub fn execute(arguments: &StartArguments, running: Running) -> ExitCode {
    session::run(async |directory, output| {
        start(arguments, running, (directory, &Home::here()), output).await
    })
}

pub(super) async fn start(
    arguments: &StartArguments,
    running: Running,
    (directory, home): (&RuntimeDirectory, &Home),
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let here = std::env::current_dir().map_err(|error| {
        Report::new(ExitCode::Failure, "failed to find out the current directory").cause(error.to_string())
    })?;
    if arguments.no_daemon {
        return Err(run_here(&with_file(&arguments.what, &here)?));
    }
    if let Some(aims) = known(arguments, directory, &here).await? {
        return start_again(aims, arguments, running, output).await;
    }
    let mut what = with_file(&arguments.what, &here)?;
    let file = what.config.as_ref().filter(|_| arguments.what.config.is_none());
    let beginning =
        file.map_or_else(|| "starting".to_owned(), |file| format!("starting the apps of {}", file.display()));
    // Which apps are meant now is no part of what they are.
    let only = std::mem::take(&mut what.only);
    let definition = Definition {
        arguments: what.words().into_iter().map(Text::from).collect(),
        directory: Text::from(here),
        environment: environment(),
    };
    let redefine = running != Running::Stays;
    let request = StartRequest { definition, only, redefine, stopped: false };
    let background = ensure(directory, home, output).await?;
    let client = &background.client;
    tell_version(&client.status().await?, output);
    // Before the request, so that nothing is missed.
    let events = client.events().await?;
    output.progress(&beginning);
    let answer = match client.start(&request).await {
        Ok(answer) => answer,
        Err(error) => {
            background.end_unused(output).await;
            return Err(error.into());
        }
    };
    answer.notes.iter().for_each(|note| output.note(note));
    let mut code = ExitCode::Ok;
    if running == Running::Stays {
        tell_already(client, &answer, output).await?;
    } else {
        let aims = aims(client, &answer.already).await?;
        code = renew(aims, (renewal(running), &RenewRequest::default()), arguments.what.json, output).await;
    }
    if !arguments.no_wait {
        let started = until_started(client, events, answer.started.clone(), output).await?;
        code = if code == ExitCode::Ok { started } else { code };
    }
    show(&client.status().await?, &answer, (arguments.what.json, code), output);
    Ok(code)
}

fn renewal(running: Running) -> Renewal {
    if running == Running::Restarts { Renewal::Restart } else { Renewal::Reload }
}

/// Becomes `stead run`; returns only when that fails.
fn run_here(what: &RunArguments) -> Report {
    let error = std::process::Command::new("/proc/self/exe").arg("run").args(what.words()).exec();
    Report::new(ExitCode::Failure, "failed to become `stead run`").cause(error.to_string())
}

/// The apps of the background instance that the words mean, if all of them mean some and nothing else is said.
async fn known(
    arguments: &StartArguments,
    directory: &RuntimeDirectory,
    here: &Path,
) -> Result<Option<Vec<Aim>>, Report> {
    let what = &arguments.what;
    let words: Option<Vec<&str>> = what.command.iter().map(|word| word.to_str()).collect();
    let Some(words) = words.filter(|words| !words.is_empty()) else { return Ok(None) };
    let nothing_else =
        RunArguments { command: what.command.clone(), json: what.json, ..RunArguments::default() };
    if *what != nothing_else {
        return Ok(None);
    }
    let Some(found) = directory.background()? else {
        return if words.iter().any(|word| *word == "all" || is_pattern(word)) {
            Err(super::fleet::nothing_runs(directory)
                .hint("`stead resurrect` starts the apps that were saved"))
        } else {
            Ok(None)
        };
    };
    let target = TargetArguments { pid: Some(found.keeper_pid), socket: None };
    let fleet = Fleet::find(&target, directory).await?;
    let apps: &[_] = fleet.members.first().map_or(&[], |member| &member.status.apps);
    for word in &words {
        // A path is a path, and what is in no list may be a program.
        let is_path = word.starts_with(['.', '/']) && !is_pattern(word);
        let is_file = names_apps(Path::new(word));
        if is_path || is_file || (select(word, apps, here)?.is_empty() && *word != "all" && !is_pattern(word))
        {
            return Ok(None);
        }
    }
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    fleet.apps(&words, "start").map(Some)
}

async fn start_again(
    aims: Vec<Aim>,
    arguments: &StartArguments,
    running: Running,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let Some(client) = aims.first().map(|aim| aim.client.clone()) else { return Ok(ExitCode::Ok) };
    let (up, down): (Vec<Aim>, Vec<Aim>) =
        aims.into_iter().partition(|aim| aim.app.instances.ready > 0 && !aim.app.state.is_at_rest());
    let request = RenewRequest { environment: arguments.update_env.then(environment) };
    let mut code = ExitCode::Ok;
    if running == Running::Stays {
        up.iter().for_each(|aim| output.words(&already(&aim.app)));
    } else {
        code = renew(up, (renewal(running), &request), arguments.what.json, output).await;
    }
    if request.environment.is_some() {
        // A restart starts what is stopped, and takes an environment along.
        return Ok(renew(down, (Renewal::Restart, &request), arguments.what.json, output).await);
    }
    let events = client.events().await?;
    let mut answer = StartAnswer::default();
    for aim in &down {
        client.start_app(&aim.app.name).await?;
        answer.started.push(aim.app.name.clone());
    }
    if !arguments.no_wait {
        let started = until_started(&client, events, answer.started.clone(), output).await?;
        code = if code == ExitCode::Ok { started } else { code };
    }
    show(&client.status().await?, &answer, (arguments.what.json, code), output);
    Ok(code)
}

async fn tell_already(client: &Client, answer: &StartAnswer, output: &mut Output) -> Result<(), Report> {
    if answer.already.is_empty() {
        return Ok(());
    }
    let status = client.status().await?;
    for app in status.apps.iter().filter(|app| answer.already.contains(&app.name)) {
        output.words(&already(app));
    }
    for name in &answer.differing {
        output.note(&format!(
            "{name} runs as it was defined before; `stead startOrReload ..` with the same words gives it this definition, \
             another `--name` starts a second app"
        ));
    }
    Ok(())
}

async fn aims(client: &Client, names: &[String]) -> Result<Vec<Aim>, Report> {
    let member = Member { client: client.clone(), status: client.status().await? };
    let apps = member.status.apps.iter().filter(|app| names.contains(&app.name));
    Ok(apps.map(|app| member.aim(app, None)).collect())
}

/// The apps that this was about, as in `stead list`; a failure has said more already.
fn show(status: &Status, answer: &StartAnswer, (json, code): (bool, ExitCode), output: &mut Output) {
    let is_meant = |name: &String| answer.started.contains(name) || answer.already.contains(name);
    let mut status = status.clone();
    status.apps.retain(|app| is_meant(&app.name));
    if json {
        let StartAnswer { started, already, differing, notes } = answer;
        let apps = &status.apps;
        let answer = serde_json::json!({
            "started": started, "already": already, "differing": differing, "notes": notes, "apps": apps
        });
        output.data(&format!("{answer}\n"));
    } else if !status.apps.is_empty() && code == ExitCode::Ok {
        output.data(&instance(&status, output.columns(), output.is_coloured()));
    }
}

/// A file of apps in the place of a command, and the file that is there when nothing is said.
fn with_file(what: &RunArguments, here: &Path) -> Result<RunArguments, Report> {
    let mut what = what.clone().settled();
    if let Some(file) = &what.config {
        return match file.to_str().is_some_and(|text| text.contains(' ') && !here.join(text).exists()) {
            true => Err(Report::new(ExitCode::Usage, format!("there is no file `{}`", file.display()))
                .hint("`-c` names a file of apps; for a schedule it is `--cron '0 4 * * *'`")),
            false => Ok(what),
        };
    }
    match what.command.as_slice() {
        [] => match file_here(here) {
            // Named, because one of another name may come to stand beside it.
            Some(file) => Ok(RunArguments { config: Some(PathBuf::from(file)), ..what }),
            None => Err(nothing_to_start(here)),
        },
        [file] if names_apps(Path::new(file)) => {
            what.config = Some(PathBuf::from(file));
            what.command = Vec::<OsString>::new();
            Ok(what)
        }
        _ if !what.only.is_empty() => Err(Report::new(
            ExitCode::Usage,
            "`--only` chooses among the apps of a file, and no file was named",
        )
        .hint("`stead start stead.toml --only shop`, or `stead start shop` for an app that is in the list")),
        _ => Ok(what),
    }
}

fn nothing_to_start(here: &Path) -> Report {
    Report::new(ExitCode::Usage, "nothing to start: no script, command, file or app was named")
        .cause(format!("`{}` has no stead.toml, no ecosystem file and no Procfile", here.display()))
        .hint("`stead start server.js` starts a program, `stead init` writes a stead.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_started_without_a_word_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let read = |line: &[&str]| {
            let what = RunArguments::from_words(line.iter().map(OsString::from)).unwrap();
            with_file(&what, here).map(|what| what.words())
        };
        let text = read(&[]).unwrap_err().to_string().replace(here.to_str().unwrap(), "<here>");
        insta::assert_snapshot!("nothing_to_start", text);
        std::fs::write(here.join("ecosystem.config.js"), "").unwrap();
        assert_eq!(read(&["--only", "shop"]).unwrap(), ["--config=ecosystem.config.js", "--only=shop"]);
        std::fs::write(here.join("stead.toml"), "").unwrap();
        assert_eq!(read(&[]).unwrap(), ["--config=stead.toml"]);
        assert_eq!(read(&["apps.json"]).unwrap(), ["--config=apps.json"]);
        assert_eq!(read(&["node", "apps.json"]).unwrap(), ["node", "apps.json"]);
        assert_eq!(read(&["-c", "other.toml"]).unwrap(), ["--config=other.toml"]);
        assert!(read(&["-c", "0 4 * * *"]).unwrap_err().to_string().contains("--cron"));
        assert_eq!(read(&["server.js", "--watch"]).unwrap(), ["--set=watch=true", "server.js"]);
    }
}
