//! "My server is not Node.js. It is run, balanced, replaced and reloaded all the same."
//!
//! Real servers by each road there is: a port of their own, a Unix socket of their own, an inherited socket.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::load::{
    assert_nothing_failed, assert_only_posts_failed_cleanly, gets, posts, without_keep_alive,
};
use crate::support::processes::kill;
use crate::support::stead::{Plan, Verb};
use crate::support::{Load, Stead, beside, fixture, get};

const LIMIT: Duration = Duration::from_secs(40);

/// Serves, is reloaded, loses a worker (with fewer connections than a server with threads has threads: which of more it
/// serves first is its own affair): no GET fails; where bodies are echoed, no POST fails in a reload.
#[track_caller]
fn holds_what_is_promised(plan: Plan, echoes: bool) {
    let _turn = beside();
    let stead = plan.listen().instances(2).start();
    let answer = get(stead.port, "/");
    assert_eq!(answer.status, 200, "{answer:?}");

    let loads = |posting: bool| {
        let mut loads = vec![
            ("get-kept", gets(stead.port, "/", 3)),
            ("get-new", without_keep_alive(gets(stead.port, "/", 3))),
        ];
        if posting {
            loads.push(("post-kept", posts(stead.port, "/", 2)));
        }
        Load::start(loads)
    };
    let load = loads(echoes);
    load.each_answers(20);
    let before = stead.status().ready_pids();
    stead.reload();
    let after = stead.wait_complete().ready_pids();
    assert!(after.iter().all(|pid| !before.contains(pid)), "{before:?} and {after:?}");
    load.each_answers(20);
    assert_nothing_failed(&load.stop());

    let load = loads(echoes);
    load.each_answers(20);
    kill(after[0]);
    stead.wait_status("the killed worker is replaced", LIMIT, |status| {
        status.is_complete() && !status.ready_pids().contains(&after[0])
    });
    load.each_answers(20);
    assert_only_posts_failed_cleanly(&load.stop());
}

fn python(command: &str) -> Plan {
    Stead::plan([command]).option("--cwd", fixture("python"))
}

/// The C server, compiled once.
fn c_server() -> String {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BUILT.get_or_init(|| {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        let path = directory.path().join("server");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-pthread", "-o"]).arg(&path).arg(fixture("c/server.c"));
        let finished = Verb::start(&mut compiler).finish(LIMIT);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        (directory, path)
    });
    path.display().to_string()
}

#[test]
fn gunicorn_on_a_unix_socket() {
    holds_what_is_promised(python("gunicorn wsgi:application --bind unix:{socket}"), true);
}

#[test]
fn gunicorn_with_threads_on_a_unix_socket() {
    holds_what_is_promised(python("gunicorn wsgi:application --threads 4 --bind unix:{socket}"), true);
}

#[test]
fn gunicorn_on_an_inherited_socket() {
    holds_what_is_promised(python("gunicorn wsgi:application").set("upstream", "listen-fds"), true);
}

#[test]
fn gunicorn_on_a_port() {
    holds_what_is_promised(python("gunicorn wsgi:application --bind 127.0.0.1:{port}"), true);
}

#[test]
fn uvicorn_on_a_unix_socket() {
    holds_what_is_promised(python("uvicorn asgi:application --uds {socket}"), true);
}

#[test]
fn uvicorn_on_an_inherited_socket() {
    holds_what_is_promised(python("uvicorn asgi:application --fd {fd}"), true);
}

#[test]
fn uvicorn_on_a_port() {
    holds_what_is_promised(python("uvicorn asgi:application --port {port}"), true);
}

#[test]
fn python_s_own_http_server() {
    holds_what_is_promised(python("python3 -m http.server {port} --bind 127.0.0.1"), false);
}

#[test]
fn a_python_script_on_port() {
    holds_what_is_promised(python("port.py"), true);
}

#[test]
fn a_python_script_that_keeps_connections() {
    holds_what_is_promised(python("port.py").env("PROTOCOL", "HTTP/1.1"), true);
}

#[test]
fn a_python_script_that_says_when_it_is_ready() {
    holds_what_is_promised(python("port.py").set("ready", "notify"), true);
}

#[test]
fn puma_on_a_unix_socket() {
    let folder = fixture("ruby");
    holds_what_is_promised(
        Stead::plan(["puma --bind unix://{socket} config.ru"]).option("--cwd", folder),
        true,
    );
}

#[test]
fn puma_on_a_port() {
    let folder = fixture("ruby");
    holds_what_is_promised(
        Stead::plan(["puma --bind tcp://127.0.0.1:{port} config.ru"]).option("--cwd", folder),
        true,
    );
}

#[test]
fn a_c_server_on_a_port() {
    holds_what_is_promised(Stead::plan([format!("{} {{port}}", c_server())]), true);
}

#[test]
fn a_c_server_on_a_unix_socket() {
    holds_what_is_promised(Stead::plan([format!("{} {{socket}}", c_server())]), true);
}

#[test]
fn a_c_server_on_an_inherited_socket() {
    holds_what_is_promised(
        Stead::plan([c_server()]).set("upstream", "listen-fds").set("ready", "notify"),
        true,
    );
}

#[test]
fn a_c_server_with_a_health_check() {
    holds_what_is_promised(
        Stead::plan([format!("{} {{port}}", c_server())]).set("ready", r#"{ http = "/" }"#),
        true,
    );
}

#[test]
fn a_poison_request_to_a_c_server_costs_at_most_three_workers() {
    let _turn = beside();
    for place in ["{socket}", "{port}"] {
        let stead = Stead::plan([format!("{} {place}", c_server())]).listen().instances(4).start();
        assert_eq!(get(stead.port, "/poison").status, 502, "{place}");
        let restarts: u64 = stead.wait_complete().workers().iter().map(|worker| worker.restarts).sum();
        assert!((1..=3).contains(&restarts), "{place}: {restarts} workers were killed");
    }
}

#[test]
fn a_shell_line_runs_in_a_shell_when_asked() {
    let _turn = beside();
    let line = format!("true && exec {} $PORT", c_server());
    let stead = Stead::plan([line]).option("--set", "shell=true").listen().instances(2).start();
    assert_eq!(get(stead.port, "/").status, 200);
}
