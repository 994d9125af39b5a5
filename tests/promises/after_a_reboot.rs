//! "After a reboot my apps run again without me; and when something is wrong with this machine, `stead doctor` tells."

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::background::Background;
use crate::support::ports::free_port;
use crate::support::processes::{self, kill};
use crate::support::stead::Verb;
use crate::support::{beside, get, node, soon};

const LIMIT: Duration = Duration::from_secs(30);

/// What a service manager hears.
struct Ear(UnixDatagram);

impl Ear {
    fn open(user: &Background) -> Ear {
        let socket = UnixDatagram::bind(user.path().join("notify")).expect("there is room for a socket");
        socket.set_read_timeout(Some(LIMIT)).expect("a time can be set");
        Ear(socket)
    }

    #[track_caller]
    fn hears(&self, wanted: &str) {
        let mut buffer = [0; 512];
        loop {
            let bytes = self.0.recv(&mut buffer).unwrap_or_else(|error| panic!("{wanted}: {error}"));
            if String::from_utf8_lossy(&buffer[..bytes]).lines().any(|line| line == wanted) {
                return;
            }
        }
    }
}

/// Does what systemd does with the unit that `stead startup` writes for this user.
#[track_caller]
fn boot(user: &Background) -> Verb {
    let unit = user.done(&["startup", "systemd", "--rootless", "--print"]).stdout;
    let values = |key: &str| unit.lines().filter_map(|line| line.strip_prefix(key)).collect::<Vec<_>>();
    let words: Vec<&str> = values("ExecStart=")[0].split(' ').collect();
    assert_eq!(words[1..], ["background", "--resurrect"]);
    let mut command = user.command(&words[1..]);
    // The surroundings of a service are not those of a shell.
    for name in ["PORT", "STEAD_HOME", "STEAD_RUNTIME_DIR", "XDG_RUNTIME_DIR", "PATH", "HOME"] {
        command.env_remove(name);
    }
    for line in values("Environment=") {
        let (name, value) = line.trim_matches('"').split_once('=').expect("a variable has a value");
        command.env(name, value);
    }
    command.env("NOTIFY_SOCKET", user.path().join("notify")).env("WATCHDOG_USEC", "2000000");
    Verb::start(&mut command)
}

#[test]
fn what_was_saved_is_started_by_the_unit_and_ended_by_its_signal() {
    let _turn = beside();
    let port = free_port();
    let user = Background::new().env("PORT", port);
    user.done(&["start", &node("hello.js"), "-i", "2", "--name", "shop"]);
    let other = format!("PORT={}", free_port());
    user.done(&["start", &node("hello.js"), "--name", "resting", "--env", &other]);
    user.done(&["stop", "resting"]);
    user.done(&["scale", "shop", "3"]);
    user.done(&["save"]);
    user.done(&["kill"]);
    soon("everything is gone", || user.processes().is_empty());
    let ear = Ear::open(&user);
    let service = boot(&user);
    ear.hears("READY=1");
    ear.hears("WATCHDOG=1");
    let status = user.wait_status("what was saved is there", |status| {
        status.names() == ["shop", "resting"] && status.of("shop").instances() == (3, 3)
    });
    assert_eq!(get(port, "/").text(), "hello\n");
    assert_eq!(status.of("resting").workers().len(), 0, "what was stopped stays so");
    assert_eq!(status.keeper_pid(), service.pid(), "the keeper is the main process");
    // A daemon that dies does not begin from what was saved.
    user.done(&["scale", "shop", "1"]);
    kill(status.daemon_pid());
    user.wait_status("another daemon goes on", |now| {
        now.daemon_pid() != status.daemon_pid() && now.of("shop").instances() == (1, 1)
    });
    processes::signal(service.pid(), Signal::TERM);
    let ended = service.finish(LIMIT);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_unit_without_saved_apps_waits_for_some() {
    let _turn = beside();
    let user = Background::new();
    let ear = Ear::open(&user);
    let service = boot(&user);
    ear.hears("READY=1");
    // Damaged ones do not keep it from starting either.
    assert_eq!(user.try_status().expect("it answers").names(), Vec::<String>::new());
    processes::signal(service.pid(), Signal::TERM);
    assert_eq!(service.finish(LIMIT).code, Some(0));
    std::fs::create_dir_all(user.home()).expect("there is room for a directory");
    std::fs::write(user.home().join("apps.json"), "{").expect("it can be written");
    let service = boot(&user);
    ear.hears("READY=1");
    user.done(&["kill"]);
    let ended = service.finish(LIMIT);
    assert!(format!("{}{}", ended.stdout, ended.stderr).contains("damaged"), "{ended:?}");
}

/// What the doctor says about one thing.
#[track_caller]
fn doctor(user: &Background, check: &str) -> (Option<i32>, String, String) {
    let finished = user.verb(&["doctor", "--json"]);
    let report: Value = serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{finished:?}"));
    let findings = report["findings"].as_array().expect("a list");
    let finding = findings.iter().find(|finding| finding["check"] == check);
    let finding = finding.unwrap_or_else(|| panic!("no {check} in {report}"));
    let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    (finished.code, text("verdict"), text("text"))
}

#[test]
fn the_doctor_finds_what_is_wrong() {
    let _turn = beside();
    let user = Background::new().env("PORT", free_port());
    let (_, verdict, _) = doctor(&user, "saved");
    assert_eq!(verdict, "ok");
    assert!(!user.home().exists(), "looking changes nothing");
    user.done(&["start", &node("hello.js"), "--name", "shop"]);
    let (_, verdict, text) = doctor(&user, "saved");
    assert!(verdict == "warning" && text.contains("not kept"), "{text}");
    user.done(&["save"]);
    assert_eq!(doctor(&user, "saved").1, "ok");
    let (_, verdict, text) = doctor(&user, "daemon");
    assert!(verdict == "ok" && text.contains("1 apps"), "{text}");
    std::fs::write(user.home().join("apps.json"), "half").expect("it can be written");
    let (code, verdict, text) = doctor(&user, "saved");
    assert!(code == Some(1) && verdict == "failure" && text.contains("cannot be read"), "{text}");
    let words = user.verb(&["doctor"]);
    assert!(words.stdout.contains("FAILURE") && words.stdout.contains("stead save"), "{words:?}");
}

#[test]
fn a_daemon_that_dies_while_it_brings_back_apps_leaves_none_out() {
    let _turn = beside();
    let user = Background::new().env("PORT", free_port());
    let hello = node("hello.js");
    // It is evaluated for as long as the gate is there.
    let gate = "while (require('fs').existsSync(__dirname + '/gate')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);";
    user.write(
        "ecosystem.config.js",
        &format!("{gate}\nmodule.exports = {{ apps: [{{ name: 'slow', script: '{hello}' }}] }};\n"),
    );
    user.done(&["start", "ecosystem.config.js"]);
    user.done(&["start", &hello, "--name", "last", "--env", &format!("PORT={}", free_port())]);
    user.done(&["save"]);
    user.done(&["kill"]);
    user.write("gate", "");
    let service = user.begin(&["background", "--resurrect"]);
    let daemon = user.wait_status("it has begun", |status| status.names().is_empty()).daemon_pid();
    kill(daemon);
    user.wait_status("another daemon is there", |status| status.daemon_pid() != daemon);
    std::fs::remove_file(user.path().join("gate")).expect("it is there");
    user.wait_status("all are back", |status| status.names() == ["slow", "last"] && status.is_complete());
    user.done(&["kill"]);
    service.finish(LIMIT);
}
