//! "Each request has its line in the access log, whatever became of it, and the log hurts no request."

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::support::background::Background;
use crate::support::ports::free_port;
use crate::support::processes::kill;
use crate::support::stead::Plan;
use crate::support::{Client, Executions, Stead, beside, get, node, soon};

/// A plan whose access log is kept in a directory of its own.
fn logged(script: &str) -> (Plan, PathBuf) {
    let plan = Stead::script(node(script));
    let logs = plan.directory().join("logs");
    (plan.set("access_log", "json").set("logs", &format!("\"{}\"", logs.display())), logs)
}

/// The lines that are in the log now; half a line is none.
fn lines(logs: &Path) -> Vec<Value> {
    let text = fs::read_to_string(logs.join("access/current.log")).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let parse = |line| serde_json::from_str(line).expect("each line is an object");
    whole.lines().map(parse).collect()
}

fn wait_lines(logs: &Path, count: usize) -> Vec<Value> {
    soon("all lines are there", || lines(logs).len() >= count);
    lines(logs)
}

#[test]
fn killed_workers_leave_no_gap_in_the_access_log() {
    const REQUESTS: usize = 400;
    let _turn = beside();
    let (plan, logs) = logged("executions.js");
    let stead = plan.env("WORK_MS", 5).instances(3).start();
    let answers: BTreeMap<String, u16> = std::thread::scope(|scope| {
        let port = stead.port;
        let clients: Vec<_> = (0..4)
            .map(|client| {
                scope.spawn(move || {
                    let ask = |turn: usize| {
                        let path = format!("/{}", client + 4 * turn);
                        (path.clone(), get(port, &path).status)
                    };
                    (0..REQUESTS / 4).map(ask).collect::<Vec<_>>()
                })
            })
            .collect();
        for _ in 0..6 {
            kill(stead.wait_complete().ready_pids()[0]);
        }
        clients.into_iter().flat_map(|client| client.join().expect("it asks to the end")).collect()
    });
    assert_eq!(answers.len(), REQUESTS);
    let lines = wait_lines(&logs, REQUESTS);
    assert_eq!(lines.len(), REQUESTS, "each request has one line");
    for line in &lines {
        let path = line["path"].as_str().expect("it is known");
        assert_eq!(line["status"], answers[path], "{line}");
        assert!(line["instance"].is_u64() && line["duration"].as_f64() >= line["wait"].as_f64(), "{line}");
    }
}

#[test]
fn full_disk_of_the_access_log_hurts_no_request() {
    let _turn = beside();
    let (plan, logs) = logged("hello.js");
    fs::create_dir_all(logs.join("access")).expect("there is room");
    symlink("/dev/full", logs.join("access/current.log")).expect("there is room");
    let stead = plan.plain().start();
    for _ in 0..200 {
        assert_eq!(get(stead.port, "/").status, 200);
    }
    let limit = Duration::from_secs(10);
    stead.stderr.wait_for("it is said", limit, |line| line.contains("requests are not logged").then_some(()));
}

#[test]
fn last_requests_before_the_end_are_in_the_access_log() {
    let _turn = beside();
    let folder = tempfile::tempdir().expect("there is room");
    let plan = Stead::script(node("hello.js")).set("access_log", "json");
    let stead = plan.set("logs", &format!("\"{}\"", folder.path().display())).start();
    for _ in 0..20 {
        assert_eq!(get(stead.port, "/").status, 200);
    }
    stead.end();
    assert_eq!(lines(folder.path()).len(), 20);
}

