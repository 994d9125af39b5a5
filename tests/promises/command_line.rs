//! "The words I know from PM2 mean here what I expect, for one app, for several, for one worker; what does not work says
//! why, and a script can tell by the exit code."

use std::time::Duration;

use crate::support::background::Background;
use crate::support::ports::free_port;
use crate::support::processes::{kill, living};
use crate::support::stead::Finished;
use crate::support::{alone, beside, get, node, soon};

/// Two apps of one namespace and one of another, each on a port of its own.
fn three_apps(user: &Background) -> [u16; 3] {
    let ports = [free_port(), free_port(), free_port()];
    for ((name, namespace), port) in
        [("shop", "web"), ("blog", "web"), ("mail", "back")].into_iter().zip(ports)
    {
        let (script, port) = (node("messages.js"), format!("PORT={port}"));
        user.done(&["start", &script, "-i", "2", "--name", name, "--namespace", namespace, "--env", &port]);
    }
    ports
}

/// The words on standard error.
fn said(finished: &Finished) -> Vec<&str> {
    finished.stderr.lines().collect()
}

#[test]
fn a_word_is_a_name_a_namespace_a_number_a_pattern_or_a_worker() {
    let _turn = beside();
    let user = Background::new();
    let [shop, _, mail] = three_apps(&user);
    assert_eq!(user.done(&["id", "web"]).stdout, "0\n1");
    assert_eq!(user.done(&["id", "/^(shop|mail)$/"]).stdout, "0\n2");
    assert_eq!(user.done(&["pid", "2"]).stdout.lines().count(), 2);
    assert_eq!(user.done(&["pid", "mail.1"]).stdout.lines().count(), 1);

    user.done(&["send", "shop.0", "{\"hello\": 1}"]);
    let heard = || (0..20).map(|_| get(shop, "/").text()).collect::<Vec<_>>();
    soon("one worker has the message and the other has not", || {
        let heard = heard();
        heard.iter().any(|text| text == "[{\"hello\":1}]") && heard.iter().any(|text| text == "[]")
    });

    let before = user.done(&["pid", "mail"]).stdout;
    user.done(&["signal", "KILL", "mail.0"]);
    soon("the worker is replaced", || {
        let now = user.done(&["pid", "mail"]).stdout;
        now != before && now.lines().count() == 2
    });
    assert_eq!(get(mail, "/").text(), "[]");

    let stopped = user.done(&["stop", "web"]);
    assert!(
        said(&stopped).contains(&"stopped shop") && said(&stopped).contains(&"stopped blog"),
        "{stopped:?}"
    );
    let again = user.done(&["start", "all"]);
    assert!(again.stderr.contains("mail runs already") && again.stderr.contains("started shop"), "{again:?}");
    user.done(&["delete", "/./"]);
    assert_eq!(user.try_status().expect("the instance goes on").names(), [""; 0]);
}

#[test]
fn a_program_that_does_not_start_says_why_and_fails_the_command() {
    let _turn = beside();
    let user = Background::new();
    let script =
        user.write("broken.js", "console.log('looking for the database'); throw new Error('no database');");
    let broken = user.verb(&["start", script.to_str().expect("a plain path")]);
    assert_eq!(broken.code, Some(3), "{broken:?}");
    assert!(broken.stderr.contains("app `broken` did not start"), "{broken:?}");
    assert!(user.done(&["list"]).stdout.contains("failed"));
    let shown = user.done(&["show", "broken"]).stdout;
    assert!(shown.contains("exit code 1"), "{shown}");

    let missing = user.verb(&["start", "brokn.js"]);
    assert!(missing.code == Some(3) && missing.stderr.contains("broken.js"), "{missing:?}");

    let port = free_port();
    let taken = std::net::TcpListener::bind(("0.0.0.0", port)).expect("nobody else has it");
    let script = node("hello.js");
    let refused = user.verb(&["start", &script, "--env", &format!("PORT={port}")]);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    drop(taken);
    user.done(&["start", "hello"]);
    assert_eq!(get(port, "/").text(), "hello\n");
}

#[test]
fn what_a_killed_instance_leaves_behind_is_in_nobodys_way() {
    let _turn = beside();
    let port = free_port();
    let user = Background::new().env("PORT", port);
    user.done(&["start", &node("hello.js"), "--name", "shop"]);
    user.done(&["save"]);
    let keeper = user.complete().keeper_pid();
    kill(keeper);
    soon("everything has ended with it", || living(keeper).is_none() && user.processes().is_empty());
    assert_eq!(user.verb(&["list"]).code, Some(6));
    assert_eq!(user.done(&["kill"]).stderr, "no background instance is running");
    user.done(&["resurrect"]);
    assert_eq!(get(port, "/").text(), "hello\n");
    assert_ne!(user.complete().keeper_pid(), keeper);
}

#[test]
fn a_list_that_was_cut_off_is_put_aside_and_the_one_before_is_used() {
    let _turn = beside();
    let port = free_port();
    let user = Background::new().env("PORT", port);
    user.done(&["start", &node("hello.js"), "--name", "shop"]);
    user.done(&["save"]);
    user.done(&["save"]);
    user.done(&["kill"]);
    let file = user.home().join("apps.json");
    let text = std::fs::read_to_string(&file).expect("it was saved");
    std::fs::write(&file, &text[..text.len() / 2]).expect("there is room");
    let back = user.done(&["resurrect"]);
    assert!(back.stderr.contains("is damaged") && back.stderr.contains("apps.json.damaged-"), "{back:?}");
    assert_eq!(get(port, "/").text(), "hello\n");
}

#[test]
fn secrets_are_not_shown_to_whoever_looks_over_the_shoulder() {
    let _turn = beside();
    let user = Background::new().env("PORT", free_port()).env("DATABASE_PASSWORD", "hunter2");
    user.done(&["start", &node("hello.js"), "--name", "shop"]);
    let shown = user.done(&["env", "shop"]).stdout;
    assert!(shown.contains("DATABASE_PASSWORD=********") && !shown.contains("hunter2"), "{shown}");
    assert!(user.done(&["env", "shop", "--secrets"]).stdout.contains("hunter2"));
}

#[test]
fn the_terminal_may_be_closed() {
    let _turn = beside();
    let port = free_port();
    let user = Background::new().env("PORT", port);
    user.done(&["start", &node("hello.js"), "--name", "shop"]);
    let keeper = user.complete().keeper_pid();
    let stat = std::fs::read_to_string(format!("/proc/{keeper}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("the name ends").1.split_whitespace().collect();
    // Process group, session and terminal: its own, its own, and none.
    let own = keeper.to_string();
    assert_eq!((fields[2], fields[3], fields[4]), (own.as_str(), own.as_str(), "0"), "{stat}");
    assert_eq!(get(port, "/").text(), "hello\n");
}

#[test]
fn the_list_is_quick() {
    let _turn = alone();
    let user = Background::new().env("PORT", free_port());
    user.done(&["start", &node("hello.js"), "--name", "shop"]);
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let started = std::time::Instant::now();
        user.done(&["list"]);
        fastest = fastest.min(started.elapsed());
    }
    // Tests run without optimization and beside others; the measure itself is in the benchmarks.
    assert!(fastest < Duration::from_millis(200), "{fastest:?}");
}
