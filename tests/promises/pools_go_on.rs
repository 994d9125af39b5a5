//! What becomes of a pool's tasks, and of whoever waits for them, when the daemon is killed or replaced.

use serde_json::{Value, json};

use crate::pools::{PATIENCE, ask, compute, end_of, lines, plan, start, task};
use crate::support::processes::kill;
use crate::support::{Client, alone, beside, node, soon};

#[test]
fn accepted_tasks_are_done_although_the_daemon_is_killed() {
    const TASKS: u64 = 40;
    let _turn = alone();
    let stead = start(&compute("size = 2"));
    for n in 0..TASKS {
        let accepted = task(&stead, &format!("?wait=false&id=t{n}"), &json!({"n": n, "wait": 20}));
        assert_eq!(accepted.status, 202, "{}", accepted.text());
    }
    for _ in 0..2 {
        kill(stead.status().daemon_pid());
        stead.wait_complete();
    }
    for n in 0..TASKS {
        let task = end_of(&stead, &format!("t{n}"));
        assert_eq!(
            (&task["state"], task["result"].as_u64()),
            (&json!("done"), Some(n * (n + 1) / 2)),
            "{task}"
        );
    }
}

#[test]
fn an_upgrade_takes_running_and_waiting_tasks_along() {
    let _turn = alone();
    let stead = start(&compute("size = 1"));
    let log = stead.path().join("log");
    for n in 0..3 {
        let accepted =
            task(&stead, &format!("?wait=false&id=t{n}"), &json!({"n": n, "log": log, "wait": 3000}));
        assert_eq!(accepted.status, 202, "{}", accepted.text());
    }
    soon("the first one runs", || !lines(&log).is_empty());
    let waits = stead.begin(&["pool", "run", "sum", &json!({"n": 3, "log": log}).to_string()]);
    soon("it waits", || {
        ask(&stead, "GET /v1/pools/sum", "", &Value::Null).json()["queued"].as_u64() == Some(3)
    });
    let mut stream = Client::connect_unix(&stead.sockets().pop().expect("the instance has a socket"));
    stream.send("GET /v1/pools/sum/tasks/t2/events HTTP/1.1\r\nHost: stead\r\n\r\n");
    assert_eq!(stream.head().status, 200);
    let binary = stead.path().join("stead-new");
    std::fs::copy(env!("CARGO_BIN_EXE_stead"), &binary).expect("there is room for a copy");
    let upgraded = stead.verb(&["upgrade", "--binary", &binary.to_string_lossy()]);
    assert_eq!(upgraded.code, Some(0), "{upgraded:?}");
    stream.read_until(b"event: queued\ndata: {\"id\":\"t2\",").expect("it is told how far the task is");
    for n in 0..3_u64 {
        assert_eq!(end_of(&stead, &format!("t{n}"))["result"].as_u64(), Some(n * (n + 1) / 2));
    }
    let waited = waits.finish(PATIENCE);
    assert_eq!((waited.code, waited.stdout.as_str()), (Some(0), "6"), "{waited:?}");
    assert_eq!(lines(&log), ["0", "1", "2", "3"], "each was begun once, by a worker that did not notice");
}

#[test]
fn a_program_that_gives_tasks_gets_each_answer_once_although_the_daemon_is_killed() {
    let _turn = alone();
    let text = compute("size = 2\ndurable = true\n")
        + &format!(
            "[app.giver]\ncommand = \"node {}\"\nenv = {{ POOL = \"sum\", COUNT = 12000 }}\n",
            node("pool-giver.js")
        );
    let stead = plan(&text).launch();
    let done = || {
        let answer = stead.sockets().pop().map(|_| ask(&stead, "GET /v1/pools/sum", "", &Value::Null));
        answer.and_then(|answer| answer.json()["done"].as_u64()).unwrap_or(0)
    };
    soon("some are done", || done() > 100);
    kill(stead.status().daemon_pid());
    let told = stead
        .output
        .wait_for("each task is answered", PATIENCE, |line| Some(line.split_once("tasks: ")?.1.to_owned()));
    assert!(told.replace('\\', "").starts_with("{\"right\":12000,\"wrong\":0,\"twice\":0}"), "{told}");
    assert_eq!(stead.wait_complete().daemon_starts(), 2, "it was killed in the middle");
}

