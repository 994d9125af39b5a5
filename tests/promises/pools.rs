//! "I have work that is too heavy for a request, and programs that do it. I hand over tasks and get results, whatever dies
//! meanwhile: a worker, or the daemon itself. Each task that was accepted ends once, and I can see how."

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::background::Background;
use crate::support::http::Answer;
use crate::support::processes::{children, kill};
use crate::support::status::Status;
use crate::support::stead::Plan;
use crate::support::{Client, Stead, alone, beside, eventually, fixture, node, pause_between, soon};

/// For tasks to end, on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// An instance with this stead.toml.
#[track_caller]
pub(crate) fn start(text: &str) -> Stead {
    plan(text).start()
}

pub(crate) fn plan(text: &str) -> Plan {
    let plan: Plan = Stead::plan(Vec::<String>::new());
    std::fs::write(plan.directory().join("stead.toml"), text).expect("there is room for a file");
    plan
}

pub(crate) fn compute(more: &str) -> String {
    format!("[pool.sum]\ncommand = \"node {}\"\n{more}\n", node("compute.js"))
}

pub(crate) fn ask(stead: &Stead, request: &str, more: &str, body: &Value) -> Answer {
    let socket = stead.sockets().pop().expect("the instance has a socket");
    let body = body.to_string();
    let head = format!("{request} HTTP/1.1\r\nHost: stead\r\n{more}Content-Length: {}\r\n\r\n", body.len());
    let mut client = Client::connect_unix(&socket);
    client.set_patience(PATIENCE);
    client.send(head + &body).answer()
}

pub(crate) fn task(stead: &Stead, query: &str, body: &Value) -> Answer {
    ask(stead, &format!("POST /v1/pools/sum/tasks{query}"), "", body)
}

pub(crate) fn see(stead: &Stead, id: &str) -> Value {
    ask(stead, &format!("GET /v1/pools/sum/tasks/{id}"), "", &Value::Null).json()
}

/// Waits until a task has ended, and tells how.
pub(crate) fn end_of(stead: &Stead, id: &str) -> Value {
    eventually("the task ends", PATIENCE, || {
        Some(see(stead, id)).filter(|task| task["state"] != "queued" && task["state"] != "running")
    })
}

pub(crate) fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_forked_program_that_knows_nothing_of_pools_takes_tasks() {
    let _turn = beside();
    let stead = start(&compute("size = 2"));
    let done = stead.verb(&["pool", "run", "sum", "{\"n\": 100}"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "5050"), "{done:?}");
    let answer = task(&stead, "", &json!({"n": 10}));
    assert_eq!((answer.status, answer.json()["result"].as_u64()), (200, Some(55)));
    let accepted = task(&stead, "?wait=false&id=mine", &json!({"n": 4}));
    assert_eq!((accepted.status, accepted.header("location")), (202, Some("/v1/pools/sum/tasks/mine")));
    assert_eq!(end_of(&stead, "mine")["result"], 10);
    let again = task(&stead, "?id=mine", &json!({"n": 999}));
    assert_eq!(again.json()["result"], 10, "the same id is the same task: {}", again.text());
    let shown = stead.verb(&["pool", "list", "--json"]);
    let pools: Value = serde_json::from_str(&shown.stdout).expect("it is JSON");
    assert_eq!((&pools[0]["name"], &pools[0]["done"]), (&json!("sum"), &json!(3)));
    for (path, status, code) in [
        ("POST /v1/pools/summ/tasks", 404, "unknown_pool"),
        ("GET /v1/pools/sum/tasks/77", 404, "unknown_task"),
        ("POST /v1/pools/sum/tasks?wiat=false", 400, "bad_message"),
    ] {
        let answer = ask(&stead, path, "", &json!(1));
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (status, &json!(code)), "{path}");
    }
}

