//! The instances of this user that run, and which of their apps a verb is meant for.
//!
//! Named by `--socket` or `--pid` it is that one alone; else every word is looked up in the background instance first and
//! then in those that belong to terminals, where it must not mean apps of several.

use super::output::Output;
use super::selector::{nothing_found, select};
use super::{ExitCode, Report, TargetArguments};
use std::path::{Path, PathBuf};
use stead_control::{AppStatus, Client, ClientError, Found, RuntimeDirectory, Status};

/// Instances that answer, the background instance first.
pub(super) struct Fleet {
    pub(super) members: Vec<Member>,
    /// Those that run and do not answer.
    pub(super) silent: Vec<(Found, ClientError)>,
    directory: PathBuf,
}

/// An instance and how it looked when it was asked.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) client: Client,
    pub(super) status: Status,
}

/// An app a verb is meant for, or one worker of it.
#[derive(Clone, Debug)]
pub(super) struct Aim {
    pub(super) client: Client,
    pub(super) app: AppStatus,
    pub(super) slot: Option<u32>,
}

impl Fleet {
    /// Asks every instance, or the one that is named. There may be none.
    pub(super) async fn find(
        target: &TargetArguments,
        directory: &RuntimeDirectory,
    ) -> Result<Fleet, Report> {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let mut fleet = Fleet { members: Vec::new(), silent: Vec::new(), directory: here };
        if let Some(socket) = &target.socket {
            let client = Client::new(socket);
            let status = client.status().await?;
            fleet.members.push(Member { client, status });
            return Ok(fleet);
        }
        let mut running = directory.running()?;
        if let Some(pid) = target.pid {
            let pids: Vec<String> = running.iter().map(|found| found.keeper_pid.to_string()).collect();
            running.retain(|found| found.keeper_pid == pid);
            if running.is_empty() {
                return Err(no_such_pid(pid, &pids));
            }
        }
        for found in running {
            let client = Client::new(&found.socket);
            match client.status().await {
                Ok(status) => fleet.members.push(Member { client, status }),
                Err(error) => fleet.silent.push((found, error)),
            }
        }
        fleet.members.sort_by_key(|member| !member.status.background);
        match (fleet.members.is_empty(), fleet.silent.pop()) {
            // Whatever is wrong with the only one is what there is to say.
            (true, Some((found, error))) if fleet.silent.is_empty() => Err(does_not_answer(&found, error)),
            (_, last) => {
                fleet.silent.extend(last);
                Ok(fleet)
            }
        }
    }

    /// The same, and an error when nothing runs. Tells of instances of another version.
    pub(super) async fn running(
        target: &TargetArguments,
        directory: &RuntimeDirectory,
        output: &mut Output,
    ) -> Result<Fleet, Report> {
        let fleet = Fleet::find(target, directory).await?;
        fleet.tell_versions(output);
        if fleet.members.is_empty() { Err(nothing_runs(directory)) } else { Ok(fleet) }
    }

    /// Says when an instance is of another version than this command.
    pub(super) fn tell_versions(&self, output: &mut Output) {
        self.members.iter().for_each(|member| tell_version(&member.status, output));
    }

    /// The background instance, if it is among them.
    pub(super) fn background(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.status.background)
    }

    /// The only one that could be meant when nothing is said: the background instance, else the only one.
    pub(super) fn only(&self) -> Result<&Member, Report> {
        match (self.background(), self.members.as_slice()) {
            (Some(background), _) => Ok(background),
            (None, [only]) => Ok(only),
            (None, _) => Err(Report::new(ExitCode::Usage, "several instances are running")
                .details(self.list())
                .hint("choose one with `--pid PID`, or name an app that only one of them runs")),
        }
    }

    /// The apps that the words mean, each once, in their order.
    pub(super) fn aims(&self, words: &[String]) -> Result<Vec<Aim>, Report> {
        let mut aims: Vec<Aim> = Vec::new();
        for word in words {
            for aim in self.aims_of(word)? {
                let same =
                    |other: &Aim| other.client.socket() == aim.client.socket() && other.app.id == aim.app.id;
                if !aims.iter().any(|other| same(other) && (other.slot.is_none() || other.slot == aim.slot)) {
                    aims.push(aim);
                }
            }
        }
        Ok(aims)
    }

    /// The same for a verb that cannot do anything with a single worker.
    pub(super) fn apps(&self, words: &[String], verb: &str) -> Result<Vec<Aim>, Report> {
        let aims = self.aims(words)?;
        match aims.iter().find_map(|aim| Some((&aim.app.name, aim.slot?))) {
            None => Ok(aims),
            Some((name, slot)) => Err(Report::new(
                ExitCode::Usage,
                format!("`stead {verb}` is for whole apps, and `{name}.{slot}` is one worker"),
            )
            .hint(format!(
                "`stead {verb} {name}`, or `stead signal TERM {name}.{slot}` to have it replaced"
            ))),
        }
    }

    /// The one app that a word means, or one of its workers.
    pub(super) fn one_app(&self, word: &str) -> Result<Aim, Report> {
        let mut aims = self.aims_of(word)?;
        match (aims.len(), aims.pop()) {
            (1, Some(aim)) => Ok(aim),
            (_, last) => {
                let names: Vec<&str> = aims.iter().chain(&last).map(|aim| aim.app.name.as_str()).collect();
                Err(Report::new(ExitCode::Usage, format!("`{word}` means several apps"))
                    .hint(format!("name one of them: {}", names.join(", "))))
            }
        }
    }

    fn aims_of(&self, word: &str) -> Result<Vec<Aim>, Report> {
        if word == "all" {
            let member = self.only()?;
            let aims: Vec<Aim> = member.status.apps.iter().map(|app| member.aim(app, None)).collect();
            return if aims.is_empty() { Err(nothing_found(word, &[])) } else { Ok(aims) };
        }
        let mut meant: Vec<Vec<Aim>> = Vec::new();
        for member in &self.members {
            let found = select(word, &member.status.apps, &self.directory)?;
            let found: Vec<Aim> =
                found.into_iter().map(|(index, slot)| member.aim(&member.status.apps[index], slot)).collect();
            if found.is_empty() {
                continue;
            }
            if member.status.background {
                return Ok(found);
            }
            meant.push(found);
        }
        match (meant.len(), meant.pop()) {
            (1, Some(found)) => Ok(found),
            (0, _) => Err(nothing_found(word, &self.names())),
            _ => Err(Report::new(ExitCode::Usage, format!("several instances have `{word}`"))
                .details(self.list())
                .hint("choose one with `--pid PID`")),
        }
    }

    fn names(&self) -> Vec<&str> {
        let apps = self.members.iter().flat_map(|member| &member.status.apps);
        apps.map(|app| app.name.as_str()).collect()
    }

    fn list(&self) -> String {
        let mut list = String::new();
        for Member { status, .. } in &self.members {
            let names: Vec<&str> = status.apps.iter().map(|app| app.name.as_str()).collect();
            let names = if names.is_empty() { "no apps".to_owned() } else { names.join(", ") };
            list.push_str(&format!("  pid {}: {names}\n", status.keeper_pid));
        }
        for (found, _) in &self.silent {
            list.push_str(&format!("  pid {}: (does not answer)\n", found.keeper_pid));
        }
        list
    }
}

