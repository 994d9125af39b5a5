//! Every path, its answers and its refusals.

use super::operator::{Bench, status};
use crate::{
    Client, ClientError, Definition, Event, Progress, Refusal, RefusalKind, RenewRequest, StartRequest,
    StopRequest, Text,
};
use serde_json::json;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

fn step(done: u32) -> Progress {
    Progress::Step { app: "shop".to_owned(), done, of: 2 }
}

#[tokio::test]
async fn what_is_asked_reaches_the_operator() {
    let bench = Bench::start();
    let client = &bench.client;
    assert_eq!(client.status().await.unwrap(), status());
    let definition = Definition {
        arguments: vec![Text::from("shop")],
        directory: Text::from("/srv"),
        ..Definition::default()
    };
    let request = StartRequest { definition, only: vec!["a".to_owned()], redefine: true, stopped: false };
    assert_eq!(client.start(&request).await.unwrap().started, ["shop"]);
    client.start_app("shop").await.unwrap();
    client.scale("shop", 3).await.unwrap();
    client.stop(&StopRequest { app: Some("shop".to_owned()), now: true }).await.unwrap();
    client.stop(&StopRequest::default()).await.unwrap();
    client.delete("shop").await.unwrap();
    assert_eq!(client.signal("shop", Some(1), 10).await.unwrap(), 2);
    assert_eq!(client.send_message("shop", None, json!({"type": "hello"})).await.unwrap(), 2);
    assert_eq!(client.send_message("shop", Some(0), json!("ready?")).await.unwrap(), 2);
    client.run_schedule("shop", "nightly").await.unwrap();
    assert_eq!(client.shards("shop", None).await.unwrap().owner, None);
    assert_eq!(client.shards("shop", Some("a b&c")).await.unwrap().owner, Some(0));
    assert_eq!(client.environment("shop").await.unwrap(), [(Text::from("PORT"), Text::from("8080"))]);
    client.reset("shop").await.unwrap();
    client.flush("shop").await.unwrap();
    assert_eq!(client.definitions().await.unwrap()[0].name, "shop");
    client.shut_down(true).await.unwrap();
    assert_eq!(client.poisoned().await.unwrap()[0].target, "/crash");
    let asked = [
        "start [\"shop\"] in /srv only [\"a\"] redefine=true stopped=false",
        "start shop",
        "scale shop 3",
        "stop Some(\"shop\") now=true",
        "stop None now=false",
        "delete shop",
        "signal shop Some(1) 10",
        "message shop None {\"type\":\"hello\"}",
        "message shop Some(0) \"ready?\"",
        "run nightly of shop",
        "shards shop None",
        "shards shop Some(\"a b&c\")",
        "environment shop",
        "reset shop",
        "flush shop",
        "shut down now=true",
    ];
    assert_eq!(bench.asked(), asked);
}

#[tokio::test]
async fn a_reload_is_told_step_by_step_and_ends_with_its_last() {
    let bench = Bench::start();
    let done = Progress::Done { apps: vec!["shop".to_owned()] };
    // Nothing may follow the last one.
    *bench.operator.steps.lock().unwrap() = vec![step(1), step(2), done.clone(), step(9)];
    let nothing = RenewRequest::default();
    let mut steps = bench.client.reload(Some("shop"), &nothing).await.unwrap();
    let mut seen = Vec::new();
    while let Some(step) = steps.next().await.unwrap() {
        seen.push(step);
    }
    assert_eq!(seen, [step(1), step(2), done]);
    bench.client.reload(None, &nothing).await.unwrap();
    let environment = RenewRequest { environment: Some(vec![(Text::from("A"), Text::from("1"))]) };
    bench.client.restart("shop", &environment).await.unwrap();
    let asked = ["reload Some(\"shop\")", "reload None", "restart shop with [(\"A\", \"1\")]"];
    assert_eq!(bench.asked(), asked);
}

#[tokio::test]
async fn an_upgrade_is_told_in_notes() {
    let bench = Bench::start();
    let note = Progress::Note { text: "the new daemon is prepared".to_owned() };
    let done = Progress::Done { apps: Vec::new() };
    *bench.operator.steps.lock().unwrap() = vec![note.clone(), done.clone()];
    let mut steps = bench.client.upgrade(Path::new("/usr/bin/stead")).await.unwrap();
    assert_eq!(steps.next().await.unwrap(), Some(note));
    assert_eq!(steps.next().await.unwrap(), Some(done));
    assert_eq!(steps.next().await.unwrap(), None);
    assert_eq!(bench.asked(), ["upgrade /usr/bin/stead"]);
}