#[test]
fn each_task_has_one_result_although_workers_are_killed_all_the_time() {
    /// Then they are let live.
    const KILLS_MAX: usize = 60;
    let _turn = alone();
    let text = compute("size = 4\n")
        + &format!(
            "[app.giver]\ncommand = \"node {}\"\nenv = {{ POOL = \"sum\", COUNT = 100000, WINDOW = 1000 }}\n",
            node("pool-giver.js")
        );
    let stead = plan(&text).launch();
    let told = || {
        let lines = stead.output.lines();
        lines.iter().find_map(|line| Some(line.split_once("tasks: ")?.1.to_owned()))
    };
    let (mut kills, end) = (0, Instant::now() + PATIENCE);
    while told().is_none() && Instant::now() < end {
        let workers: Vec<_> =
            children(stead.pid()).into_iter().filter(|child| child.command.contains("compute.js")).collect();
        // On a busy machine a worker may need longer to begin than it is let live here.
        if let Some(worker) = workers.get(kills % workers.len().max(1)).filter(|_| kills < KILLS_MAX) {
            kill(worker.pid);
            kills += 1;
        }
        pause_between(Duration::from_millis(100));
    }
    let told = told().expect("each task is answered");
    assert!(told.replace('\\', "").starts_with("{\"right\":100000,\"wrong\":0,\"twice\":0}"), "{told}");
    assert!(kills > 3, "only {kills} were killed");
}

#[test]
fn a_task_that_kills_workers_is_set_aside_and_tried_again_after_the_repair() {
    let _turn = beside();
    let stead = start(&compute("size = 2\nlogs = \"logs\""));
    let repair = stead.path().join("repaired");
    let input = json!({"n": 3, "unless": repair, "child": "3"});
    let failed = task(&stead, "?id=bad", &input);
    assert_eq!((failed.status, &failed.json()["state"]), (422, &json!("poison")), "{}", failed.text());
    assert_eq!(failed.json()["attempts"], 2, "its worker died, another was given it and died too");
    let why = failed.json()["error"]["message"].to_string();
    assert!(why.contains("exit code 1") && why.contains("`stead pool dead show sum bad`"), "{why}");
    assert_eq!(task(&stead, "", &json!({"n": 4})).json()["result"], 10, "the pool goes on");
    kill(stead.status().daemon_pid());
    stead.wait_complete();
    let dead = stead.verb(&["pool", "dead", "show", "sum", "bad"]);
    assert_eq!(serde_json::from_str::<Value>(&dead.stdout).expect("the input"), input, "{dead:?}");
    assert!(dead.stderr.contains("exit code 1\n    | there is no "), "{dead:?}");
    let dead = stead.verb(&["pool", "dead", "show", "sum", "bad", "--json"]);
    let deaths = serde_json::from_str::<Value>(&dead.stdout).expect("it is JSON")["deaths"].clone();
    assert_eq!(deaths.as_array().map(Vec::len), Some(2), "kept over the daemon's death: {deaths}");
    for death in deaths.as_array().into_iter().flatten() {
        assert_eq!(death["exit"]["code"], 1, "{death}");
        assert_eq!(death["last_lines"].as_array().map(Vec::len), Some(1), "its own: {death}");
    }
    std::fs::write(&repair, "").expect("there is room for a file");
    let retried = stead.verb(&["pool", "dead", "retry", "sum", "nope", "bad"]);
    assert_eq!(retried.code, Some(6), "one is not there: {retried:?}");
    assert!(retried.stderr.contains("1 task is tried again\nerror: no task `nope`"), "{retried:?}");
    assert_eq!(end_of(&stead, "bad")["result"], 6);
    assert_eq!(stead.verb(&["pool", "dead", "list", "sum", "--json"]).stdout.trim(), "[]");
}

