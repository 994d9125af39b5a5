//! A child ends when it should and with whom it should, and outlives what it should.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use stead_process::child::{CancelToken, Child, Command, Signal, Stdio};

/// How long anything may take that is waited for here.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a shell that tells a number on its first line.
fn shell_with_number(line: &str, say: impl FnOnce(&mut Command) -> &mut Command) -> (Child, i32) {
    let mut command = Command::shell(line);
    command.stdout(Stdio::Piped);
    say(&mut command);
    let mut child = command.spawn().unwrap();
    let mut text = String::new();
    BufReader::new(child.stdout.take().unwrap().into_std().unwrap()).read_line(&mut text).unwrap();
    (child, text.trim().parse().unwrap())
}

/// Waits until a process that is not our child has ended; whoever it is left to may take its time to reap it.
#[track_caller]
fn wait_end(pid: i32) {
    let begun = Instant::now();
    let Ok(pidfd) = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()) else { return };
    let mut polled = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    let patience = rustix::event::Timespec::try_from(PATIENCE).unwrap();
    rustix::event::poll(&mut polled, Some(&patience)).unwrap();
    assert!(begun.elapsed() < PATIENCE, "{pid} is still there");
}

fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn a_tree_is_killed_with_those_who_left_the_group() {
    let line = "setsid sh -c 'echo $$; trap \"\" TERM HUP; sleep 1000 & wait' & wait";
    for own_group in [false, true] {
        let (mut child, stray) = shell_with_number(line, |c| c.own_group(own_group));
        assert!(is_alive(stray));
        child.kill_tree().unwrap();
        assert_eq!(child.wait_blocking().unwrap().signal, Some(9));
        wait_end(stray);
        child.kill_tree().unwrap();
    }
}

#[test]
fn nobody_escapes_from_a_control_group() {
    // Where this test may make one.
    let Some(group) = make_cgroup() else { return };
    // Another session, and the parent in between has ended.
    let line = "setsid sh -c '(echo $$; exec sleep 1000) & exit' & wait $!; read line";
    let (mut child, _) = shell_with_number(line, |c| c.cgroup(&group).stdin(Stdio::Piped));
    let members = || std::fs::read_to_string(group.join("cgroup.procs")).unwrap();
    assert!(members().lines().count() >= 2, "{}", members());
    child.kill_tree().unwrap();
    assert_eq!(child.wait_blocking().unwrap().signal, Some(9));
    let begun = Instant::now();
    while std::fs::remove_dir(&group).is_err() {
        assert!(begun.elapsed() < PATIENCE, "{}", members());
        std::thread::yield_now();
    }
}

fn make_cgroup() -> Option<PathBuf> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?.to_owned();
    let group = Path::new("/sys/fs/cgroup").join(own).join(format!("stead-child-{}", std::process::id()));
    std::fs::create_dir(&group).ok()?;
    // Kernels before 5.14, and hierarchies of the first version, have no such file.
    if group.join("cgroup.kill").exists() {
        return Some(group);
    }
    std::fs::remove_dir(&group).ok()?;
    None
}

#[test]
fn a_tree_can_be_asked_to_end() {
    let line = "sh -c 'trap \"exit 7\" TERM; echo $$; while :; do sleep 0.01; done'; exit $?";
    let (mut child, inner) = shell_with_number(&format!("trap : TERM; {line}"), |c| c);
    child.handle().signal_tree(Signal::TERM).unwrap();
    assert_eq!(child.wait_blocking().unwrap().code, Some(7));
    wait_end(inner);
}

#[test]
fn what_refuses_to_end_is_killed_after_its_grace() {
    let token = CancelToken::new();
    let line = "trap '' TERM; echo $$; while :; do sleep 0.01; done";
    let (mut child, _) = shell_with_number(line, |c| {
        c.cancel_token(&token).whole_tree(false).kill_grace(Some(Duration::from_millis(20)))
    });
    token.cancel();
    assert_eq!(child.wait_blocking().unwrap().signal, Some(9));
}

