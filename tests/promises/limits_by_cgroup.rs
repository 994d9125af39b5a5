//! "No worker may take the whole machine. If that cannot be had here, tell me, and do not start what would then be without bounds."

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::background::Background;
use crate::support::ports::free_port;
use crate::support::stead::Verb;
use crate::support::{beside, node, soon};

const VERB_LIMIT: Duration = Duration::from_secs(60);

fn config(limits: &str) -> String {
    let (script, port) = (node("hello.js"), free_port());
    format!(
        "[app.shop]\ncommand = \"node {script}\"\ninstances = 2\nenv = {{ PORT = \"{port}\" }}\n{limits}\n"
    )
}

/// A cgroup that Stead may divide; gone when dropped.
struct Group(PathBuf);

impl Group {
    /// None where this machine, or this user, cannot have one with all controllers.
    fn new() -> Option<Group> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
        // Below the group of the tests, or beside all others.
        [own, ""].into_iter().find_map(|parent| {
            let parent = Path::new("/sys/fs/cgroup").join(parent);
            let enabled = fs::read_to_string(parent.join("cgroup.subtree_control")).ok()?;
            let has = |name: &&str| enabled.split_whitespace().any(|word| word == *name);
            let group = parent.join(format!("stead-promise-{}", std::process::id()));
            (["cpu", "memory", "pids"].iter().all(has) && fs::create_dir(&group).is_ok())
                .then_some(Group(group))
        })
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap_or_default().trim().to_owned()
    }

    /// The groups of workers in it.
    fn workers(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("stead-worker-")).collect()
    }

    /// The same command, started in this group.
    fn command(&self, inner: &Command) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(self.0.join("cgroup.procs"));
        command.arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(inner.get_current_dir().expect("verbs are typed somewhere"));
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What is left in it was reported by whoever left it.
        drop(fs::remove_dir(self.0.join("stead-keeper")));
        drop(fs::remove_dir(&self.0));
    }
}

#[test]
fn limits_hold_or_the_app_is_refused_with_what_to_do() {
    let _turn = beside();
    let user = Background::new();
    user.write("stead.toml", &config("memory_max = \"512MiB\"\ncpu_max = 1.5\ntasks_max = 100"));
    match Group::new() {
        Some(group) => limits_hold(&user, &group),
        None => app_is_refused(&user),
    }
}

fn limits_hold(user: &Background, group: &Group) {
    let start = Verb::start(&mut group.command(&user.command(&["start"]))).finish(VERB_LIMIT);
    assert_eq!(start.code, Some(0), "{start:?}");
    let workers = group.workers();
    assert_eq!(workers.len(), 2, "{workers:?}");
    for worker in &workers {
        let read = |file: &str| group.read(&format!("{worker}/{file}"));
        assert_eq!(
            (read("memory.max"), read("cpu.max"), read("pids.max")),
            ("536870912".into(), "150000 100000".into(), "100".into())
        );
        let pid: u32 =
            read("cgroup.procs").lines().next().and_then(|pid| pid.parse().ok()).expect("somebody is in it");
        assert!(user.complete().ready_pids().contains(&pid), "{worker} holds {pid}");
    }
    user.done(&["reload", "shop"]);
    soon("the groups of the old workers are gone", || {
        let left = group.workers();
        left.len() == 2 && !left.iter().any(|worker| workers.contains(worker))
    });
    user.done(&["delete", "shop"]);
    soon("no group is left", || group.workers().is_empty());
}

fn app_is_refused(user: &Background) {
    let start = user.verb(&["start"]);
    assert!(start.code != Some(0), "{start:?}");
    assert!(start.stderr.contains("the limits of app `shop` cannot be set"), "{start:?}");
    assert!(start.stderr.contains("memory_max") && start.stderr.contains("hint: "), "{start:?}");
    assert!(start.stderr.contains("Delegate=yes"), "it says what to do: {start:?}");
    assert!(
        user.try_status().is_none_or(|status| status.names().is_empty()),
        "nothing runs without its limits"
    );
}

#[test]
fn a_reload_that_cannot_set_new_limits_leaves_the_old_workers() {
    let _turn = beside();
    let user = Background::new();
    user.write("stead.toml", &config(""));
    user.done(&["start"]);
    let before = user.complete().ready_pids();
    user.write("stead.toml", &config("tasks_max = 100"));
    let reload = user.verb(&["reload", "shop"]);
    let after = user.complete().ready_pids();
    match reload.code {
        Some(0) => assert!(after.iter().all(|pid| !before.contains(pid)), "{before:?} {after:?}"),
        _ => {
            assert!(reload.stderr.contains("tasks_max"), "{reload:?}");
            assert_eq!(after, before);
        }
    }
}