#[test]
fn a_pool_needs_no_file_and_a_task_comes_from_wherever_it_is() {
    let _turn = beside();
    let stead = Stead::plan(["--pool".to_owned(), node("compute.js")]).instances(2).start();
    let file = stead.path().join("task.json");
    let run = |argument: &str| stead.verb(&["pool", "run", "compute", argument]);
    let written = |text: &str| {
        std::fs::write(&file, text).expect("there is room for a file");
        run(&format!("@{}", file.display()))
    };
    assert_eq!(written("{\n  \"n\": 4 }\n").stdout, "10");
    let wrong = written("{\"n\":\n x}");
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(
        wrong.stderr.contains("is not JSON\n  caused by: expected value at line 2 column 2"),
        "{wrong:?}"
    );
    let nothing = run("-");
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
    assert!(nothing.stderr.contains("there is nothing in standard input"), "{nothing:?}");
}

#[test]
fn a_task_that_is_not_understood_is_refused_over_the_channel() {
    let _turn = beside();
    let plan = plan(&compute("size = 1\n[app.giver]\ncommand = \"node giver.js\"\n"));
    let program = "process.on('message', (m) => console.log('told: ' + JSON.stringify(m.stead)));\n\
                   process.send({ stead: { pool: 'sum', task: 1, priority: 'high' } });\n\
                   process.send({ stead: { pool: 'smu', task: 2 } });\n";
    std::fs::write(plan.directory().join("giver.js"), program).expect("there is room for a file");
    let stead = plan.launch();
    for part in ["the task is not understood", "did you mean `sum`?"] {
        stead.output.wait_for(part, PATIENCE, |line| line.contains(part).then_some(()));
    }
}

#[test]
fn a_full_queue_refuses_clearly_and_a_stuck_worker_alone_is_killed() {
    let _turn = beside();
    let stead = start(&compute("size = 2\nqueue_max = 1\ntask_timeout = \"1s\""));
    let innocent = task(&stead, "", &json!({"n": 1, "who": true})).json()["result"].as_u64();
    for id in ["a", "b", "c"] {
        assert_eq!(task(&stead, &format!("?wait=false&id={id}"), &json!({"n": 1, "hang": true})).status, 202);
    }
    let refused = task(&stead, "", &json!({"n": 1}));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{}", refused.text());
    assert_eq!(refused.json()["error"]["code"], "full");
    for id in ["a", "b", "c"] {
        let ended = end_of(&stead, id);
        assert_eq!(
            (&ended["state"], &ended["error"]["code"]),
            (&json!("failed"), &json!("timeout")),
            "{ended}"
        );
    }
    let now = task(&stead, "", &json!({"n": 1, "who": true})).json()["result"].as_u64();
    assert_ne!(now, innocent, "all that hung were killed");
    let hanging = task(&stead, "?wait=false", &json!({"n": 1, "hang": true}));
    assert_eq!(hanging.status, 202);
    let beside = task(&stead, "", &json!({"n": 1, "who": true})).json()["result"].as_u64();
    soon("the stuck one is replaced", || {
        stead.status().of("sum").workers().iter().all(|worker| worker.restarts > 0)
    });
    let pids = stead.wait_complete().of("sum").ready_pids();
    assert!(
        pids.iter().any(|pid| Some(u64::from(*pid)) == beside),
        "the other worker lives: {pids:?} {beside:?}"
    );
}

#[test]
fn progress_and_parts_are_told_while_a_task_runs() {
    let _turn = beside();
    let stead = start(&format!("[pool.sum]\ncommand = \"node {}\"\nsize = 1\n", node("pool-worker.js")));
    let told =
        ask(&stead, "POST /v1/pools/sum/tasks?key=k", "Accept: text/event-stream\r\n", &json!({"parts": 2}));
    let text = told.text();
    let events: Vec<&str> =
        text.lines().filter(|line| line.starts_with("event") || line.starts_with("data")).collect();
    assert_eq!(
        events[..8],
        [
            "event: part",
            "data: \"part 1\"",
            "event: progress",
            "data: 0.5",
            "event: part",
            "data: \"part 2\"",
            "event: progress",
            "data: 1",
        ]
    );
    assert_eq!(events[8], "event: done");
    assert!(events[9].contains("\"result\":{\"key\":\"k\",\"attempt\":1}"), "{text}");
    let failed = task(&stead, "", &json!({"fail": "no disk"}));
    assert_eq!(failed.status, 422);
    assert_eq!(failed.json()["error"], json!({"code": "failed", "message": "no disk", "name": "Error"}));
    assert_eq!(task(&stead, "?wait=false&id=long", &json!({"forever": true})).status, 202);
    soon("it runs", || see(&stead, "long")["state"] == "running");
    ask(&stead, "DELETE /v1/pools/sum/tasks/long", "", &Value::Null);
    assert_eq!(end_of(&stead, "long")["state"], "cancelled");
    assert_eq!(stead.status().of("sum").workers()[0].restarts, 0, "it was asked, and not killed");
}

