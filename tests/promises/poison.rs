//! "One request of one user crashes my server. It must not take the whole site down, again and again."
//!
//! A poison request costs at most three workers, is answered 502 and can be looked at afterwards; the innocent requests
//! that were in the dying workers' hands are all answered.

use crate::support::load::{assert_nothing_failed, gets, without_keep_alive};
use crate::support::{Client, Executions, Load, Stead, alone, get, node};

struct Victim {
    stead: Stead,
    executions: Executions,
}

fn victim(crash_by: &str) -> Victim {
    let plan = Stead::script(node("poison.js")).instances(4);
    let executions = Executions::in_directory(plan.directory());
    let (name, file) = executions.variable();
    let stead = plan.env(name, file).env("CRASH_BY", crash_by).env("INNOCENT_MS", 20).start();
    Victim { stead, executions }
}

fn innocents(port: u16) -> Load {
    Load::start([
        ("kept", gets(port, "/innocent", 40)),
        ("new", without_keep_alive(gets(port, "/innocent", 40))),
    ])
}

fn a_poison_request_is_contained(crash_by: &str) {
    let Victim { stead, executions } = victim(crash_by);
    let load = innocents(stead.port);
    load.each_answers(50);
    for round in 1..=3 {
        let answer = get(stead.port, "/poison");
        assert_eq!(answer.status, 502, "round {round}: {answer:?}");
        let deaths = executions.of_target("/poison");
        assert!(deaths.len() <= round * 3, "round {round}: {} workers were killed: {deaths:?}", deaths.len());
        assert!(deaths.len() >= round * 2, "round {round}: tried again before it is given up: {deaths:?}");
        load.each_answers(20);
    }
    assert_nothing_failed(&load.stop());
    assert_eq!(stead.wait_complete().counter("poisoned"), 3);
}

#[test]
fn a_poison_request_that_exits_is_contained() {
    let _turn = alone();
    a_poison_request_is_contained("exit");
}

#[test]
fn a_poison_request_that_throws_is_contained() {
    let _turn = alone();
    a_poison_request_is_contained("throw");
}

#[test]
fn a_poison_request_that_aborts_is_contained() {
    let _turn = alone();
    a_poison_request_is_contained("abort");
}

#[test]
fn a_poison_post_kills_one_worker_and_is_not_tried_again() {
    let _turn = alone();
    let Victim { stead, executions } = victim("exit");
    let load = innocents(stead.port);
    load.each_answers(50);
    let mut client = Client::connect(stead.port);
    client.send("POST /poison HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.answer().status, 502);
    assert_eq!(executions.of_target("/poison").len(), 1);
    load.each_answers(20);
    assert_nothing_failed(&load.stop());
}

#[test]
fn several_poison_requests_at_the_same_time_are_contained() {
    let _turn = alone();
    let Victim { stead, executions } = victim("exit");
    let load = innocents(stead.port);
    load.each_answers(50);
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(stead.port)).collect();
    for client in &mut clients {
        client.send("GET /poison HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.answer().status, 502);
    }
    let deaths = executions.of_target("/poison").len();
    assert!(deaths <= 9, "3 poison requests killed {deaths} workers");
    load.each_answers(20);
    assert_nothing_failed(&load.stop());
}