#[test]
fn what_ends_without_an_answer_is_in_the_access_log() {
    let _turn = beside();
    let (plan, logs) = logged("slow.js");
    let stead = plan.set("answer_timeout", "300ms").start();
    assert_eq!(get(stead.port, "/hang?token=secret").status, 504);
    let mut client = Client::connect(stead.port);
    client.send("GET /wait?ms=60000 HTTP/1.1\r\nHost: a\r\nUser-Agent: \"forged\x01\"\r\n\r\n");
    assert_eq!(client.answer().status, 400, "no client writes control characters into a log");
    let mut client = Client::connect(stead.port);
    client.send("GET /wait?ms=200 HTTP/1.1\r\nHost: a\r\nUser-Agent: \"sly\\\r\n\r\n");
    drop(client);
    let lines = wait_lines(&logs, 3);
    let of =
        |path: Option<&str>| lines.iter().find(|line| line["path"].as_str() == path).expect("it is there");
    assert_eq!((&of(Some("/hang"))["status"], &of(Some("/hang"))["query"]), (&504.into(), &Value::Null));
    assert_eq!(of(None)["status"], 400);
    let gone = of(Some("/wait"));
    assert_eq!((&gone["status"], &gone["aborted"]), (&Value::Null, &"client".into()));
    assert_eq!(gone["user_agent"], "\"sly\\");
}

#[test]
fn deadline_that_passes_in_the_queue_reaches_no_worker() {
    let _turn = beside();
    let (plan, logs) = logged("executions.js");
    let executions = Executions::in_directory(plan.directory());
    let (name, file) = executions.variable();
    let plan = plan.set("upstream_connections_max", "1").env("WORK_MS", 1000);
    let stead = plan.env(name, file).set("request_id", "true").start();
    let mut first = Client::connect(stead.port);
    first.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
    soon("the worker has the first", || executions.of_target("/first").len() == 1);
    let mut second = Client::connect(stead.port);
    second.send("GET /second HTTP/1.1\r\nHost: a\r\nX-Request-Timeout: 0.2\r\n\r\n");
    let answer = second.answer();
    assert_eq!(answer.status, 504);
    assert_eq!(first.answer().status, 200);
    assert_eq!(get(stead.port, "/third").status, 200);
    assert!(executions.of_target("/second").is_empty(), "nobody waits for it any more");
    let lines = wait_lines(&logs, 3);
    let second = lines.iter().find(|line| line["path"] == "/second").expect("it is there");
    assert_eq!((&second["status"], &second["tries"]), (&504.into(), &0.into()));
    assert_eq!(second["request_id"].as_str(), answer.header("x-request-id"));
    assert!(second["wait"].as_f64() >= Some(0.2), "{second}");
}

#[test]
fn access_log_is_shown_and_flushed_like_the_other() {
    let _turn = beside();
    let (user, port) = (Background::new(), free_port());
    user.write(
        "stead.toml",
        &format!(
            "[app.shop]\ncommand = '{}'\nlisten = ['{port}']\naccess_log = 'common'\n",
            node("hello.js")
        ),
    );
    user.done(&["start"]);
    user.complete();
    for path in ["/one", "/two?token=secret"] {
        assert_eq!(get(port, path).status, 200);
    }
    let shown = || user.done(&["logs", "shop", "--access"]).stdout;
    soon("both are shown", || shown().lines().count() == 2);
    let text = shown();
    assert!(text.contains("\"GET /one HTTP/1.1\" 200 6 \"-\""), "{text}");
    assert!(text.contains("\"GET /two HTTP/1.1\" 200 6 ") && !text.contains("secret"), "{text}");
    assert_eq!(user.done(&["logs", "--access", "--grep", "one"]).stdout.lines().count(), 1);
    user.done(&["flush", "shop"]);
    assert_eq!(shown(), "");
}

#[test]
fn access_log_of_the_foreground_is_printed() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).set("access_log", "json").start();
    get(stead.port, "/here");
    let line = stead.output.wait_for("it is printed", Duration::from_secs(10), |line| {
        let value: Value = serde_json::from_str(line).ok()?;
        (value["type"] == "request").then_some(value)
    });
    assert_eq!((&line["path"], &line["app"]), (&"/here".into(), &"hello".into()));
}
