//! Every verb, and how a line becomes one. A word of PM2's that is not offered is answered with what to use instead.

use super::background::BackgroundArguments;
use super::{
    ExitCode, Report, RunArguments, completions, config, doctor, env, flush, import, init, list, logs, man,
    map, monit, not_offered, numbers, output, pool, reload, reset, save, scale, schedule, send, serve,
    shards, shared, show, signal, start, startup, stop, upgrade,
};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;

/// Keeps a service up: supervised copies of any server program behind one address, and no request is lost.
#[derive(Parser, Debug)]
#[command(
    name = "stead",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(super) struct CommandLine {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What was typed.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Run a program as supervised copies, in the foreground
    Run(RunArguments),
    // The part of `run` that does the work. The keeper starts it with the arguments of `run`, so this is what says what
    // is wrong with them, and it must not look like another verb.
    /// Run a program as supervised copies, in the foreground
    #[command(hide = true)]
    Daemon(RunArguments),
    /// Keep running whatever `stead start` asks for
    #[command(hide = true)]
    Background(BackgroundArguments),
    /// The part of `background` that does the work
    #[command(hide = true)]
    BackgroundDaemon(BackgroundArguments),
    /// Tell which formats this version knows; asked before an upgrade to it
    #[command(hide = true)]
    Formats,
    /// Start a program in the background, the apps of a file, or apps that were stopped
    Start(start::StartArguments),
    /// Start the apps of a file; restart those that run
    #[command(
        name = "startOrRestart",
        alias = "start-or-restart",
        override_usage = "stead startOrRestart [OPTIONS] <SCRIPT | COMMAND | FILE | APP>... [-- ARGUMENTS...]\n       stead startOrRestart [OPTIONS] [-c FILE]",
        after_help = "Examples:\n  stead startOrRestart stead.toml --env production"
    )]
    StartOrRestart(start::StartArguments),
    /// Start the apps of a file; reload those that run
    #[command(
        name = "startOrReload",
        aliases = ["start-or-reload", "startOrGracefulReload"],
        override_usage = "stead startOrReload [OPTIONS] <SCRIPT | COMMAND | FILE | APP>... [-- ARGUMENTS...]\n       stead startOrReload [OPTIONS] [-c FILE]",
        after_help = "Examples:\n  stead startOrReload stead.toml --env production"
    )]
    StartOrReload(start::StartArguments),
    /// Serve the files of a directory
    Serve(serve::ServeArguments),
    /// Do a batch of tasks from standard input with workers, results to standard output
    Map(map::MapArguments),
    /// The worker that does it
    #[command(hide = true)]
    FileServer(crate::files::FileServerArguments),
    /// Let workers finish their requests, then end them; the app stays in the list
    Stop(stop::StopArguments),
    /// End the workers of apps and start new ones
    Restart(reload::RestartArguments),
    /// Replace workers one by one, without losing a request
    #[command(alias = "gracefulReload")]
    Reload(reload::ReloadArguments),
    /// Stop apps and forget them
    #[command(visible_alias = "del")]
    Delete(stop::DeleteArguments),
    /// Change the number of workers
    Scale(scale::ScaleArguments),
    /// Show the apps of all running instances
    #[command(visible_aliases = ["ls", "ps", "status"], alias = "l")]
    List(list::ListArguments),
    /// Show everything about an app, and why it restarted
    #[command(visible_alias = "describe", aliases = ["desc", "info"])]
    Show(show::ShowArguments),
    /// Watch apps, workers, logs and events live
    Monit(monit::MonitArguments),
    /// Show what apps printed
    #[command(alias = "log")]
    Logs(logs::LogsArguments),
    /// Remove what was logged
    Flush(flush::FlushArguments),
    /// Send a signal to workers
    #[command(alias = "sendSignal")]
    Signal(signal::SignalArguments),
    /// Send a message to Node.js workers (`process.on('message')`)
    Send(send::SendArguments),
    /// Show the environment of an app, secrets masked
    Env(env::EnvArguments),
    /// Show which worker owns which part of the keys of requests
    Shards(shards::ShardsArguments),
    /// Show or change the values that the workers of an app share
    Shared(shared::SharedArguments),
    /// Run now what an app does by the clock
    Schedule(schedule::ScheduleArguments),
    /// Show pools, give them tasks, look after tasks that were set aside
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Pool(pool::PoolCommand),
    /// Set the counters of apps to zero
    Reset(reset::ResetArguments),
    /// Keep the list of apps for `stead resurrect`, also over a reboot
    #[command(visible_alias = "dump")]
    Save(save::SaveArguments),
    /// Start the apps that were saved
    Resurrect(save::ResurrectArguments),
    /// Have what was saved started after a reboot
    Startup(startup::StartupArguments),
    /// Undo what `stead startup` did
    Unstartup(startup::StartupArguments),
    /// Put a new version of Stead in the place of the running one; workers and connections go on
    #[command(visible_alias = "update", alias = "updatePM2")]
    Upgrade(upgrade::UpgradeArguments),
    /// Stop all apps and end the background instance
    Kill(stop::KillArguments),
    /// Ask whether an instance answers
    Ping(numbers::PlainArguments),
    /// Print process ids of workers
    Pid(numbers::NumbersArguments),
    /// Print numbers of apps
    Id(numbers::NumbersArguments),
    /// Print the list as JSON in the shape of PM2's
    Jlist(numbers::PlainArguments),
    /// Print the list as JSON in the shape of PM2's, on many lines
    Prettylist(numbers::PlainArguments),
    /// Make a stead.toml of an ecosystem file, package.json or Procfile
    Import(import::ImportArguments),
    /// Look for what usually goes wrong on a machine, and say what to do
    Doctor(doctor::DoctorArguments),
    /// Write a first stead.toml for what is in this directory
    Init(init::InitArguments),
    /// Check a stead.toml; print all settings with their defaults, or the schema for editors
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Config(config::ConfigCommand),
    /// Print what makes a shell complete verbs, options and names of apps
    Completions(completions::CompletionsArguments),
    /// Show the manual page of a verb, or write all of them
    Man(man::ManArguments),
}