#[test]
fn the_queue_decides_how_many_workers_there_are() {
    let _turn = beside();
    let size = "size = { min = 1, max = 3 }\ngrow_after = \"100ms\"\nshrink_after = \"300ms\"";
    let stead = start(&format!("[pool.sum]\ncommand = \"node {}\"\n{size}\n", node("pool-worker.js")));
    let wait_for_workers = |count: u64| {
        eventually("the pool has as many workers as it needs", PATIENCE, || {
            let shown = stead.verb(&["pool", "show", "sum", "--json"]);
            let pool: Value = serde_json::from_str(&shown.stdout).ok()?;
            (pool["workers"]["ready"] == count).then_some(())
        });
    };
    wait_for_workers(1);
    for number in 0..6 {
        let accepted = task(&stead, &format!("?wait=false&id=t{number}"), &json!({"forever": true}));
        assert_eq!(accepted.status, 202, "{}", accepted.text());
    }
    wait_for_workers(3);
    assert_eq!(task(&stead, "?wait=false&id=last", &json!({"forever": true})).status, 202);
    let told = ask(&stead, "DELETE /v1/pools/sum/tasks/last", "", &Value::Null).json();
    assert_eq!(told["state"], "cancelled", "it was still waiting, and its end is on disk: {told}");
    for number in 0..6 {
        ask(&stead, &format!("DELETE /v1/pools/sum/tasks/t{number}"), "", &Value::Null);
        assert_eq!(end_of(&stead, &format!("t{number}"))["state"], "cancelled");
    }
    wait_for_workers(1);
}

#[test]
fn any_language_takes_tasks_as_lines() {
    let _turn = beside();
    let stead =
        start(&format!("[pool.sum]\ncommand = \"python3 {}\"\nsize = 1\n", fixture("python/lines.py")));
    assert_eq!(
        task(&stead, "", &json!({"a": [1, "ü"]})).json()["result"],
        json!({"twice": [{"a": [1, "ü"]}, {"a": [1, "ü"]}]})
    );
    assert_eq!(task(&stead, "", &json!("text")).json()["result"], "no JSON at all");
    let pid = stead.status().ready_pids()[0];
    kill(pid);
    assert_eq!(task(&stead, "", &json!(1)).json()["result"], json!({"twice": [1, 1]}));
}

#[test]
fn tasks_of_one_key_are_done_in_their_order() {
    const TASKS: u64 = 30;
    let _turn = beside();
    let stead = start(&compute("size = 3"));
    let log = stead.path().join("log");
    for n in 0..TASKS {
        let query = format!("?wait=false&key=one&id=t{n}");
        assert_eq!(task(&stead, &query, &json!({"n": n, "log": log, "wait": n % 3})).status, 202);
    }
    end_of(&stead, &format!("t{}", TASKS - 1));
    let expected: Vec<String> = (0..TASKS).map(|n| n.to_string()).collect();
    assert_eq!(lines(&log), expected);
}

