//! The runtime directory, what runs, and what is left over.

use super::finding::{Finding, Verdict};
use crate::cli::in_one_line;
use std::path::PathBuf;
use stead_control::{AppState, Client, RuntimeDirectory, Status};

/// The longest path that a Unix socket can have.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// What runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Running {
    pub(super) directory: PathBuf,
    /// Why nothing could be looked at.
    pub(super) refused: Option<String>,
    /// As long as a path in it can get.
    pub(super) socket_path_bytes: usize,
    /// Its parent goes when the user logs out.
    pub(super) goes_at_logout: bool,
    pub(super) background: Option<Status>,
    /// Those on terminals and in containers.
    pub(super) others: Vec<Status>,
    /// Those that do not answer: pid and why.
    pub(super) silent: Vec<(u32, String)>,
    /// Sockets whose instance is gone.
    pub(super) stale: usize,
    /// Runtime directories where something of this user runs that this shell does not see.
    pub(super) elsewhere: Vec<PathBuf>,
}

impl Running {
    pub(super) async fn look(directory: &RuntimeDirectory) -> Running {
        let path = directory.path();
        let mut seen = Running {
            directory: path.to_owned(),
            socket_path_bytes: directory.socket(u32::MAX).as_os_str().len(),
            goes_at_logout: path.starts_with("/run/user") && !lingers(),
            ..Running::default()
        };
        let running = match directory.running() {
            Ok(running) => running,
            Err(error) => {
                seen.refused = Some(in_one_line(&error));
                return seen;
            }
        };
        seen.stale = sockets(path).saturating_sub(running.len());
        for found in running {
            match Client::new(&found.socket).status().await {
                Ok(status) if status.background => seen.background = Some(status),
                Ok(status) => seen.others.push(status),
                Err(error) => seen.silent.push((found.keeper_pid, in_one_line(&error))),
            }
        }
        seen.elsewhere = elsewhere(directory);
        seen
    }
}

/// Sockets of instances in a directory, used or not.
fn sockets(directory: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "sock")).count()
}

/// The other places where an instance of this user may be, depending on how it was started.
fn elsewhere(own: &RuntimeDirectory) -> Vec<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let mut places = vec![format!("/run/user/{uid}/stead"), format!("/tmp/stead-{uid}")];
    if uid == 0 {
        places.push("/run/stead".to_owned());
    }
    let others = places.into_iter().map(PathBuf::from).filter(|path| path != own.path());
    let runs = |path: &PathBuf| {
        let named = |name: &str| (name == "STEAD_RUNTIME_DIR").then(|| path.clone().into_os_string());
        RuntimeDirectory::of(named).running().is_ok_and(|running| !running.is_empty())
    };
    others.filter(runs).collect()
}

/// Whether the user's directory below /run stays when they log out.
fn lingers() -> bool {
    let user = crate::cli::startup::Account::own();
    std::path::Path::new("/var/lib/systemd/linger").join(user.name).exists()
}

pub(super) fn judge(seen: &Running) -> Vec<Finding> {
    let mut all = vec![runtime_directory(seen)];
    if seen.refused.is_some() {
        return all;
    }
    all.push(daemon(seen));
    all.extend(seen.silent.iter().map(|(pid, why)| {
        Finding::new("instance", Verdict::Failure, format!("the instance with pid {pid} does not answer: {why}"))
            .advice("if it does not in a minute: kill its daemon (the process `stead background-daemon` or `stead daemon`), its keeper starts another")
    }));
    if let Some(place) = seen.elsewhere.first() {
        let text = format!("something runs in {} that this shell does not see", place.display());
        all.push(
            Finding::new("instance", Verdict::Warning, text)
                .advice(format!("STEAD_RUNTIME_DIR={} lets it be seen", place.display())),
        );
    }
    all.push(match seen.stale {
        0 => Finding::new("leftovers", Verdict::Ok, "none"),
        count => {
            Finding::new("leftovers", Verdict::Note, format!("{count} sockets of instances that are gone"))
                .advice("harmless; the next instance removes them")
        }
    });
    all
}

fn runtime_directory(seen: &Running) -> Finding {
    let path = seen.directory.display();
    let finding = |verdict, text: String| Finding::new("runtime", verdict, text);
    match &seen.refused {
        Some(why) => finding(Verdict::Failure, why.clone())
            .advice("make it yours alone (`chmod go-w`), or name another one in STEAD_RUNTIME_DIR"),
        None if seen.socket_path_bytes > SOCKET_PATH_BYTES_MAX => {
            let text = format!("{path} is too long for the path of a socket");
            finding(Verdict::Failure, text).advice("name a shorter one in STEAD_RUNTIME_DIR")
        }
        None if seen.goes_at_logout && seen.background.is_some() => {
            finding(Verdict::Warning, format!("{path} is removed when you log out, with the sockets in it"))
                .advice("loginctl enable-linger (or `stead startup`, which does it)")
        }
        None => finding(Verdict::Ok, path.to_string()),
    }
}

