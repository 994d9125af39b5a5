//! A line typed against fake instances: what it prints, and how it ends.

use crate::cli::command::{Command, Mistake, read};
use crate::cli::start::Running;
use crate::cli::test_support::Printed;
use crate::cli::{
    ExitCode, env, list, numbers, output, reload, reset, save, scale, send, show, signal, start, stop,
    upgrade,
};
use crate::config::split_words;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use stead_control::{Home, RuntimeDirectory};

/// Where a line is typed.
pub(super) struct Stage {
    pub(super) directory: RuntimeDirectory,
    pub(super) home: Home,
    _folder: tempfile::TempDir,
}

impl Stage {
    pub(super) fn new() -> Stage {
        let (folder, directory) = crate::cli::test_support::directory();
        let path = folder.path().join("home");
        let home = Home::of(|name| (name == "STEAD_HOME").then(|| path.clone().into()));
        Stage { directory, home, _folder: folder }
    }

    /// Carries out a line; gives what it printed and how it ended.
    pub(super) async fn execute(&self, line: &str, live: bool) -> (String, ExitCode) {
        let printed = Printed::default();
        let mut output: output::Output = printed.output(live);
        let (directory, both) = (&self.directory, (&self.directory, &self.home));
        let mut words = vec![OsString::from("stead")];
        words.extend(split_words(OsStr::new(line)).unwrap());
        let (command, notes) = match read(words) {
            Ok(read) => read,
            Err(Mistake::Known(report)) => return (report.to_string(), report.code),
            Err(Mistake::Unknown(error)) => return (error.render().to_string(), ExitCode::Usage),
        };
        notes.iter().for_each(|note| output.note(note));
        let out = &mut output;
        let result = match &command {
            Command::Start(arguments) => start::start(arguments, Running::Stays, both, out).await,
            Command::StartOrRestart(arguments) => start::start(arguments, Running::Restarts, both, out).await,
            Command::StartOrReload(arguments) => start::start(arguments, Running::Reloads, both, out).await,
            Command::Stop(arguments) => stop::stop(arguments, directory, out).await,
            Command::Delete(arguments) => stop::delete(arguments, directory, out).await,
            Command::Kill(arguments) => stop::kill(arguments, directory, out).await,
            Command::Restart(arguments) => reload::restart(arguments, directory, out).await,
            Command::Reload(arguments) => reload::reload(arguments, directory, out).await,
            Command::Scale(arguments) => scale::scale(arguments, directory, out).await,
            Command::List(arguments) => list::list(arguments, directory, out).await,
            Command::Show(arguments) => show::show(arguments, directory, out).await,
            Command::Signal(arguments) => signal::signal(arguments, directory, out).await,
            Command::Send(arguments) => send::send(arguments, directory, out).await,
            Command::Env(arguments) => env::env(arguments, directory, out).await,
            Command::Reset(arguments) => reset::reset(arguments, directory, out).await,
            Command::Save(arguments) => save::save(arguments, both, out).await,
            Command::Resurrect(arguments) => save::resurrect(arguments, both, out).await,
            Command::Upgrade(arguments) => upgrade::upgrade(arguments, directory, out).await,
            Command::Ping(arguments) => numbers::ping(arguments, directory, out).await,
            Command::Pid(arguments) => numbers::pid(arguments, directory, out).await,
            Command::Id(arguments) => numbers::id(arguments, directory, out).await,
            other => panic!("{other:?}"),
        };
        let code = output.finish(result);
        (printed.text(), code)
    }

    /// A snapshot of several lines, each with its text and code; pids, paths and times taken out.
    pub(super) async fn transcript(&self, name: &str, lines: &[&str], pids: &[u32]) {
        let mut all = String::new();
        for line in lines {
            let (text, code) = self.execute(line, false).await;
            write!(all, "$ stead {line}\n{text}(exit code {})\n\n", u8::from(code)).unwrap();
        }
        all = all.replace(self.directory.path().to_str().unwrap(), "<run>");
        all = all.replace(self.home.path().to_str().unwrap(), "<home>");
        all = all.replace(env!("CARGO_PKG_VERSION"), "<version>");
        for (index, pid) in pids.iter().enumerate() {
            all = all.replace(&pid.to_string(), &format!("<pid {index}>"));
        }
        insta::with_settings!({filters => vec![
            (r"in \d+\.\d s", "in <n> s"),
            (r"[0-9a-z]+ [0-9a-z]+ ago", "<age> ago"),
            (r"damaged-\d+", "damaged-<time>"),
        ]}, {
            insta::assert_snapshot!(name, all);
        });
    }
}
