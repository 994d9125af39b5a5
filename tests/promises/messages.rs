//! "My workers are many processes, and talk to each other as if they were one program: by plain `process.send`, or over HTTP from any
//! other language. A worker that dies or does not listen hurts nobody else, and Stead itself stays as it is."

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::background::Background;
use crate::support::processes::{children, kill, living, memory_of, signal};
use crate::support::{Client, Stead, Talk, alone, beside, eventually, fixture, node, soon};

const PATIENCE: Duration = Duration::from_secs(30);
const BACK: Duration = Duration::from_secs(15);

fn talkers(count: u32) -> (Stead, Talk) {
    Talk::start(Stead::script(node("talker.js")).instances(count))
}

/// Broadcasts that the worker in this slot has counted; 0 while its queue has no room for the question.
fn counted(talk: &Talk, slot: u32) -> u64 {
    let to = json!({"app": "talker", "slot": slot});
    let question = json!({"to": to, "topic": "count", "request": true});
    talk.ask("POST", "/v1/messages", &question).json()["data"].as_u64().unwrap_or(0)
}

fn daemon(stead: &Stead) -> u32 {
    stead.status().daemon_pid()
}

#[test]
fn a_message_goes_to_one_worker_or_to_all() {
    let _turn = beside();
    let (_stead, talk) = talkers(3);
    talk.say(0, &json!({"stead": {"to": "app", "topic": "news", "id": 7}, "data": {"price": 3}}));
    for who in ["talker.1", "talker.2"] {
        talk.wait_for(who, &json!({"from": "talker.0", "topic": "news"}), &json!({"price": 3}));
    }
    talk.wait_for("talker.0", &json!({"ack": 7, "receivers": 2, "dropped": 0}), &Value::Null);
    talk.say(1, &json!({"stead": {"to": "talker.2"}, "data": "you"}));
    talk.wait_for("talker.2", &json!({"from": "talker.1"}), &json!("you"));
    let heard = talk.heard();
    assert!(!heard.iter().any(|heard| heard.who == "talker.0" && heard.message["data"] == "you"));
    let sent = talk.ask("POST", "/v1/messages", &json!({"to": "talker", "data": "all of you"}));
    assert_eq!(sent.json(), json!({"receivers": 3, "dropped": 0}));
    talk.wait_for("talker.0", &json!({"from": "outside"}), &json!("all of you"));
}

#[test]
fn a_question_is_answered_by_one_worker() {
    let _turn = beside();
    let (_stead, talk) = talkers(2);
    talk.say(0, &json!({"stead": {"to": "any", "request": "q"}, "data": 5}));
    let answer = json!({"echo": 5, "by": "talker.1"});
    talk.wait_for("talker.0", &json!({"reply": "q", "from": "talker.1"}), &answer);
    talk.say(0, &json!({"stead": {"to": "any", "topic": "fail", "request": 2}}));
    let error = json!({"reply": 2, "error": {"code": "odd", "message": "no"}});
    talk.wait_for("talker.0", &error, &Value::Null);
    talk.say(0, &json!({"stead": {"to": "any", "topic": "hang", "request": 3, "timeout": 100}}));
    talk.wait("the question ends with its time", |heard| {
        heard.message["stead"]["reply"] == 3 && heard.message["stead"]["error"]["code"] == "timeout"
    });
}

#[test]
fn a_question_to_a_worker_that_is_killed_ends_at_once() {
    let _turn = beside();
    let (_stead, talk) = talkers(3);
    talk.say(0, &json!({"stead": {"to": "talker.1", "topic": "hang", "request": 1, "timeout": 600_000}}));
    let asked = talk.wait("it was asked", |heard| heard.message["stead"]["topic"] == "hang");
    kill(asked.pid);
    talk.wait("whoever asked is told", |heard| {
        heard.who == "talker.0" && heard.message["stead"]["error"]["code"] == "worker_gone"
    });
    assert_eq!(talk.request(&json!("talker.2"), "echo", &json!(1))["by"], "talker.2");
}

#[test]
fn last_words_are_heard() {
    let _turn = beside();
    let (_stead, talk) = talkers(2);
    for number in 0..3 {
        talk.tell(0, "die", &json!({"stead": {"to": "talker.1"}, "data": number}));
        talk.wait_for("talker.1", &json!({"from": "talker.0"}), &json!(number));
        let told = talk.heard().into_iter().rfind(|heard| heard.message["stead"]["topic"] == "die");
        let pid = told.expect("it wrote down what it was told").pid;
        soon("it is gone", || living(pid).is_none());
        let question = json!({"to": "talker.0", "request": true});
        let answers = || talk.ask("POST", "/v1/messages", &question).status == 200;
        soon("another one takes its place", answers);
    }
}