#[test]
fn whoever_waits_for_a_task_that_is_kept_hears_its_end_although_the_daemon_is_killed() {
    const SHORT: &str = "{\"n\": 4, \"wait\": 700}";
    const LONG: &str = "{\"n\": 4, \"wait\": 60000}";
    let _turn = alone();
    let pool = |name: &str, more: &str| compute(more).replace("pool.sum", &format!("pool.{name}"));
    let stead = start(&(pool("sum", "size = 1\ndurable = true") + &pool("loose", "size = 2")));
    std::thread::scope(|scope| {
        let run = |arguments: &'static [&'static str]| {
            let stead = &stead;
            scope.spawn(move || stead.verb(&[&["pool", "run"], arguments].concat()))
        };
        let kept = [run(&["sum", "--id", "mine", SHORT]), run(&["sum", SHORT])];
        let lost = [run(&["loose", "--id", "mine", LONG]), run(&["loose", LONG])];
        let has = |pool: &str, count: u64| {
            let pool = ask(&stead, &format!("GET /v1/pools/{pool}"), "", &Value::Null).json();
            pool["running"].as_u64().unwrap_or(0) + pool["queued"].as_u64().unwrap_or(0) == count
        };
        soon("all are given", || has("loose", 2) && has("sum", 2));
        kill(stead.status().daemon_pid());
        for kept in kept {
            let kept = kept.join().expect("it is printed");
            assert_eq!((kept.code, kept.stdout.as_str()), (Some(0), "10"), "{kept:?}");
        }
        for lost in lost {
            let lost = lost.join().expect("it is printed");
            assert!(lost.code != Some(0) && lost.stderr.contains("durable = true"), "{lost:?}");
        }
    });
}

#[test]
fn half_a_result_in_parts_is_no_success_although_the_daemon_is_killed() {
    let _turn = beside();
    let text =
        format!("[pool.sum]\ncommand = \"node {}\"\nsize = 1\ndurable = true\n", node("pool-worker.js"));
    let stead = start(&text);
    let run = stead.begin(&["pool", "run", "sum", "--id", "mine", "{\"parts\": 2, \"forever\": true}"]);
    soon("its parts are told", || run.lines().len() == 2);
    kill(stead.status().daemon_pid());
    let half = run.finish(PATIENCE);
    assert_eq!((half.code, half.stdout.as_str()), (Some(1), "\"part 1\"\n\"part 2\""), "{half:?}");
    assert!(half.stderr.contains("parts of the result are missing"), "{half:?}");
    stead.wait_complete();
    ask(&stead, "DELETE /v1/pools/sum/tasks/mine", "", &Value::Null);
    assert_eq!(end_of(&stead, "mine")["state"], "cancelled");
}

#[test]
fn the_numbers_of_a_pool_go_on_when_the_daemon_is_killed() {
    let _turn = alone();
    let stead = start(&compute("size = 1"));
    let get = |path: &str| ask(&stead, &format!("GET {path}"), "", &Value::Null).json();
    let mut given = 0;
    soon("tasks are counted", || {
        task(&stead, "", &json!({"n": 1}));
        given += 1;
        // They are written down once a second, with this.
        get("/v1/status")["apps"][0]["requests_per_second"].as_f64() > Some(0.0)
    });
    kill(stead.status().daemon_pid());
    stead.wait_complete();
    let done = get("/v1/pools/sum")["done"].as_u64();
    assert!((Some(1)..=Some(given)).contains(&done), "{done:?} of {given}");
}