#[test]
fn tasks_wait_for_a_program_that_crashes_as_it_starts() {
    let _turn = beside();
    let plan = plan("[pool.sum]\ncommand = \"node program.mjs\"\nsize = 2\nrestarts_max = 3\n");
    let program = plan.directory().join("program.mjs");
    let write = |text: &str| std::fs::write(&program, text).expect("there is room for a file");
    let works = format!("import {:?}", node("compute.js"));
    write(&works);
    let stead = plan.start();
    // Loading a module takes a turn of the event loop, in which the task is read.
    write("import 'node:fs'\nthrow new Error('no such thing')");
    stead.status().ready_pids().into_iter().for_each(kill);
    for n in 0..3 {
        let accepted = task(&stead, &format!("?wait=false&id=t{n}"), &json!({"n": n}));
        assert_eq!(accepted.status, 202, "{}", accepted.text());
    }
    stead.wait_status("the program is given up", PATIENCE, |status| status.of("sum").state() == "failed");
    for n in 0..3 {
        assert_eq!(see(&stead, &format!("t{n}"))["state"], "queued");
    }
    write(&works);
    assert_eq!(stead.verb(&["restart", "sum"]).code, Some(0));
    for n in 0..3_u64 {
        assert_eq!(end_of(&stead, &format!("t{n}"))["result"].as_u64(), Some(n * (n + 1) / 2));
    }
}

#[test]
fn a_pool_has_as_many_workers_as_its_queue_needs() {
    let _turn = beside();
    let size = "size = { min = 1, max = 3 }\ngrow_after = \"100ms\"\nshrink_after = \"500ms\"";
    let stead = start(&compute(size));
    assert_eq!(stead.status().of("sum").ready_pids().len(), 1);
    for n in 0..6 {
        assert_eq!(task(&stead, &format!("?wait=false&id=t{n}"), &json!({"n": n, "wait": 1000})).status, 202);
    }
    let workers = |count| move |status: &Status| status.of("sum").ready_pids().len() == count;
    stead.wait_status("the pool grows", PATIENCE, workers(3));
    stead.wait_status("the pool shrinks", PATIENCE, workers(1));
    for n in 0..6_u64 {
        assert_eq!(see(&stead, &format!("t{n}"))["result"].as_u64(), Some(n * (n + 1) / 2));
    }
}

#[test]
fn a_task_of_higher_priority_is_done_before_those_that_wait() {
    let _turn = beside();
    let stead = start(&compute("size = 1"));
    let log = stead.path().join("log");
    let give = |n: u32, query: &str, wait: u32| {
        let input = json!({"n": n, "log": log, "wait": wait});
        assert_eq!(task(&stead, &format!("?wait=false&id=t{n}{query}"), &input).status, 202);
    };
    give(0, "", 2000);
    give(1, "", 0);
    give(2, "", 0);
    give(3, "&priority=5", 0);
    end_of(&stead, "t2");
    assert_eq!(lines(&log), ["0", "3", "1", "2"]);
}

#[test]
fn workers_that_know_only_tasks_get_nothing_else() {
    const TASKS: u64 = 20;
    let _turn = beside();
    let stead = start(&compute("size = 2"));
    let shared = stead.verb(&["shared", "sum", "rate", "7"]);
    assert_eq!(shared.code, Some(0), "{shared:?}");
    for n in 0..TASKS {
        let accepted = task(&stead, &format!("?wait=false&id=t{n}"), &json!({"n": n, "wait": 20}));
        assert_eq!(accepted.status, 202, "{}", accepted.text());
        let sent = ask(&stead, "POST /v1/messages", "", &json!({"to": "all", "data": n}));
        assert_eq!(sent.json(), json!({"receivers": 0, "dropped": 0}), "{}", sent.text());
    }
    let sent = stead.verb(&["send", "sum", "1"]);
    assert_eq!(sent.code, Some(1), "{sent:?}");
    assert!(sent.stderr.contains("stead pool run sum"), "{sent:?}");
    for n in 0..TASKS {
        assert_eq!(end_of(&stead, &format!("t{n}"))["result"].as_u64(), Some(n * (n + 1) / 2));
    }
    assert_eq!(task(&stead, "", &json!({"n": 4})).json()["result"], 10);
}

