//! Words of PM2 that are known here and do something else, or nothing: why, and what to use instead.
//!
//! A word that asks for what happens anyway is left out with a note; a word that asks for something that will not happen is
//! an error, because whoever wrote it counts on it.

use super::{ExitCode, Report};
use std::ffi::OsString;

/// A verb: its names, why it is not here, what to use instead.
type Verb = (&'static [&'static str], &'static str, &'static str);

const VERBS: [Verb; 22] = [
    (
        &["link", "unlink", "plus", "login", "logout", "open", "register", "monitor", "unmonitor"],
        "there is no hosted dashboard: nothing leaves this machine",
        "`stead monit` shows it in the terminal, `GET /metrics` on the control socket feeds Prometheus and Grafana",
    ),
    (&["dashboard", "dash", "imonit"], "there is one terminal interface", "`stead monit`"),
    (
        &["deploy"],
        "getting code to a machine is what git, rsync and CI do",
        "after the new code is there: `stead reload APP`, which loses no request and keeps the old code if the new does not start",
    ),
    (
        &["pull", "forward", "backward"],
        "Stead does not touch version control",
        "`git pull && stead reload APP`",
    ),
    (&["expose"], "the word is `serve` here", "`stead serve DIRECTORY [PORT]`"),
    (
        &[
            "install",
            "uninstall",
            "module:install",
            "module:uninstall",
            "module:update",
            "module:generate",
            "module:publish",
            "package",
            "publish",
        ],
        "there are no modules: what they are mostly used for (log rotation, metrics) is built in",
        "`stead config defaults` lists every setting",
    ),
    (
        &["set", "get", "multiset", "unset", "conf"],
        "there are no modules to configure, and settings of apps are in files",
        "`stead config defaults` prints every setting; write those that differ into stead.toml",
    ),
    (
        &["profile:cpu", "profile:mem"],
        "the manager is not a Node.js program",
        "to profile an app: `stead start server.js --interpreter-args --cpu-prof`",
    ),
    (
        &["inspect"],
        "a debugger is switched on by a signal",
        "`stead signal USR1 APP.0`; Node.js then says on which port it listens (`stead logs APP`)",
    ),
    (
        &["trigger"],
        "actions are messages",
        "`stead send APP '{\"type\": \"clear-cache\"}'`, and `process.on('message', ..)` in the program",
    ),
    (
        &["attach", "sendLine", "sendline"],
        "workers have no standard input: with many of them nobody could say whose it is",
        "`stead send APP JSON` for Node.js programs, `stead signal` for all; `stead logs APP -f` shows what they print",
    ),
    (
        &["reloadLogs", "reloadlogs", "logrotate"],
        "logs are rotated by Stead itself, by size and age, and no file needs to be opened again",
        "the settings `log_rotate_bytes`, `log_rotate_age` and `log_total_bytes_max`",
    ),
    (
        &["slist", "sysinfos"],
        "what the machine does is told by the machine's own tools",
        "`stead list --json` for apps, `GET /metrics` on the control socket",
    ),
    (&["report"], "there is nothing to send in", "`stead doctor` looks for what may be wrong"),
    (&["cleardump"], "an empty list can be saved", "`stead save --force` when no app is in the list"),
    (
        &["deepUpdate", "deepupdate"],
        "Stead does not install packages",
        "install the new version as the old one, then `stead upgrade`",
    ),
    (
        &["ecosystem", "create", "examples"],
        "it has another name here",
        "`stead init` writes a first stead.toml; `stead config defaults` prints every key with its reason",
    ),
    (
        &["install-otel", "uninstall-otel", "autoinstall"],
        "Stead does not change the packages of apps",
        "`--interpreter-args '--require @opentelemetry/auto-instrumentations-node/register'`",
    ),
    (
        &["web"],
        "no port is opened for looking at things",
        "the control socket answers HTTP: `curl --unix-socket SOCKET http://stead/v1/status`",
    ),
    (&["completion"], "it has another name here", "`stead completions bash`, `zsh` or `fish`"),
    (
        &["docker", "container"],
        "Stead does not build images",
        "`stead run` is made to be a container's first process",
    ),
    (&["module"], "there are no modules", "`stead config defaults` lists every setting"),
];

/// An option: its names, whether it takes a value, and what there is to say.
struct Word {
    names: &'static [&'static str],
    takes_value: bool,
    what: What,
}

