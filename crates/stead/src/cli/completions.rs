//! `stead completions`: what makes a shell complete verbs, options and names of apps.
//!
//! The script for the shell is short and asks this binary at each TAB (by a variable in its environment), so it knows the
//! apps that run, and is right after an upgrade too. An answer that fails is no answer: nobody wants errors in a half-typed
//! line.

use super::command::CommandLine;
use super::fleet::Fleet;
use super::output;
use super::{ExitCode, TargetArguments};
use clap::{Arg, Args, Command, CommandFactory, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::time::Duration;
use stead_control::{AppStatus, RuntimeDirectory};

/// Tells the binary that a shell asks, and which one.
const VARIABLE: &str = "STEAD_COMPLETE";

/// For all instances to say which apps they have; a longer wait would be felt in the fingers.
const NAMES_TIMEOUT: Duration = Duration::from_millis(500);

/// The arguments of `stead completions`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Where it goes, so that new shells know it:\n  \
    bash  stead completions bash > ~/.local/share/bash-completion/completions/stead\n  \
    fish  stead completions fish > ~/.config/fish/completions/stead.fish\n  \
    zsh   echo 'source <(stead completions zsh)' >> ~/.zshrc   (below compinit)\n\n\
    It calls `stead` by this name, so `stead` has to be in PATH.")]
pub struct CompletionsArguments {
    /// For which shell
    #[arg(value_name = "SHELL", ignore_case = true)]
    pub shell: Shell,
}

/// Shells that are known.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// 4 or later
    Bash,
    /// After `compinit`
    Zsh,
    /// 3 or later
    Fish,
}

impl Shell {
    fn completer(self) -> &'static dyn EnvCompleter {
        match self {
            Shell::Bash => &Bash,
            Shell::Zsh => &Zsh,
            Shell::Fish => &Fish,
        }
    }
}

/// Carries it out.
pub fn execute(arguments: &CompletionsArguments) -> ExitCode {
    let mut script = Vec::new();
    let written =
        arguments.shell.completer().write_registration(VARIABLE, "stead", "stead", "stead", &mut script);
    written.expect("memory takes what is written");
    output::data(&String::from_utf8_lossy(&script))
}

/// Answers a shell that asks for completions; nothing if none does.
pub fn answer(words: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let shell = Shell::from_str(&std::env::var(VARIABLE).ok()?, false).ok()?;
    // In front of the line are this program and `--`; anything else is not how the scripts ask.
    let mut line = words.into_iter().skip(1);
    line.next().filter(|word| word == "--")?;
    let (line, here) = (line.collect(), std::env::current_dir().ok());
    let mut answer = Vec::new();
    let written = shell.completer().write_complete(&mut command(), line, here.as_deref(), &mut answer);
    Some(match written {
        Ok(()) => output::data(&String::from_utf8_lossy(&answer)),
        Err(_) => ExitCode::Failure,
    })
}

/// The command line, and where names of apps may stand in it.
fn command() -> Command {
    CommandLine::command().mut_subcommands(|verb| {
        // One word for each verb; the others are understood, and not offered.
        let others: Vec<String> = verb.get_all_aliases().map(str::to_owned).collect();
        let verb = verb.visible_alias(None).aliases(others).mut_subcommands(of_pools);
        let starts = verb.get_name().starts_with("start");
        let scales = verb.get_name() == "scale";
        verb.mut_args(|argument| match argument.is_positional() {
            true if starts && argument.get_id() == "command" => {
                argument.add(ArgValueCompleter::new(apps_or_files))
            }
            true if is_app(&argument) || scales => argument.add(ArgValueCompleter::new(apps)),
            _ => argument,
        })
    })
}

/// Below `stead pool`.
fn of_pools(verb: Command) -> Command {
    verb.mut_subcommands(of_pools).mut_args(|argument| match named(&argument, "POOL") {
        true => argument.add(ArgValueCompleter::new(pools)),
        false => argument,
    })
}

fn is_app(argument: &Arg) -> bool {
    named(argument, "APP")
}

fn named(argument: &Arg, meant: &str) -> bool {
    argument.get_value_names().is_some_and(|names| names.iter().any(|name| name == meant))
}

fn apps_or_files(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut candidates = apps(current);
    candidates.extend(PathCompleter::any().complete(current));
    candidates
}

/// Names of apps that begin so.
fn apps(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let names = names(|_| true).into_iter().filter(|name| name.starts_with(current));
    names.map(CompletionCandidate::new).collect()
}

/// Names of pools that begin so.
fn pools(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let names = names(|app| app.tasks.is_some()).into_iter().filter(|name| name.starts_with(current));
    names.map(CompletionCandidate::new).collect()
}

fn names(fits: impl Fn(&AppStatus) -> bool) -> BTreeSet<String> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return BTreeSet::new();
    };
    let (directory, target) = (RuntimeDirectory::here(), TargetArguments::default());
    let found = runtime
        .block_on(async { tokio::time::timeout(NAMES_TIMEOUT, Fleet::find(&target, &directory)).await });
    let Ok(Ok(fleet)) = found else { return BTreeSet::new() };
    let apps = fleet.members.iter().flat_map(|member| &member.status.apps);
    apps.filter(|app| fits(app)).map(|app| app.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is offered for the last word of a line.
    fn offered(line: &str) -> Vec<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let last = words.len() - 1;
        let offered = clap_complete::engine::complete(&mut command(), words, last, None).unwrap();
        offered.iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn verbs_and_options_are_completed() {
        assert_eq!(offered("stead rel"), ["reload"]);
        assert_eq!(offered("stead lis"), ["list"]);
        assert_eq!(offered("stead reload --upd"), ["--update-env"]);
        assert_eq!(offered("stead completions "), ["bash", "zsh", "fish", "--help", "--version"]);
        assert_eq!(offered("stead config "), ["defaults", "check", "schema", "--help", "--version"]);
        let verbs = offered("stead ");
        assert!(["list", "delete", "show", "save"].iter().all(|verb| verbs.contains(&(*verb).to_owned())));
        assert_eq!(offered("stead ls --s"), offered("stead list --s"));
        let hidden = ["background", "daemon", "background-daemon", "formats"];
        assert!(hidden.iter().all(|verb| !verbs.contains(&(*verb).to_owned())), "{verbs:?}");
    }

    #[test]
    fn verbs_about_apps_offer_their_names() {
        let mut command = command();
        command.build();
        let about_apps = ["stop", "restart", "reload", "delete", "scale", "list", "show", "logs", "flush"]
            .into_iter()
            .chain(["signal", "send", "env", "reset", "pid", "id", "start", "startOrReload"]);
        for verb in about_apps {
            let verb = command.find_subcommand(verb).expect("the verb is there");
            let mut positionals = verb.get_positionals();
            let offers = positionals.any(|argument| argument.get::<ArgValueCompleter>().is_some());
            assert!(offers, "{}", verb.get_name());
        }
    }
}