#[test]
fn a_pool_of_a_broken_program_does_not_start_and_replaces_no_worker() {
    let _turn = beside();
    let plan = plan("[pool.sum]\ncommand = \"node program.js\"\nsize = 2\n");
    let program = plan.directory().join("program.js");
    let write = |text: &str| std::fs::write(&program, text).expect("there is room for a file");
    write(&format!("require({:?})", node("compute.js")));
    let stead = plan.start();
    let before = stead.status().ready_pids();
    write("throw new Error('no such thing')");
    let failed = stead.verb(&["reload", "sum"]);
    assert_eq!(failed.code, Some(5), "{failed:?}");
    assert_eq!(stead.wait_complete().ready_pids(), before, "the workers before it are still there");
    assert_eq!(task(&stead, "", &json!({"n": 4})).json()["result"], 10);
    let failed = stead.verb(&["restart", "sum"]);
    assert_eq!(failed.code, Some(3), "{failed:?}");
    assert!(failed.stderr.contains("no worker is ready"), "{failed:?}");
}

#[test]
fn starting_a_pool_says_what_is_broken_of_it_and_what_to_do() {
    let _turn = beside();
    let user = Background::new();
    std::fs::create_dir_all(user.home().join("pools/boom.journal")).expect("there is room for a folder");
    user.write("boom.sh", "echo 'no such thing' >&2; exit 7\n");
    let quickly = "backoff_first = \"10ms\"\nbackoff_max = \"10ms\"\n";
    user.write("stead.toml", &format!("[pool.boom]\ncommand = \"sh boom.sh\"\nsize = 1\n{quickly}"));
    let failed = user.verb(&["start"]);
    assert_eq!(failed.code, Some(3), "{failed:?}");
    for part in ["error: pool `boom` did not start", "  | no such thing", "exit code 7", "`stead logs boom`"]
    {
        assert!(failed.stderr.contains(part), "{part}: {failed:?}");
    }
    assert!(failed.stderr.contains("note: pool `boom` cannot keep tasks on disk"), "{failed:?}");
    let zero = user.verb(&["scale", "boom", "0"]);
    assert!(zero.code == Some(2) && zero.stderr.contains("`stead stop [APP]` ends all workers"), "{zero:?}");
}

#[test]
fn whoever_waits_for_a_task_of_a_pool_that_is_deleted_is_told_at_once() {
    let _turn = beside();
    let pool = compute("size = 1\ndurable = true\ngrace = \"100ms\"");
    let plan = plan(&(pool + "[app.giver]\ncommand = \"node giver.js\"\n"));
    let program = "process.on('message', ({ stead }) => console.log(`told: ${stead.task} ${stead.state}`));\n\
                   for (const task of [1, 2]) {\n\
                     process.send({ stead: { pool: 'sum', task, priority: 1 }, data: { n: 1, wait: 600000 } })\n\
                   }\n";
    std::fs::write(plan.directory().join("giver.js"), program).expect("there is room for a file");
    let stead = plan.launch();
    let until_queued = |count: u64| {
        eventually("all but one wait", PATIENCE, || {
            let shown = stead.verb(&["pool", "show", "sum", "--json"]);
            let pool: Value = serde_json::from_str(&shown.stdout).ok()?;
            (pool["queued"] == count && pool["running"] == 1).then_some(())
        });
    };
    until_queued(1);
    let verbs = [&["pool", "run", "sum", "1"][..], &["pool", "run", "sum", "1", "--id", "mine"]];
    let verbs = verbs.map(|verb| stead.begin(verb));
    until_queued(3);
    let deleted = stead.verb(&["delete", "sum"]);
    let words = "deleted sum; 4 tasks that had not ended were dropped with it";
    assert!(deleted.code == Some(0) && deleted.stderr.contains(words), "{deleted:?}");
    for verb in verbs {
        let told = verb.finish(PATIENCE);
        assert!(told.code == Some(1) && told.stderr.contains("ended as cancelled"), "{told:?}");
    }
    for told in ["told: 1 cancelled", "told: 2 cancelled"] {
        stead.output.wait_for(told, PATIENCE, |line| line.contains(told).then_some(()));
    }
}
