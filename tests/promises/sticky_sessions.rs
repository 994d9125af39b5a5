//! "My program keeps sessions in memory. Each client stays with its worker, through deployments too, and only those whose worker
//! is gone have to begin anew."

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde::Deserialize;

use crate::support::http::Answer;
use crate::support::processes::{kill, living};
use crate::support::stead::Plan;
use crate::support::{Client, Stead, beside, eventually, node};

fn plan() -> Plan {
    Stead::script(node("slot.js")).instances(4).set("sticky", "true")
}

fn ask(port: u16, cookie: &str) -> Answer {
    let mut client = Client::connect(port);
    client.send(format!("GET / HTTP/1.1\r\nHost: test\r\n{cookie}Connection: close\r\n\r\n"));
    let answer = client.answer();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

fn slot(answer: &Answer) -> u64 {
    answer.json()["slot"].as_u64().expect("a number")
}

/// A browser: it sends the last cookie that it was given.
#[derive(Default)]
struct Browser {
    cookie: String,
    cookies_given: u32,
}

impl Browser {
    fn ask(&mut self, port: u16) -> Answer {
        let answer = ask(port, &self.cookie);
        if let Some(cookie) = answer.header("set-cookie") {
            self.cookie = format!("Cookie: other=1; {}\r\n", cookie.split(';').next().expect("a pair"));
            self.cookies_given += 1;
        }
        answer
    }

    fn slot(&mut self, port: u16) -> u64 {
        slot(&self.ask(port))
    }
}

#[test]
fn a_client_keeps_its_slot_and_gets_one_cookie() {
    let _turn = beside();
    let stead = plan().start();
    let mut browsers: Vec<Browser> = (0..12).map(|_| Browser::default()).collect();
    let slots: Vec<u64> = browsers.iter_mut().map(|browser| browser.slot(stead.port)).collect();
    assert_eq!(slots.iter().collect::<HashSet<_>>().len(), 4, "new clients are spread: {slots:?}");
    let cookie = Browser::default().ask(stead.port).header("set-cookie").expect("a cookie").to_owned();
    assert!(
        cookie.starts_with("stead_slot=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    for _ in 0..5 {
        let again: Vec<u64> = browsers.iter_mut().map(|browser| browser.slot(stead.port)).collect();
        assert_eq!(again, slots);
    }
    assert!(browsers.iter().all(|browser| browser.cookies_given == 1));
}

#[test]
fn a_reload_a_crash_and_another_daemon_change_no_slot() {
    let _turn = beside();
    let stead = plan().start();
    let mut browsers: Vec<Browser> = (0..8).map(|_| Browser::default()).collect();
    let slots: Vec<u64> = browsers.iter_mut().map(|browser| browser.slot(stead.port)).collect();
    let before = stead.status().ready_pids();

    stead.reload();
    let after_reload: Vec<u64> = browsers.iter_mut().map(|browser| browser.slot(stead.port)).collect();
    assert_eq!(after_reload, slots);

    // Whoever belongs to the slot of the dead one waits for the next worker there; all others notice nothing.
    let victim = stead.wait_complete().workers().into_iter().find(|worker| worker.slot == slots[0]);
    kill(victim.expect("each slot has a worker").pid);
    let after_crash: Vec<u64> = browsers.iter_mut().map(|browser| browser.slot(stead.port)).collect();
    assert_eq!(after_crash, slots);

    let status = stead.wait_complete();
    assert!(status.ready_pids().iter().all(|pid| !before.contains(pid)));
    kill(status.daemon_pid());
    stead.wait_status("another daemon serves", std::time::Duration::from_secs(20), |now| {
        now.daemon_starts() > status.daemon_starts() && now.is_complete()
    });
    let after_daemon: Vec<u64> = browsers.iter_mut().map(|browser| browser.slot(stead.port)).collect();
    assert_eq!(after_daemon, slots);
    assert!(browsers.iter().all(|browser| browser.cookies_given == 1));
}

#[test]
fn a_slot_that_is_scaled_away_sends_its_clients_on_once() {
    let _turn = beside();
    let stead = plan().start();
    let mut browsers: Vec<Browser> = (0..12).map(|_| Browser::default()).collect();
    let slots: Vec<u64> = browsers.iter_mut().map(|browser| browser.slot(stead.port)).collect();
    assert_eq!(stead.verb(&["scale", "2"]).code, Some(0));
    stead.wait_complete();
    for (browser, slot) in browsers.iter_mut().zip(&slots) {
        let moved: Vec<u64> = (0..4).map(|_| browser.slot(stead.port)).collect();
        assert!(moved.iter().all(|now| *now < 2 && *now == moved[0]), "{slot} became {moved:?}");
        assert!(*slot >= 2 || moved[0] == *slot, "{slot} lives and became {moved:?}");
        assert_eq!(browser.cookies_given, if *slot < 2 { 1 } else { 2 });
    }
}

#[test]
fn forged_cookies_are_not_believed() {
    let _turn = beside();
    let stead = plan().start();
    for forged in ["0.00000000000000000000000000000000", "0", "0.", "4294967296.00", "%00"] {
        let answer = ask(stead.port, &format!("Cookie: stead_slot={forged}\r\n"));
        assert!(answer.header("set-cookie").is_some(), "{forged}: a new client");
    }
}

/// What one client of `socket-io-crowd.js` tells.
#[derive(Debug, Deserialize)]
struct Seen {
    slots: Vec<u64>,
    pids: Vec<u32>,
    lost: u32,
}

/// Real Socket.IO clients, by polling.
struct Crowd {
    child: Child,
    input: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
}

impl Crowd {
    fn join(port: u16, clients: usize) -> Crowd {
        let mut command = Command::new("node");
        command.args([node("socket-io-crowd.js"), format!("http://127.0.0.1:{port}"), clients.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node is there");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Crowd { child, input, output }
    }

    fn echo(&mut self) -> Vec<Seen> {
        self.input.write_all(b"go\n").expect("the clients listen");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the clients answer");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Each poll is a request of its own, and only the worker that has the session knows what it is about.
#[test]
fn socket_io_by_polling_works_on_4_workers_over_a_reload_and_a_kill() {
    let _turn = beside();
    let stead =
        Stead::script(node("socket-io.js")).instances(4).set("sticky", "true").set("grace", "2s").start();
    let mut crowd = Crowd::join(stead.port, 12);
    let first = crowd.echo();
    assert!(first.iter().all(|seen| seen.pids.len() == 1 && seen.lost == 0), "{first:?}");
    let slots: Vec<u64> = first.iter().map(|seen| seen.slots[0]).collect();
    assert!(slots.iter().collect::<HashSet<_>>().len() == 4, "{slots:?}");
    let old: HashSet<u32> = first.iter().map(|seen| seen.pids[0]).collect();

    // The new workers know nothing of the sessions of the old ones, so each client begins one more, in its slot.
    stead.reload();
    eventually("the old workers are gone", std::time::Duration::from_secs(20), || {
        old.iter().all(|pid| living(*pid).is_none()).then_some(())
    });
    let second = crowd.echo();
    assert!(second.iter().zip(&slots).all(|(seen, slot)| seen.slots.contains(slot)), "{second:?}");
    let third = crowd.echo();
    for (seen, slot) in third.iter().zip(&slots) {
        assert_eq!((seen.slots.as_slice(), seen.pids.len()), ([*slot].as_slice(), 1), "{third:?}");
    }

    let victim = third[0].pids[0];
    kill(victim);
    let fourth = crowd.echo();
    for ((seen, before), slot) in fourth.iter().zip(&third).zip(&slots) {
        assert_eq!(seen.slots, [*slot], "{fourth:?}");
        let was_on_it = before.pids[0] == victim;
        assert!(was_on_it || (seen.pids == before.pids && seen.lost == before.lost), "{before:?} {seen:?}");
    }
}
