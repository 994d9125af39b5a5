//! "I install a new version of Stead itself. My service must not notice: no request fails, no worker is restarted, and if the
//! new version does not come up, the old one goes on."

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::load::{assert_nothing_failed, gets};
use crate::support::ports::free_port;
use crate::support::processes::{children, kill, living};
use crate::support::status::Status;
use crate::support::websocket::WebSocket;
use crate::support::{Client, Load, Stead, alone, beside, eventually, get, node, soon};

/// From the command until another daemon serves.
const LIMIT: Duration = Duration::from_secs(20);

/// The binary under test, as a file of its own, as if it had just been installed.
fn new_version(stead: &Stead) -> PathBuf {
    // The one of the last round runs and cannot be written to.
    let path = stead.path().join(format!("stead-{}", stead.status().daemon_starts()));
    std::fs::copy(env!("CARGO_BIN_EXE_stead"), &path).expect("there is room for a copy");
    path
}

/// A program that pretends to be a new version.
fn script(stead: &Stead, text: &str) -> PathBuf {
    let path = stead.path().join("stead-false");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("there is room for a script");
    std::fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("it is ours");
    path
}

#[track_caller]
fn upgrade(stead: &Stead) -> Status {
    let before = stead.status();
    let binary = new_version(stead);
    let done = stead.verb(&["upgrade", "--binary", &binary.to_string_lossy()]);
    assert_eq!(done.code, Some(0), "{done:?}");
    stead.wait_status("the new daemon serves", LIMIT, |status| {
        status.daemon_pid() != before.daemon_pid() && status.is_complete()
    })
}

#[test]
fn an_upgrade_under_load_loses_no_request_and_restarts_no_worker() {
    let _turn = alone();
    let stead = Stead::script(node("executions.js")).instances(2).start();
    let before = stead.status();
    let load = Load::mixed(stead.port, 40);
    load.each_answers(100);
    for round in 1..=3 {
        let after = upgrade(&stead);
        assert_eq!(after.workers(), before.workers(), "round {round}: the same workers");
        assert_eq!(after.keeper_pid(), before.keeper_pid(), "round {round}: the same keeper");
        load.each_answers(100);
    }
    assert_nothing_failed(&load.stop());
    let program = std::fs::read_link(format!("/proc/{}/exe", stead.pid())).expect("the keeper lives");
    assert!(program.starts_with(stead.path()), "the keeper itself runs the new version: {program:?}");
    soon("the old daemons are gone", || {
        children(stead.pid()).iter().filter(|child| child.command.contains(" daemon ")).count() == 1
    });
}

#[test]
fn a_connection_that_is_kept_goes_on_with_the_new_version() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).instances(1).start();
    let mut client = Client::connect(stead.port);
    let mut ask = || {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        let answer = client.answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello\n"));
    };
    ask();
    let old = stead.status().daemon_pid();
    upgrade(&stead);
    soon("the old daemon has nothing left to do", || living(old).is_none());
    ask();
}

#[test]
fn websockets_stay_with_the_old_version_until_they_end_or_the_grace_period_does() {
    let _turn = beside();
    let stead = Stead::script(node("websocket.js")).instances(2).set("grace", "3s").start();
    let mut ends_itself = WebSocket::open(stead.port, "/");
    let mut stays = WebSocket::open(stead.port, "/");
    let old = stead.status().daemon_pid();
    upgrade(&stead);
    for socket in [&mut ends_itself, &mut stays] {
        assert_eq!(socket.ask("still there").expect("an open WebSocket"), "still there");
    }
    assert!(living(old).is_some(), "the old version carries them");
    drop(ends_itself);
    assert_eq!(WebSocket::open(stead.port, "/").ask("new").expect("an open WebSocket"), "new");
    eventually("the old version ends after the grace period", Duration::from_secs(10), || {
        living(old).is_none().then_some(())
    });
    assert!(stays.ask("too late").is_err(), "it was told to come again");
}

#[test]
fn what_reaches_the_old_version_too_late_is_refused_and_not_lost() {
    let _turn = beside();
    let (plan, port) = (Stead::plan(Vec::<String>::new()), free_port());
    let web = format!("[app.web]\ncommand = \"node {}\"\nlisten = [\"{port}\"]\n", node("websocket.js"));
    let sum = format!("[pool.sum]\ncommand = \"node {}\"\nsize = 1\n", node("compute.js"));
    std::fs::write(plan.directory().join("stead.toml"), web + &sum).expect("there is room for a file");
    let stead = plan.start();
    let old = stead.status().daemon_pid();
    let mut stays = WebSocket::open(port, "/");
    let mut client = Client::connect_unix(&stead.sockets().pop().expect("the instance has a socket"));
    let asked = "POST /v1/pools/sum/tasks?wait=false&durable=false HTTP/1.1\r\nHost: stead\r\nContent-Length: 8\r\n\r\n";
    client.send(asked.to_owned() + "{\"n\"");
    upgrade(&stead);
    assert_eq!(stays.ask("still there").expect("an open WebSocket"), "still there");
    assert!(living(old).is_some(), "the old version carries it");
    let answer = client.send(": 4}").answer();
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &"unavailable".into()));
    assert!(answer.text().contains("ask again"), "{}", answer.text());
}

#[test]
fn a_version_that_does_not_come_up_changes_nothing() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).instances(2).start();
    let before = stead.status();
    let load = Load::start([("kept", gets(stead.port, "/", 10))]);
    load.each_answers(50);
    let formats = std::process::Command::new(env!("CARGO_BIN_EXE_stead"))
        .arg("formats")
        .output()
        .expect("the binary runs")
        .stdout;
    let formats = String::from_utf8(formats).expect("JSON");
    let falls_over = format!("case $1 in formats) echo '{}';; *) exit 7;; esac", formats.trim());
    let unknown = "echo '{\"version\":\"9.9.9\",\"keeper\":999,\"state\":999}'";
    for (text, word) in [(falls_over.as_str(), "exit code"), (unknown, "999"), ("exit 1", "formats")] {
        let binary = script(&stead, text);
        let failed = stead.verb(&["upgrade", "--binary", &binary.to_string_lossy()]);
        assert_eq!(failed.code, Some(1), "{text}: {failed:?}");
        assert!(failed.stderr.contains(word), "{failed:?}");
    }
    let missing = stead.verb(&["upgrade", "--binary", "/no/such/file"]);
    assert!(missing.code == Some(2) && missing.stderr.contains("/no/such/file"), "{missing:?}");
    load.each_answers(50);
    assert_nothing_failed(&load.stop());
    let after = stead.status();
    assert_eq!((after.daemon_pid(), after.workers()), (before.daemon_pid(), before.workers()));
}

#[test]
fn after_an_upgrade_a_killed_daemon_and_a_stop_are_what_they_were() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).instances(2).start();
    let before = upgrade(&stead);
    kill(before.daemon_pid());
    let after = stead.wait_status("a new daemon serves", LIMIT, |status| {
        status.daemon_pid() != before.daemon_pid() && status.is_complete()
    });
    assert_eq!(after.workers(), before.workers());
    stead.reload();
    assert_eq!(get(stead.port, "/").text(), "hello\n");
    stead.end();
}