#[tokio::test]
async fn events_arrive_as_they_happen() {
    let bench = Bench::start();
    let (sender, receiver) = mpsc::channel(4);
    *bench.operator.events.lock().unwrap() = Some(receiver);
    let mut events = bench.client.events().await.unwrap();
    for event in [
        Event::WorkerReady { app: "shop".to_owned(), worker: 1, slot: 0, pid: 100 },
        Event::Reload { progress: step(1) },
        Event::AppStopped { app: "shop".to_owned() },
    ] {
        sender.send(event.clone()).await.unwrap();
        assert_eq!(events.next().await.unwrap(), Some(event));
    }
    drop(sender);
    assert_eq!(events.next().await.unwrap(), None);
}

#[tokio::test]
async fn refusals_arrive_whole() {
    let bench = Bench::start();
    let refused = async |app: &str| match bench.client.scale(app, 2).await {
        Err(ClientError::Refused(refusal)) => refusal,
        other => panic!("{app}: {other:?}"),
    };
    let refusal = refused("a b/c").await;
    assert_eq!(refusal.kind, RefusalKind::NoSuchApp);
    assert_eq!(refusal.message, "no app named `a b/c` is running");
    assert_eq!(refusal.hint.as_deref(), Some("running apps: `shop`"));
    assert_eq!(refused("stopping").await.kind, RefusalKind::Conflict);
    let broken = refused("broken").await;
    let expected = Refusal {
        details: Some("  1 | command =".to_owned()),
        exit_code: Some(3),
        ..Refusal::new(RefusalKind::Failed, "something went wrong")
            .with_cause("it broke")
            .with_hint("repair it")
    };
    assert_eq!(broken, expected);
}

/// What a client without a library sees: the first line and the body.
async fn raw(bench: &Bench, request: &str) -> String {
    let mut stream = UnixStream::connect(&bench.socket).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    format!("{}\n{body}", head.lines().next().unwrap())
}

#[tokio::test]
async fn mistakes_are_answered_with_json() {
    let bench = Bench::start();
    let post = |path: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let requests = [
        get("/v2/status"),
        get("/v1/reload"),
        post("/v1/apps/shop/scale", ""),
        post("/v1/apps/shop/scale", r#"{"instances": 0}"#),
        post("/v1/apps/shop/scale", r#"{"instances": "max"}"#),
        post("/v1/apps/shop/scale", r#"{"instances": 2, "quickly": true}"#),
        post("/v1/apps/shop/messages", "hello"),
        post("/v1/apps/shop/messages?slot=x", "1"),
        post("/v1/apps/shop/signal", r#"{"signal": "SIGHUP"}"#),
        post("/v1/apps", r#"{"definition": {"arguments": "server.js"}}"#),
        post("/v1/upgrade", "{}"),
        post("/v1/apps/broken/start", ""),
        post("/v1/apps/shpo/reload", ""),
        post("/v1/apps/stopping/reload", ""),
    ];
    let mut all = String::new();
    for request in requests {
        let line = request.lines().next().unwrap();
        let body = request.split_once("\r\n\r\n").unwrap().1;
        all.push_str(&format!("{line} {body}\n{}\n\n", raw(&bench, &request).await));
    }
    insta::assert_snapshot!("mistakes", all);
    assert_eq!(raw(&bench, &post("/v1/stop", "")).await, "HTTP/1.1 202 Accepted\n{}");
}

#[tokio::test]
async fn the_end_does_not_wait_for_those_who_listen_forever() {
    let mut bench = Bench::start();
    let (_sender, receiver) = mpsc::channel(1);
    *bench.operator.events.lock().unwrap() = Some(receiver);
    let _events = bench.client.events().await.unwrap();
    bench.end().await;
    assert!(!bench.socket.exists());
    let error = bench.client.status().await.unwrap_err();
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error:?}");
}

/// A server that gives one answer to whoever comes first.
async fn answer_once(body: &str) -> (tempfile::TempDir, Client) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("other.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 512];
        let _ = stream.read(&mut head).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    (folder, Client::new(socket))
}

#[tokio::test]
async fn an_answer_of_another_kind_is_told() {
    let (_folder, client) = answer_once("hello").await;
    let error = client.status().await.unwrap_err();
    assert!(matches!(error, ClientError::NotUnderstood { status: 200, .. }), "{error:?}");
}

#[tokio::test]
async fn an_instance_of_another_version_is_named() {
    let (_folder, client) = answer_once(r#"{"version": "7.0.0", "apps": {}}"#).await;
    let error = client.status().await.unwrap_err();
    assert!(matches!(&error, ClientError::OtherVersion { running } if running == "7.0.0"), "{error:?}");
}