fn daemon(seen: &Running) -> Finding {
    let finding = |verdict, text: String| Finding::new("daemon", verdict, text);
    let own = env!("CARGO_PKG_VERSION");
    let others = match seen.others.len() {
        0 => String::new(),
        1 => "; 1 on a terminal".to_owned(),
        count => format!("; {count} on terminals"),
    };
    let Some(status) = &seen.background else {
        return finding(
            Verdict::Ok,
            format!("no background instance runs; `stead start` starts one{others}"),
        );
    };
    let (pid, version) = (status.keeper_pid, &status.version);
    if version != own {
        let text =
            format!("the background instance (pid {pid}) is of version {version}, this command of {own}");
        return finding(Verdict::Warning, text).advice("stead upgrade");
    }
    let failed: Vec<&str> =
        status.apps.iter().filter(|app| app.state == AppState::Failed).map(|app| app.name.as_str()).collect();
    if !failed.is_empty() {
        let text = format!("failed: {}", failed.join(", "));
        return finding(Verdict::Warning, text).advice(format!("stead show {}", failed[0]));
    }
    let deaths = status.daemon_starts.saturating_sub(1);
    if deaths > 0 {
        let text = format!("the daemon of pid {pid} was started {} times", status.daemon_starts);
        return finding(Verdict::Note, text)
            .advice("upgrades count too; if there were none, daemon.log in the home says why it died");
    }
    let apps = status.apps.len();
    finding(Verdict::Ok, format!("pid {pid}, version {version}, {apps} apps{others}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;
    use crate::cli::test_support::{Instance, directory, status};
    use stead_control::bind;

    fn seen() -> Running {
        let mut status =
            Status { version: env!("CARGO_PKG_VERSION").to_owned(), daemon_starts: 1, ..status() };
        status.apps.retain(|app| app.state != AppState::Failed);
        Running { directory: "/run/stead".into(), background: Some(status), ..Running::default() }
    }

    fn with(change: impl FnOnce(&mut Status)) -> Running {
        let mut seen = seen();
        change(seen.background.as_mut().unwrap());
        seen
    }

    fn find(seen: &Running, name: &str) -> Finding {
        judge(seen).into_iter().find(|finding| finding.check == name).unwrap()
    }

    #[test]
    fn what_runs_is_judged() {
        let daemon = |seen: &Running| find(seen, "daemon");
        check(&daemon(&seen()), Verdict::Ok, "pid 4242");
        check(&daemon(&Running { background: None, ..seen() }), Verdict::Ok, "no background instance");
        check(&daemon(&with(|status| status.version = "9.9.9".to_owned())), Verdict::Warning, "9.9.9");
        check(&daemon(&with(|status| status.daemon_starts = 3)), Verdict::Note, "3 times");
        check(
            &daemon(&with(|status| status.apps[0].state = AppState::Failed)),
            Verdict::Warning,
            "failed: shop",
        );
        let silent = Running { silent: vec![(7, "it hangs".to_owned())], ..seen() };
        check(&find(&silent, "instance"), Verdict::Failure, "pid 7 does not answer: it hangs");
        let elsewhere = Running { elsewhere: vec!["/tmp/stead-0".into()], ..seen() };
        check(&find(&elsewhere, "instance"), Verdict::Warning, "/tmp/stead-0");
        check(&find(&Running { stale: 2, ..seen() }, "leftovers"), Verdict::Note, "2 sockets");
    }

    #[test]
    fn the_runtime_directory_is_judged() {
        let runtime = |seen: &Running| find(seen, "runtime");
        check(&runtime(&seen()), Verdict::Ok, "/run/stead");
        let refused = Running { refused: Some("it belongs to another user".to_owned()), ..seen() };
        check(&runtime(&refused), Verdict::Failure, "another user");
        assert_eq!(judge(&refused).len(), 1, "nothing more can be said");
        check(&runtime(&Running { socket_path_bytes: 200, ..seen() }), Verdict::Failure, "too long");
        let going = Running { goes_at_logout: true, ..seen() };
        check(&runtime(&going), Verdict::Warning, "log out");
        check(&runtime(&Running { background: None, ..going }), Verdict::Ok, "/run/stead");
    }

    #[tokio::test]
    async fn instances_and_leftovers_are_seen() {
        let (_folder, directory) = directory();
        assert!(Running::look(&directory).await.background.is_none());
        let _instance = Instance::start(&directory, |operator| operator.status.background = true);
        drop(bind(&directory.socket(4_194_305)).unwrap());
        let seen = Running::look(&directory).await;
        assert_eq!(seen.background.map(|status| status.apps.len()), Some(2));
        assert_eq!((seen.stale, seen.others.len(), seen.silent.len()), (1, 0, 0));
    }
}