impl Aim {
    /// `worker shop.1`, `2 workers of shop`.
    pub(super) fn receivers(&self, count: u32) -> String {
        match (self.slot, count) {
            (Some(slot), _) => format!("worker {}.{slot}", self.app.name),
            (None, 1) => format!("1 worker of {}", self.app.name),
            (None, count) => format!("{count} workers of {}", self.app.name),
        }
    }
}

impl Member {
    /// The app, or one worker of it, as something to aim at.
    pub(super) fn aim(&self, app: &AppStatus, slot: Option<u32>) -> Aim {
        Aim { client: self.client.clone(), app: app.clone(), slot }
    }
}

/// Says when an instance is of another version than this command.
pub(super) fn tell_version(status: &Status, output: &mut Output) {
    let own = env!("CARGO_PKG_VERSION");
    let (pid, theirs) = (status.keeper_pid, &status.version);
    if theirs != own {
        output.note(&format!(
            "the instance with pid {pid} is of version {theirs}, this command of {own}; `stead upgrade` brings it up to date"
        ));
    }
}

/// Nothing of this user runs; others may have something.
pub(super) fn nothing_runs(directory: &RuntimeDirectory) -> Report {
    let report = Report::new(ExitCode::NotRunning, "nothing is running").hint(
        "`stead start server.js` starts a program in the background, `stead run server.js` on this terminal",
    );
    let others = neighbours(directory.path());
    match others.is_empty() {
        true => report,
        false => report.details(format!(
            "  looked in {}; other users may have instances of their own, in {}\n",
            directory.path().display(),
            others.join(", ")
        )),
    }
}

/// Runtime directories of other users, where they usually are.
fn neighbours(own: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    // Whoever looks in another place than usual does not wonder where the others' are.
    let usual =
        RuntimeDirectory::of(|name| if name.starts_with("STEAD_") { None } else { std::env::var_os(name) });
    if own != usual.path() {
        return Vec::new();
    }
    let temporary = std::fs::read_dir("/tmp").into_iter().flatten().flatten();
    // Named by the numbers of their users.
    let is_one = |name: &str| name.strip_prefix("stead-").is_some_and(|user| user.parse::<u32>().is_ok());
    let temporary =
        temporary.filter(|entry| entry.file_name().to_str().is_some_and(is_one)).map(|entry| entry.path());
    let all = std::iter::once(PathBuf::from("/run/stead")).chain(temporary);
    let user = rustix::process::geteuid().as_raw();
    let others = all.filter(|path| {
        path != own
            && path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir() && metadata.uid() != user)
    });
    others.map(|path| path.display().to_string()).collect()
}

fn no_such_pid(pid: u32, running: &[String]) -> Report {
    let report = Report::new(ExitCode::NotRunning, format!("no instance with pid {pid} is running"));
    match running.is_empty() {
        true => report,
        false => report.hint(format!("running: {}", running.join(", "))),
    }
}

fn does_not_answer(found: &Found, error: ClientError) -> Report {
    let report = Report::from(error);
    let message = format!("the instance with pid {} does not answer", found.keeper_pid);
    let causes = std::iter::once(report.message).chain(report.causes).collect();
    Report { message, causes, ..report }
}