#[test]
fn mistakes_are_told_to_the_sender_or_in_the_log() {
    let _turn = beside();
    let (stead, talk) = talkers(1);
    talk.say(0, &json!({"stead": {"to": "shop", "id": 1}}));
    talk.wait("the sender is told", |heard| {
        heard.message["stead"]["error"]["code"] == "no_receiver"
            && heard.message.to_string().contains("there is no app `shop`; there are `talker`")
    });
    talk.say(0, &json!({"stead": {"tu": "shop"}}));
    let told = |line: &str| {
        (line.contains("a message of talker.0 was refused") && line.contains("`tu`")).then_some(())
    };
    stead.output.wait_for("the mistake is in the log", PATIENCE, told);
    for (body, status, code) in [
        (json!({"to": 7}), 400, "bad_message"),
        (json!({"to": "app"}), 400, "bad_message"),
        (json!({"to": "talker.7"}), 404, "no_receiver"),
        (json!({"to": "talker", "data": "x".repeat(2 << 20)}), 413, "too_large"),
        (json!({"to": "talker", "topic": "hang", "request": true, "timeout": 50}), 504, "timeout"),
    ] {
        let answer = talk.ask("POST", "/v1/messages", &body);
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (status, &json!(code)));
    }
    let mut client = Client::connect_unix(talk.socket());
    let forged =
        client.send("GET /v1/messages HTTP/1.1\r\nHost: x\r\nStead-Worker: talker.0\r\n\r\n").answer();
    assert_eq!(forged.status, 403, "this process is no worker: {}", forged.text());
}

#[test]
fn a_worker_that_does_not_read_loses_its_messages_and_nobody_else_does() {
    const COUNT: u64 = 30_000;
    let _turn = alone();
    let plan = Stead::script(node("talker.js")).instances(4).env("COUNT", 1);
    let (stead, talk) = Talk::start(plan.set("message_queue_bytes_max", "\"256KiB\""));
    let pid = |slot| stead.status().workers().iter().find(|worker| worker.slot == slot).expect("it runs").pid;
    let (stopped, daemon) = (pid(3), daemon(&stead));
    let before = memory_of(daemon);
    signal(stopped, Signal::STOP);
    talk.tell(0, "storm", &json!(COUNT));
    talk.wait("the storm is over", |heard| heard.message == "stormed");
    for slot in [1, 2] {
        eventually("it has heard everything", PATIENCE, || (counted(&talk, slot) == COUNT).then_some(()));
    }
    let grown = memory_of(daemon).saturating_sub(before);
    assert!(grown < 40 << 20, "the daemon has grown by {grown} bytes");
    talk.wait("the sender knows that messages were dropped", |heard| {
        heard.who == "talker.0"
            && heard.message["stead"]["dropped"] == 1
            && heard.message["stead"]["receivers"] == 2
    });
    signal(stopped, Signal::CONT);
    eventually("it goes on", PATIENCE, || (counted(&talk, 3) > 0).then_some(()));
    assert!(counted(&talk, 3) < COUNT);
    talk.say(0, &json!({"stead": {"to": "app", "topic": "wind"}}));
    for words in ["talker.3 does not read its messages", "talker.3 reads its messages again"] {
        stead.output.wait_for(words, PATIENCE, |line| line.contains(words).then_some(()));
    }
}

#[test]
fn descriptors_and_memory_are_the_same_after_many_messages() {
    const COUNT: u64 = 15_000;
    let _turn = alone();
    let (stead, talk) = Talk::start(Stead::script(node("talker.js")).instances(4).env("COUNT", 1));
    let daemon = daemon(&stead);
    let descriptors = || std::fs::read_dir(format!("/proc/{daemon}/fd")).expect("it lives").count();
    let round = |number: u64| {
        talk.tell(0, "storm", &json!(COUNT));
        let stormed = || talk.heard().iter().filter(|heard| heard.message == "stormed").count() as u64;
        eventually("the storm is over", PATIENCE, || (stormed() == number).then_some(()));
        for _ in 0..100 {
            talk.request(&json!("talker"), "echo", &json!(number));
        }
    };
    round(1);
    let (open, memory) = (descriptors(), memory_of(daemon));
    (2..=4).for_each(round);
    soon("no descriptor is left", || descriptors() <= open);
    let grown = memory_of(daemon).saturating_sub(memory);
    assert!(grown < 16 << 20, "{} messages have left {grown} bytes", 9 * COUNT);
}

#[test]
fn messages_go_on_when_the_daemon_is_killed() {
    let _turn = beside();
    let (stead, talk) = talkers(2);
    talk.say(0, &json!({"stead": {"to": "app"}, "data": "before"}));
    talk.wait_for("talker.1", &json!({"from": "talker.0"}), &json!("before"));
    let before = stead.status();
    kill(before.daemon_pid());
    stead.wait_status("a new daemon serves", BACK, |status| {
        status.daemon_pid() != before.daemon_pid() && status.is_complete()
    });
    talk.wait_for("talker.0", &json!({"resumed": true}), &Value::Null);
    let silent = |who: &str| {
        !talk.heard().iter().any(|heard| heard.who == who && heard.message["stead"]["resumed"] == true)
    };
    assert!(silent("talker.1"), "it has never said anything, so it has lost nothing");
    talk.say(0, &json!({"stead": {"to": "app"}, "data": "after"}));
    talk.wait_for("talker.1", &json!({"from": "talker.0"}), &json!("after"));
}