enum What {
    /// It is so anyway, or has no meaning; it can be left out.
    Harmless(&'static str),
    /// Why not, and what to use instead.
    NotOffered(&'static str, &'static str),
}

const fn harmless(names: &'static [&'static str], takes_value: bool, why: &'static str) -> Word {
    Word { names, takes_value, what: What::Harmless(why) }
}

const fn no(names: &'static [&'static str], why: &'static str, instead: &'static str) -> Word {
    Word { names, takes_value: false, what: What::NotOffered(why, instead) }
}

const OPTIONS: [Word; 33] = [
    harmless(&["--time"], false, "every line of the logs has its time"),
    harmless(
        &["--merge-logs", "--combine-logs"],
        false,
        "all workers of an app share one log, each line with its worker",
    ),
    harmless(&["--no-vizion"], false, "Stead does not read version control"),
    harmless(&["--no-pmx", "--no-automation"], false, "nothing is put into programs for monitoring"),
    harmless(&["--disable-source-map-support"], false, "source maps are off unless asked for"),
    harmless(&["--no-source-map-support"], false, "source maps are off unless asked for"),
    harmless(&["--disable-trace"], false, "there is no tracing"),
    no(
        &["--exp-backoff-restart-delay"],
        "the wait between restarts grows exponentially always",
        "`--set backoff_first=100ms --set backoff_max=5s` are its bounds",
    ),
    no(
        &["--deep-monitoring", "--trace", "--v8", "--event-loop-inspector", "--monitor"],
        "nothing is put into programs to measure them",
        "`stead monit` and `GET /metrics` show what can be seen from outside: requests, latency, CPU, memory",
    ),
    no(
        &["--no-treekill"],
        "a worker's whole process group is ended, so that nothing of it is left",
        "a process that shall survive can leave the group: `setsid`",
    ),
    no(
        &["--shutdown-with-message"],
        "a Node.js worker is asked over its channel already: its servers close and `disconnect` is emitted",
        "`process.on('disconnect', ..)` in the program",
    ),
    no(
        &["--log-date-format"],
        "every line has its time in one format that sorts and parses (RFC 3339)",
        "`stead logs --since 10m` finds by time",
    ),
    no(
        &["--filter-env"],
        "an app gets the environment it is started in",
        "`env -u NAME stead start ..`, or `env -i` with what it needs",
    ),
    no(
        &["-f", "--force"],
        "an app runs once; the same program can run under another name",
        "`--name OTHER`, or more workers: `stead scale APP 4`",
    ),
    no(&["-x", "--execute-command"], "programs of every kind are run in the same way", "leave it out"),
    no(
        &["-p", "--pid-file"],
        "process ids change with every restart, so no file holds them",
        "`stead pid APP` prints them",
    ),
    no(&["-w", "--write"], "writing a file is a verb of its own", "`stead init`"),
    no(&["--hp"], "the home is named in the environment", "`STEAD_HOME=/path stead ..`"),
    no(
        &["--service-name", "--wait-ip"],
        "it is a matter of the service",
        "`stead startup` shows what it writes",
    ),
    no(
        &["--ext"],
        "what is watched are files, whatever they are called",
        "`--ignore-watch '*.log'` for those that may change",
    ),
    no(
        &["--attach"],
        "starting and looking on are two verbs",
        "`stead start ..` and then `stead logs APP -f`",
    ),
    no(&["--no-color"], "colours are for terminals alone", "`NO_COLOR=1 stead ..`"),
    no(&["-s", "--silent"], "words go to standard error, data to standard output", "`stead .. 2>/dev/null`"),
    no(
        &["-m", "--mini-list"],
        "the table fits itself to the terminal",
        "`stead id` and `stead pid` for scripts",
    ),
    no(&["-v"], "there is little to be verbose about", "`stead --version`"),
    no(&["--log-file"], "the logs of an app are several files, which are rotated", "`--log DIRECTORY`"),
    no(
        &["--container", "--dist", "--image-name", "--docker", "--dockerdaemon", "--fresh"],
        "Stead does not build images",
        "`stead run` is made to be a container's first process",
    ),
    no(&["--node-version"], "Stead runs the Node.js that is on PATH", "`--interpreter /path/to/node`"),
    no(
        &["--web", "--port"],
        "no port is opened for looking at things",
        "the control socket answers HTTP, see docs/errors-and-exit-codes.md",
    ),
    no(
        &["--ip", "--ftp"],
        "the address of `stead serve` is said in one word",
        "`stead serve public --listen 127.0.0.1:8080`",
    ),
    no(
        &["--raw", "--format", "--formatted"],
        "`stead run` prints lines as they come, with the worker in front",
        "`--json`",
    ),
    no(
        &["--no-auto-exit"],
        "`stead run` ends when nothing of it runs any more",
        "`stead start` keeps its instance",
    ),
    no(&["--delay"], "apps start in the order of what they depend on", "the setting `depends_on`"),
];

