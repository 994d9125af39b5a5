//! "A worker of mine still runs, but is no longer well. Send it no more requests, and if it does not recover, replace it."

use std::path::Path;
use std::time::Duration;

use crate::support::load::{assert_nothing_failed, gets, without_keep_alive};
use crate::support::processes::kill;
use crate::support::stead::Plan;
use crate::support::{Load, Stead, beside, fixture, get, node};

const LIMIT: Duration = Duration::from_secs(30);

fn plan() -> Plan {
    let plan = Stead::script(node("health.js"));
    let ill = plan.directory().to_owned();
    plan.instances(2)
        .env("ILL_DIRECTORY", ill.display())
        .set("health_interval", "100ms")
        .set("health_timeout", "2s")
        .set("health_failures_max", "2")
}

fn make_ill(directory: &Path, pid: u32) {
    std::fs::write(directory.join(pid.to_string()), "").expect("there is room for a file");
}

fn make_well(directory: &Path, pid: u32) {
    std::fs::remove_file(directory.join(pid.to_string())).expect("it was ill");
}

#[track_caller]
fn wait_health(stead: &Stead, pid: u32, healthy: bool) {
    stead.wait_status("its health is seen", LIMIT, |status| {
        status.workers().iter().any(|worker| worker.pid == pid && worker.healthy == Some(healthy))
    });
}

#[track_caller]
fn is_ejected_and_then_replaced(plan: Plan) {
    let stead = plan.set("health_replace_after", "2s").start();
    let load = Load::start([
        ("kept", gets(stead.port, "/", 10)),
        ("new", without_keep_alive(gets(stead.port, "/", 10))),
    ]);
    let ill = stead.status().ready_pids()[0];
    wait_health(&stead, ill, true);
    load.each_answers(100);
    make_ill(stead.path(), ill);
    wait_health(&stead, ill, false);
    stead.wait_status("it is replaced", LIMIT, |status| {
        status.is_complete() && !status.ready_pids().contains(&ill)
    });
    load.each_answers(100);
    assert_nothing_failed(&load.stop());
    let said = |what: &str| stead.output.wait_for(what, LIMIT, |line| line.contains(what).then_some(()));
    said("gets no requests until it is healthy");
    said("has been unhealthy for too long");
}

#[test]
fn worker_whose_path_fails_is_ejected_and_then_replaced_and_no_request_is_lost() {
    let _turn = beside();
    is_ejected_and_then_replaced(plan().set("health", "{ http = \"/health\" }"));
}

#[test]
fn worker_whose_check_fails_is_ejected_and_then_replaced_and_no_request_is_lost() {
    let _turn = beside();
    let check = "test ! -e \\\"$ILL_DIRECTORY/$STEAD_PID\\\"";
    is_ejected_and_then_replaced(plan().set("health", &format!("{{ command = \"{check}\" }}")));
}

#[test]
fn worker_that_gives_no_sign_of_life_is_ejected_and_then_replaced() {
    let _turn = beside();
    let plan = plan().env("WATCHDOG", "1").set("health_interval", "500ms");
    is_ejected_and_then_replaced(plan.set("health", "\"watchdog\""));
}

#[test]
fn worker_that_recovers_gets_requests_again_and_stays() {
    let _turn = beside();
    let stead = plan().set("health", "{ http = \"/health\" }").set("health_replace_after", "60s").start();
    let pids = stead.status().ready_pids();
    let answers = || (0..20).map(|_| get(stead.port, "/").text().trim().to_owned()).collect::<Vec<_>>();
    make_ill(stead.path(), pids[0]);
    wait_health(&stead, pids[0], false);
    assert!(answers().iter().all(|pid| *pid == pids[1].to_string()), "the healthy one serves alone");
    make_well(stead.path(), pids[0]);
    wait_health(&stead, pids[0], true);
    assert!(answers().iter().any(|pid| *pid == pids[0].to_string()), "both serve");
    assert_eq!(stead.wait_complete().ready_pids(), pids);
}

#[test]
fn last_worker_serves_even_if_it_is_ill() {
    let _turn = beside();
    let stead = plan().set("health", "{ http = \"/health\" }").set("health_replace_after", "60s").start();
    for pid in stead.status().ready_pids() {
        make_ill(stead.path(), pid);
        wait_health(&stead, pid, false);
    }
    assert_eq!(get(stead.port, "/").status, 200);
}

#[test]
fn worker_that_takes_connections_is_well() {
    let _turn = beside();
    let stead = plan().set("health", "\"tcp\"").start();
    for pid in stead.status().ready_pids() {
        wait_health(&stead, pid, true);
    }
}

#[test]
fn checks_go_on_when_the_daemon_has_died_and_who_is_ill_stays_ill() {
    let _turn = beside();
    let stead = plan().set("health", "{ http = \"/health\" }").set("health_replace_after", "60s").start();
    let pids = stead.status().ready_pids();
    make_ill(stead.path(), pids[0]);
    wait_health(&stead, pids[0], false);
    let before = stead.status();
    kill(before.daemon_pid());
    stead.wait_status("another daemon knows who is ill", LIMIT, |status| {
        let ill = |pid| status.workers().iter().find(|worker| worker.pid == pid).map(|worker| worker.healthy);
        status.daemon_pid() != before.daemon_pid()
            && ill(pids[0]) == Some(Some(false))
            && ill(pids[1]) == Some(Some(true))
    });
    assert_eq!(get(stead.port, "/").text().trim(), pids[1].to_string());
    make_well(stead.path(), pids[0]);
    wait_health(&stead, pids[0], true);
    assert_eq!(stead.wait_complete().ready_pids(), pids);
}

#[test]
fn program_that_falls_silent_after_it_was_ready_is_found_ill() {
    let _turn = beside();
    let program = Stead::plan([format!("python3 {}", fixture("python/watchdog.py"))]);
    let ill = program.directory().to_owned();
    let stead = program
        .listen()
        .env("ILL_DIRECTORY", ill.display())
        .set("health", "\"watchdog\"")
        .set("health_interval", "500ms")
        .set("health_failures_max", "2")
        .set("health_replace_after", "60s")
        .start();
    let pid = stead.status().ready_pids()[0];
    wait_health(&stead, pid, true);
    make_ill(stead.path(), pid);
    wait_health(&stead, pid, false);
    make_well(stead.path(), pid);
    wait_health(&stead, pid, true);
}
