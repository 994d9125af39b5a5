//! "I type what I typed for PM2, close the terminal, and my apps run. I find them again, stop and start them, and what I
//! saved comes back after a reboot."

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::background::Background;
use crate::support::ports::free_port;
use crate::support::processes::{kill, living};
use crate::support::{beside, get, node, soon};

/// A user whose shell names a port for the app.
fn user() -> (Background, u16) {
    let port = free_port();
    (Background::new().env("PORT", port), port)
}

#[test]
fn start_needs_nothing_before_and_returns_when_the_app_serves() {
    let _turn = beside();
    let (user, port) = user();
    let started = user.done(&["start", &node("hello.js"), "-i", "2", "--name", "shop"]);
    assert!(started.stdout.contains("shop"), "{started:?}");
    assert_eq!(get(port, "/").text(), "hello\n");
    let status = user.complete();
    assert_eq!(status.instances(), (2, 2));
}

#[test]
fn starting_the_same_twice_is_no_mistake_and_tells_what_runs() {
    let _turn = beside();
    let (user, _) = user();
    let words = ["start", &node("hello.js"), "-i", "2", "--name", "shop"];
    user.done(&words);
    let before = user.complete();
    let again = user.done(&words);
    let said = format!("{}{}", again.stdout, again.stderr);
    assert!(said.contains("shop") && said.contains("already"), "{again:?}");
    assert_eq!(user.complete().workers(), before.workers());
}

#[test]
fn a_stopped_app_is_remembered_and_a_deleted_one_is_not() {
    let _turn = beside();
    let (user, port) = user();
    user.done(&["start", &node("hello.js"), "--name", "shop"]);
    user.done(&["stop", "shop"]);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "nobody listens");
    assert_eq!(user.try_status().expect("it is listed").names(), ["shop"]);
    user.done(&["start", "shop"]);
    assert_eq!(get(port, "/").text(), "hello\n");
    user.done(&["delete", "shop"]);
    assert!(user.try_status().expect("the instance goes on").names().is_empty());
}

#[test]
fn restart_takes_over_what_changed_in_the_file() {
    let _turn = beside();
    let (user, port) = user();
    let config = |greeting: &str| {
        let script = node("environment.js");
        user.write(
            "stead.toml",
            &format!("[app.shop]\ncommand = \"node {script}\"\nenv = {{ GREETING = \"{greeting}\" }}\n"),
        )
    };
    config("good morning");
    user.done(&["start"]);
    assert_eq!(get(port, "/GREETING").text(), "good morning");
    config("good evening");
    user.done(&["restart", "shop"]);
    assert_eq!(get(port, "/GREETING").text(), "good evening");
    config("good night");
    user.done(&["reload", "shop"]);
    soon("the new environment is there", || get(port, "/GREETING").text() == "good night");
    // A file that is wrong changes nothing and says where.
    user.write("stead.toml", "[app.shop]\ncomand = \"node\"\n");
    let refused = user.verb(&["reload", "shop"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("comand"), "{refused:?}");
    assert_eq!(get(port, "/GREETING").text(), "good night");
}

#[test]
fn what_was_saved_comes_back_after_everything_is_gone() {
    let _turn = beside();
    let (user, port) = user();
    user.done(&["start", &node("hello.js"), "-i", "2", "--name", "shop"]);
    user.done(&["save"]);
    user.done(&["kill"]);
    soon("everything is gone", || user.processes().is_empty());
    user.done(&["resurrect"]);
    soon("it serves again", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let status = user.complete();
    assert_eq!((status.names(), status.instances()), (vec!["shop".to_owned()], (2, 2)));
}

#[test]
fn a_damaged_list_is_kept_aside_and_the_one_before_is_used() {
    let _turn = beside();
    let (user, port) = user();
    user.done(&["start", &node("hello.js"), "--name", "shop"]);
    user.done(&["save"]);
    user.done(&["scale", "shop", "2"]);
    user.done(&["save"]);
    user.done(&["kill"]);
    let file = user.home().join("apps.json");
    let text = std::fs::read_to_string(&file).expect("it was saved");
    std::fs::write(&file, &text[..text.len() / 2]).expect("writable");
    let resurrected = user.done(&["resurrect"]);
    assert!(resurrected.stderr.contains("damaged"), "{resurrected:?}");
    soon("it serves again", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let kept = std::fs::read_dir(user.home()).expect("it is there").flatten();
    let kept = kept.filter(|entry| entry.file_name().to_string_lossy().contains("damaged"));
    assert_eq!(kept.count(), 1, "the damaged file is kept");
}

#[test]
fn nothing_that_was_printed_is_lost_when_the_daemon_is_killed() {
    let _turn = beside();
    let (user, _) = user();
    user.done(&["start", &node("counter.js"), "--name", "shop"]);
    let before = user.complete();
    for _ in 0..4 {
        let daemon = user.complete().daemon_pid();
        kill(daemon);
        soon("it is dead", || living(daemon).is_none());
    }
    let after = user.complete();
    assert_eq!(after.workers(), before.workers());
    // It says where it stands when it ends.
    user.done(&["stop", "shop"]);
    let text = user.logs("shop");
    let numbers: BTreeSet<u64> =
        text.lines().filter_map(|line| line.split("number ").nth(1)?.trim().parse().ok()).collect();
    let last = *numbers.last().expect("it printed");
    let missing: Vec<u64> = (1..=last).filter(|number| !numbers.contains(number)).collect();
    assert!(missing.is_empty(), "of {last} lines these are missing: {missing:?}");
    assert!(last > 100, "it printed all the time: {last}");
}

#[test]
fn kill_ends_everything() {
    let _turn = beside();
    let (user, port) = user();
    user.done(&["start", &node("hello.js"), "-i", "2"]);
    user.done(&["kill"]);
    soon("no process is left", || user.processes().is_empty());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    let nothing = user.verb(&["list"]);
    assert!(nothing.code == Some(0) || nothing.code == Some(6), "{nothing:?}");
}

#[test]
fn two_that_start_at_once_find_the_same_instance() {
    let _turn = beside();
    let user = Background::new();
    let names = ["one", "two", "three"];
    let script = node("port-zero.js");
    let verbs: Vec<_> = names
        .iter()
        .map(|name| {
            // Each its own port, or only the first of them could serve.
            let port = format!("PORT={}", free_port());
            let words = ["start", &script, "--name", name, "--env", &port];
            crate::support::stead::Verb::start(&mut user.command(&words))
        })
        .collect();
    for verb in verbs {
        let finished = verb.finish(Duration::from_secs(60));
        assert_eq!(finished.code, Some(0), "{finished:?}");
    }
    let mut found = user.complete().names();
    found.sort();
    assert_eq!(found, ["one", "three", "two"]);
}

#[test]
fn a_first_start_that_is_refused_leaves_nothing_behind() {
    let _turn = beside();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it has an address").port();
    let user = Background::new();
    user.write("broken.toml", "[app.shop]\ncomand = 'node'\n");
    for words in [
        vec!["start", "-c", "broken.toml"],
        vec!["start", "nothing.js"],
        vec!["start", "--listen", &port.to_string(), "nosuchprogram --port {port}"],
        vec!["start", "--listen", &port.to_string(), "python3 -m http.server {port}"],
    ] {
        let refused = user.verb(&words);
        assert!(refused.code != Some(0), "{words:?}: {refused:?}");
        assert_eq!(user.processes(), [], "{words:?}: {refused:?}");
    }
}