#[test]
fn a_program_without_any_library_takes_part_over_http() {
    let _turn = beside();
    let program = ["python3".to_owned(), fixture("python/talker.py")];
    let plan = Stead::plan(program).instances(2).option("--name", "snake").set("ready", "\"notify\"");
    let (stead, talk) = Talk::start(plan.set("assume_ready_after", "30s"));
    let asked = stead.verb(&["send", "snake.1", "21", "--request"]);
    assert_eq!((asked.code, asked.stdout.as_str()), (Some(0), "[\n  21,\n  21\n]"), "{asked:?}");
    let sent = stead.verb(&["send", "snake", "\"hello\"", "--topic", "news", "--json"]);
    let told: Value = serde_json::from_str(&sent.stdout).expect("it is JSON");
    assert_eq!(told, json!({"receivers": 2, "dropped": 0}), "{sent:?}");
    for who in ["snake.0", "snake.1"] {
        talk.wait_for(who, &json!({"from": "outside", "topic": "news"}), &json!("hello"));
    }
    let set = talk.ask("PUT", "/v1/apps/snake/shared/users", &json!(7));
    assert_eq!((set.status, set.header("etag")), (200, Some("\"1\"")));
    talk.wait_for("snake.1", &json!({"shared": "users", "version": 1}), &json!(7));
    // A worker that was killed is followed by another, in its stream too.
    let leads = |pid: u32| {
        talk.wait("somebody leads", move |heard| heard.pid != pid && heard.message["stead"]["leader"] == true)
    };
    let first = leads(0);
    kill(first.pid);
    let second = leads(first.pid);
    assert!(second.message["stead"]["term"].as_u64() > first.message["stead"]["term"].as_u64());
    // So is a daemon.
    let old = daemon(&stead);
    kill(old);
    stead.wait_status("a new daemon serves", BACK, |status| {
        status.daemon_pid() != old && status.is_complete()
    });
    let answered = || {
        let body = json!({"to": "snake", "request": true, "data": 1});
        talk.ask("POST", "/v1/messages", &body).status == 200
    };
    soon("they listen again", answered);
    assert!(children(stead.pid()).iter().all(|child| child.state != 'Z'));
}

#[test]
fn an_upgrade_of_stead_loses_no_message_and_no_question() {
    const COUNT: u64 = 5_000;
    let _turn = beside();
    let (stead, talk) = Talk::start(Stead::script(node("talker.js")).instances(2).env("COUNT", 1));
    let binary = stead.path().join("stead-new");
    std::fs::copy(env!("CARGO_BIN_EXE_stead"), &binary).expect("there is room for a copy");
    talk.say(0, &json!({"stead": {"to": "any", "topic": "hang", "request": 1}}));
    let asked = talk.wait("it was asked", |heard| heard.message["stead"]["topic"] == "hang");
    talk.tell(0, "storm", &json!(COUNT));
    let done = stead.verb(&["upgrade", "--binary", &binary.to_string_lossy()]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let counted = || talk.request(&json!("talker.1"), "count", &Value::Null);
    eventually("all have arrived", PATIENCE, || (counted() == COUNT).then_some(()));
    talk.say(1, &json!({"stead": {"reply": asked.message["stead"]["request"]}, "data": "at last"}));
    talk.wait_for("talker.0", &json!({"reply": 1, "from": "talker.1"}), &json!("at last"));
    assert!(!talk.heard().iter().any(|heard| heard.message["stead"]["resumed"] == true), "nothing was lost");
}

#[test]
fn a_worker_of_another_user_takes_part() {
    let _turn = beside();
    if !rustix::process::geteuid().is_root() {
        // Nobody else may become another user.
        return;
    }
    let user = Background::new();
    std::fs::set_permissions(user.path(), Permissions::from_mode(0o711)).expect("it is ours");
    let command = r#"curl -s --unix-socket "$STEAD_SOCKET" -H "Stead-Worker: $STEAD_WORKER" -d '{"candidate": true}' http://stead/v1/candidates; exec sleep 1000"#;
    let keys = "shell = true\nuid = 65534\ngid = 65534\nassume_ready_after = \"100ms\"\n";
    user.write("stead.toml", &format!("[app.other]\ncommand = '''{command}'''\n{keys}"));
    user.done(&["start"]);
    user.wait_status("it leads", |_| user.done(&["show", "other"]).stdout.contains("other.0, term 1"));
}