/// Reads the command line, the program's own name first.
///
/// # Errors
/// `--help` and `--version` are printed and end with [`ExitCode::Ok`]; a mistake is printed and ends with
/// [`ExitCode::Usage`].
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, ExitCode> {
    match read(arguments.into_iter().collect()) {
        Ok((command, notes)) => {
            notes.iter().for_each(|note| output::note(note));
            Ok(command)
        }
        Err(Mistake::Known(report)) => Err(output::error(&report)),
        Err(Mistake::Unknown(error)) => {
            output::usage(&error);
            Err(if error.use_stderr() { ExitCode::Usage } else { ExitCode::Ok })
        }
    }
}

/// Reads words as they stand after `stead run`.
///
/// # Errors
/// What is wrong with them.
pub fn parse_run(words: &[OsString]) -> Result<RunArguments, Report> {
    // What is to be said about words that do nothing was said when they were typed.
    let (words, _notes) = not_offered::leave_out_harmless(words.to_vec());
    RunArguments::from_words(words).map_err(|error| {
        let known = known(&error);
        known.unwrap_or_else(|| Report::new(ExitCode::Usage, output::complaint(&error)))
    })
}

/// What is wrong with a line.
#[derive(Debug)]
pub(super) enum Mistake {
    /// It is in the words of another program, and there is something to say about that.
    Known(Report),
    /// What the parser says; or what was asked of it, help.
    Unknown(clap::Error),
}

/// A line as a command, and what is to be said about words in it that do nothing here.
pub(super) fn read(words: Vec<OsString>) -> Result<(Command, Vec<String>), Mistake> {
    let (words, notes) = not_offered::leave_out_harmless(words);
    match CommandLine::try_parse_from(words) {
        Ok(line) => Ok((line.command, notes)),
        Err(error) => Err(known(&error).map_or(Mistake::Unknown(error), Mistake::Known)),
    }
}

/// What there is to say about a mistake that comes from another program's habits.
fn known(error: &clap::Error) -> Option<Report> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => not_offered::verb(text(ContextKind::InvalidSubcommand)?),
        ErrorKind::UnknownArgument => {
            let option = text(ContextKind::InvalidArg)?;
            let usage = error.get(ContextKind::Usage)?;
            of_map(option, usage).or_else(|| not_offered::option(option)).or_else(|| of_start(option, usage))
        }
        _ => None,
    }
}

