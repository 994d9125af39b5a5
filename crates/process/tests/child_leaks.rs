//! Whatever becomes of children, nothing is left of them: no descriptor, no zombie, no process, no memory mapping.
//!
//! One test, because all of that is counted for the whole process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use stead_process::child::{CancelToken, Child, Command, SpawnError, Stdio};

/// How long the background may take to reap what was dropped.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn nothing_is_left_of_thousands_of_children() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // The first of each kind begins what lasts as long as this process.
    run_to_the_end(&runtime, 8);
    let descriptors = descriptors();

    std::thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| run_to_the_end(&runtime, 400))));
    });
    check(descriptors, "run to their end");
    fail_to_start(2000);
    check(descriptors, "failed to start");
    fail_for_want_of_descriptors();
    check(descriptors, "failed for want of descriptors");
    drop_alive(300);
    check(descriptors, "dropped alive");
    runtime.block_on(cancel_futures(300));
    check(descriptors, "cancelled futures");
    time_out(300);
    check(descriptors, "out of time");
}

/// Waits until there are no more descriptors than before and no children at all.
#[track_caller]
fn check(descriptors_before: usize, what: &str) {
    let begun = Instant::now();
    while !children().is_empty() || !survivors().is_empty() || descriptors() > descriptors_before {
        assert!(
            begun.elapsed() < PATIENCE,
            "{what}: children {:?}, survivors {:?}, {} descriptors and not {descriptors_before}",
            children(),
            survivors(),
            descriptors()
        );
        std::thread::yield_now();
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Numbers of our children, zombies too.
fn children() -> Vec<String> {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    let lists = threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// What only our descendants are told, so that they are known even with another parent.
fn mark() -> String {
    format!("1000.{}", std::process::id())
}

/// Descendants that live, whoever is their parent by now.
fn survivors() -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(&mark())).collect()
}

fn sleeper() -> Command {
    let mut command = Command::new("sleep");
    command.arg(mark()).stdin(Stdio::Piped).stdout(Stdio::Piped).stderr(Stdio::Null);
    command
}

fn run_to_the_end(runtime: &tokio::runtime::Runtime, count: usize) {
    for number in 0..count {
        let mut command = Command::new("/bin/true");
        match number % 4 {
            0 => assert!(command.exec_blocking().is_ok()),
            1 => assert!(runtime.block_on(command.exec()).is_ok()),
            2 => assert!(command.kill_with_parent(true).spawn().unwrap().wait_blocking().unwrap().success()),
            _ => assert!(command.pipe(&mut Command::new("/bin/true")).output_blocking().unwrap().success()),
        }
    }
}

fn fail_to_start(count: usize) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for number in 0..count {
        let mut command = if number % 2 == 0 { Command::new("/no/such") } else { Command::new(file.path()) };
        let error = command.stdin(Stdio::Piped).stdout(Stdio::Piped).descriptor(9, Stdio::Piped).spawn();
        assert!(matches!(error, Err(SpawnError::NotFound { .. } | SpawnError::NotExecutable { .. })));
    }
}

/// With every number of free descriptors, from none to enough.
fn fail_for_want_of_descriptors() {
    let mut taken: Vec<OwnedFd> = Vec::new();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let small = rustix::process::Rlimit { current: Some(descriptors() as u64 + 64), ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, small).unwrap();
    while let Ok(descriptor) = fs::File::open("/dev/null") {
        taken.push(descriptor.into());
    }
    let mut failures = 0;
    loop {
        match sleeper().stderr(Stdio::Piped).kill_on_drop(true).spawn() {
            Ok(child) => break drop(child),
            Err(error) => assert!(matches!(error, SpawnError::Other { .. }), "{error}"),
        }
        failures += 1;
        drop(taken.pop());
    }
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    assert!(failures >= 6, "three pipes and a pidfd do not fit into {failures}");
}

fn drop_alive(count: usize) {
    let children: Vec<Child> = (0..count).map(|_| sleeper().kill_on_drop(true).spawn().unwrap()).collect();
    let handles: Vec<_> = children.iter().map(Child::handle).collect();
    drop(children);
    assert!(handles.iter().all(|handle| handle.wait_blocking().unwrap().signal == Some(9)));
}

async fn cancel_futures(count: usize) {
    for number in 0..count {
        let mut command = Command::shell(format!("sleep {}; true", mark()));
        let mut child = sleeper().kill_on_drop(true).spawn().unwrap();
        // Each is polled once, and dropped while its child runs.
        tokio::select! {
            biased;
            result = command.output(), if number % 10 == 0 => panic!("{result:?}"),
            result = child.wait() => panic!("{result:?}"),
            () = std::future::ready(()) => (),
        }
    }
}

fn time_out(count: usize) {
    let token = CancelToken::new();
    let start = |number: usize| {
        // One that never comes is taken back with its child.
        let timeout = Duration::from_millis(if number.is_multiple_of(2) { 1 } else { 1_000_000 });
        sleeper().cancel_token(&token).timeout(timeout).spawn().unwrap()
    };
    let children: Vec<Child> = (0..count).map(start).collect();
    token.cancel();
    for mut child in children {
        assert!(child.wait_blocking().unwrap().signal.is_some());
        assert!(child.handle().cause().is_some());
    }
}