/// What to say about a verb that is not there; nothing if nobody has heard of it.
pub(super) fn verb(word: &str) -> Option<Report> {
    let (_, why, instead) = VERBS.iter().find(|(names, ..)| names.contains(&word))?;
    Some(Report::new(ExitCode::Usage, format!("`{word}` is not offered: {why}")).hint(*instead))
}

/// What to say about an option that is not there; nothing if nobody has heard of it.
pub(super) fn option(word: &str) -> Option<Report> {
    let name = word.split_once('=').map_or(word, |(name, _)| name).split(' ').next()?;
    match find(name)?.what {
        What::NotOffered(why, instead) => {
            Some(Report::new(ExitCode::Usage, format!("`{name}` is not offered: {why}")).hint(instead))
        }
        What::Harmless(why) => {
            Some(Report::new(ExitCode::Usage, format!("`{name}` is not needed: {why}")).hint("leave it out"))
        }
    }
}

/// A line without options that are so anyway, and a note for each.
pub(super) fn leave_out_harmless(words: Vec<OsString>) -> (Vec<OsString>, Vec<String>) {
    let (mut kept, mut notes) = (Vec::new(), Vec::new());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" {
            kept.push(word);
            kept.extend(words);
            break;
        }
        let name = word.to_str().map(|text| text.split_once('=').map_or(text, |(name, _)| name).to_owned());
        match name.as_deref().and_then(find) {
            Some(Word { what: What::Harmless(why), takes_value, .. }) => {
                notes.push(format!("`{}` is not needed: {why}", name.unwrap_or_default()));
                if *takes_value && !word.to_string_lossy().contains('=') {
                    words.next();
                }
            }
            _ => kept.push(word),
        }
    }
    (kept, notes)
}

fn find(name: &str) -> Option<&'static Word> {
    OPTIONS.iter().find(|word| word.names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::CommandLine;
    use clap::CommandFactory;

    #[test]
    fn every_word_says_why_and_what_instead() {
        let mut all = String::new();
        for (names, ..) in &VERBS {
            all.push_str(&format!("{}\n{}\n", names.join(", "), verb(names[0]).unwrap()));
        }
        for word in &OPTIONS {
            all.push_str(&format!("{}\n{}\n", word.names.join(", "), option(word.names[0]).unwrap()));
        }
        insta::assert_snapshot!("not_offered", all);
        assert_eq!(verb("frobnicate"), None);
        assert_eq!(option("--frobnicate"), None);
    }

    #[test]
    fn no_word_is_both_offered_and_not() {
        let command = CommandLine::command();
        for (names, ..) in &VERBS {
            for name in *names {
                assert!(command.find_subcommand(name).is_none(), "{name}");
            }
        }
        let start = command.find_subcommand("start").unwrap();
        for name in OPTIONS.iter().flat_map(|word| word.names) {
            let short = |letter| start.get_arguments().any(|known| known.get_short() == Some(letter));
            let long = |text| start.get_arguments().any(|known| known.get_long() == Some(text));
            let known = match name.strip_prefix("--") {
                Some(text) => long(text),
                None => name.chars().nth(1).is_some_and(short),
            };
            assert!(!known, "{name}");
        }
    }

    #[test]
    fn what_is_so_anyway_is_left_out_with_a_note() {
        let line = ["stead", "start", "a.js", "--time", "--no-vizion", "-i", "2", "--", "--time"];
        let (kept, notes) = leave_out_harmless(line.map(OsString::from).to_vec());
        assert_eq!(kept, ["stead", "start", "a.js", "-i", "2", "--", "--time"]);
        assert_eq!(notes.len(), 2, "{notes:?}");
    }
}