/// A command for `stead map` that is not set apart, or how xargs and parallel call the number of workers.
fn of_map(word: &str, usage: &ContextValue) -> Option<Report> {
    if !usage.to_string().contains("stead map ") {
        return None;
    }
    let report = Report::new(ExitCode::Usage, format!("unexpected argument `{word}`"));
    match word.split('=').next()? {
        "-j" | "-P" | "--jobs" | "--max-procs" => Some(report.hint("`-n` says how many workers there are")),
        option if option.starts_with('-') => None,
        _ => Some(report.hint("put `--` before the command: stead map [OPTIONS] -- COMMAND...")),
    }
}

/// An option of `stead start` at a verb for apps that are there: they keep what they were started with.
fn of_start(option: &str, usage: &ContextValue) -> Option<Report> {
    if !usage.to_string().contains("APP") {
        return None;
    }
    let name = option.split(['=', ' ']).next()?;
    let start = CommandLine::command();
    let start = start.find_subcommand("start")?;
    let is_name = |known: &&str| name.strip_prefix("--") == Some(known);
    let known = start.get_arguments().any(|known| {
        let aliases = known.get_all_aliases().unwrap_or_default();
        known.get_long().iter().chain(&aliases).any(is_name)
    });
    known.then(|| {
        Report::new(ExitCode::Usage, format!("`{name}` is said when an app is started")).hint(
            "write it into the app's file and reload, or say `stead startOrReload ..` with all the words of its start",
        )
    })
}

/// Carries out a verb that talks to a running instance, or prints; nothing for those that become an instance, which are not
/// done here.
pub fn execute(command: &Command) -> Option<ExitCode> {
    Some(match command {
        Command::Run(_) | Command::Daemon(_) => return None,
        Command::Background(_) | Command::BackgroundDaemon(_) => return None,
        Command::Formats => output::data(&format!("{}\n", serde_json::json!(crate::daemon::formats()))),
        Command::Start(arguments) => start::execute(arguments, start::Running::Stays),
        Command::StartOrRestart(arguments) => start::execute(arguments, start::Running::Restarts),
        Command::StartOrReload(arguments) => start::execute(arguments, start::Running::Reloads),
        Command::Serve(arguments) => serve::execute(arguments),
        Command::Map(arguments) => map::execute(arguments),
        Command::FileServer(arguments) => crate::files::run(arguments),
        Command::Stop(arguments) => stop::execute(arguments),
        Command::Restart(arguments) => reload::execute_restart(arguments),
        Command::Reload(arguments) => reload::execute(arguments),
        Command::Delete(arguments) => stop::execute_delete(arguments),
        Command::Scale(arguments) => scale::execute(arguments),
        Command::List(arguments) => list::execute(arguments),
        Command::Show(arguments) => show::execute(arguments),
        Command::Monit(arguments) => monit::execute(arguments),
        Command::Logs(arguments) => logs::execute(arguments),
        Command::Flush(arguments) => flush::execute(arguments),
        Command::Signal(arguments) => signal::execute(arguments),
        Command::Send(arguments) => send::execute(arguments),
        Command::Env(arguments) => env::execute(arguments),
        Command::Shards(arguments) => shards::execute(arguments),
        Command::Shared(arguments) => shared::execute(arguments),
        Command::Schedule(arguments) => schedule::execute(arguments),
        Command::Pool(command) => pool::execute(command),
        Command::Reset(arguments) => reset::execute(arguments),
        Command::Save(arguments) => save::execute(arguments),
        Command::Resurrect(arguments) => save::execute_resurrect(arguments),
        Command::Startup(arguments) => startup::execute(arguments),
        Command::Unstartup(arguments) => startup::execute_undo(arguments),
        Command::Upgrade(arguments) => upgrade::execute(arguments),
        Command::Kill(arguments) => stop::execute_kill(arguments),
        Command::Ping(arguments) => numbers::execute_ping(arguments),
        Command::Pid(arguments) => numbers::execute_pid(arguments),
        Command::Id(arguments) => numbers::execute_id(arguments),
        Command::Jlist(arguments) => numbers::execute_jlist(arguments, false),
        Command::Prettylist(arguments) => numbers::execute_jlist(arguments, true),
        Command::Import(arguments) => import::execute(arguments),
        Command::Doctor(arguments) => doctor::execute(arguments),
        Command::Init(arguments) => init::execute(arguments),
        Command::Config(command) => config::execute(command),
        Command::Completions(arguments) => completions::execute(arguments),
        Command::Man(arguments) => man::execute(arguments),
    })
}