#[test]
fn what_is_left_of_a_group_is_swept() {
    let line = "trap '' HUP; sleep 1000 >/dev/null & echo $!; exit 4";
    let (mut child, left) = shell_with_number(line, |c| c.own_group(true).sweep_group(true));
    assert_eq!(child.wait_blocking().unwrap().code, Some(4));
    wait_end(left);
}

#[test]
fn a_dropped_child_goes_on_or_is_killed_as_asked() {
    let (child, pid) = shell_with_number("echo $$; exec sleep 1000", |c| c);
    let handle = child.handle();
    drop(child);
    assert!(is_alive(pid));
    handle.signal(Signal::KILL).unwrap();
    assert_eq!(handle.wait_blocking().unwrap().signal, Some(9));

    let (child, pid) = shell_with_number("echo $$; sleep 1000 & wait", |c| c.kill_on_drop(true));
    drop(child);
    wait_end(pid);

    let (child, pid) = shell_with_number("echo $$; exec sleep 1000", |c| c.kill_on_drop(true));
    let handle = child.handle();
    child.unref();
    assert!(is_alive(pid));
    handle.signal(Signal::KILL).unwrap();
    handle.wait_blocking().unwrap();
}

#[test]
fn a_thread_that_ends_takes_no_child_along() {
    let child =
        std::thread::spawn(|| Command::new("sleep").arg("1000").kill_with_parent(true).spawn().unwrap());
    let mut child = child.join().unwrap();
    assert!(child.try_wait().is_none());
    child.signal(Signal::TERM).unwrap();
    assert_eq!(child.wait_blocking().unwrap().signal, Some(15), "not SIGKILL, as by the kernel");
}

#[test]
fn the_thread_in_the_background_gets_no_signal_of_the_programs() {
    drop(Command::new("true").spawn().unwrap());
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let status = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("status"));
    let mut texts = threads.filter_map(|thread| status(thread).ok());
    let minder = texts.find(|text| text.starts_with("Name:\tstead-minder")).unwrap();
    let blocked = minder.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
    let blocked = u64::from_str_radix(blocked, 16).unwrap();
    let is_blocked = |number: i32| blocked & (1 << (number - 1)) != 0;
    assert!(is_blocked(Signal::TERM.number()) && is_blocked(Signal::USR1.number()));
    // By this one the C library makes all threads change their user.
    assert!(!is_blocked(33));
}

/// Runs the test of that name in another process, as somebody who dies.
fn mortal(test: &str) -> (Child, Vec<i32>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env("MORTAL", "1").stdout(Stdio::Piped);
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap().into_std().unwrap()).lines();
    let numbers = lines.map_while(Result::ok).find(|line| line.starts_with("children")).unwrap();
    (child, numbers.split(' ').skip(1).map(|number| number.parse().unwrap()).collect())
}

#[test]
fn children_die_with_their_parent_or_outlive_it_as_asked() {
    let (mut parent, children) = mortal("ending::has_two_children_if_mortal");
    assert_eq!(children.len(), 2);
    parent.kill().unwrap();
    assert_eq!(parent.wait_blocking().unwrap().signal, Some(9));
    wait_end(children[0]);
    assert!(is_alive(children[1]));
    let detached = Pid::from_raw(children[1]).unwrap();
    rustix::process::kill_process(detached, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn has_two_children_if_mortal() {
    if std::env::var_os("MORTAL").is_none() {
        return;
    }
    let mut sleep = Command::new("sleep");
    sleep.arg("1000").stdin(Stdio::Null).stdout(Stdio::Null).stderr(Stdio::Null);
    let mut dying = sleep.kill_with_parent(true).spawn().unwrap();
    let outliving = sleep.kill_with_parent(false).detached(true).spawn().unwrap();
    println!("\nchildren {} {}", dying.id(), outliving.id());
    outliving.unref();
    dying.wait_blocking().unwrap();
}
