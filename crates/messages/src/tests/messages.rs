//! Messages and questions: who gets them, and what their sender is told.

use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, to};
use crate::{Address, Fault, Member, Post, Sender};

const NEWS: &str = r#"{"from":"shop.0"} -> "news""#;

/// Of `shop` with 3 workers and `api` with 2, shop.0 says it; these hear it.
#[track_caller]
fn check(address: &Value, expected: &[(u32, u64)]) {
    let mut bench = Bench::of(&[("shop", 3), ("api", 2)]);
    bench.says(0, 0, to(address.clone(), "news"));
    for (app, worker) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)] {
        let is_meant = expected.contains(&(app, worker));
        bench.hears(app, worker, if is_meant { &[NEWS] } else { &[] });
    }
    assert!(bench.post.said.is_empty(), "{address}: {:?}", bench.post.said);
}

#[test]
fn messages_reach_whom_they_are_for() {
    check(&json!("app"), &[(0, 1), (0, 2)]);
    check(&json!("all"), &[(0, 1), (0, 2), (1, 0), (1, 1)]);
    check(&json!("api"), &[(1, 0), (1, 1)]);
    check(&json!("shop"), &[(0, 1), (0, 2)]);
    check(&json!("api.1"), &[(1, 1)]);
    check(&json!("shop.0"), &[(0, 0)]);
    check(&json!("any"), &[(0, 1)]);
    check(&json!({"app": "api"}), &[(1, 0), (1, 1)]);
    check(&json!({"app": "api", "slot": 0}), &[(1, 0)]);
    check(&json!({"app": "api", "one": true}), &[(1, 0)]);
}

#[test]
fn a_sender_that_counts_itself_in_hears_itself() {
    let mut bench = Bench::of(&[("shop", 2)]);
    bench.says(0, 0, json!({"stead": {"to": "app", "topic": "t", "self": true, "id": 7}}));
    let news = r#"{"from":"shop.0","topic":"t"} -> null"#;
    bench.hears(0, 1, &[news]);
    bench.hears(0, 0, &[news, r#"{"ack":7,"dropped":0,"receivers":2}"#]);
}

#[test]
fn a_message_for_nobody_is_refused() {
    let mut bench = Bench::of(&[("shop", 1), ("api", 0)]);
    let mut check = |stead: &Value, code: &str, text: &str| {
        bench.says(0, 0, json!({ "stead": stead }));
        let heard = &bench.post.heard[&Member { app: 0, worker: 0 }];
        let error = &heard.last().expect("it is answered")["stead"]["error"];
        assert_eq!(error["code"], code, "{stead}");
        assert!(error["message"].as_str().unwrap().contains(text), "{stead}: {error}");
    };
    check(&json!({"to": "nope", "id": 1}), "no_receiver", "no app `nope`; there are `shop`, `api`");
    check(&json!({"to": "shop.7", "id": 1}), "no_receiver", "no worker in slot 7");
    check(&json!({"to": "leader", "id": 1}), "no_receiver", "no leader");
    check(&json!({"to": "api", "request": 1}), "no_receiver", "no worker that could answer");
    check(&json!({"to": "all", "request": 1}), "bad_message", "for one worker");
    check(&json!({"to": 7, "request": 1}), "bad_message", "neither a word");
    check(&json!({"reply": "9-9", "id": 1}), "unknown_request", "no request of this name");
    check(&json!({"too": "app", "id": 1}), "bad_message", "only `too`");
}

#[test]
fn who_does_not_wait_for_an_answer_is_refused_in_the_log_once_a_second() {
    let mut bench = Bench::of(&[("shop", 1)]);
    for _ in 0..100 {
        bench.says(0, 0, to("nope", 1));
    }
    let text = "a message of shop.0 was refused: there is no app `nope`; there are `shop`";
    assert_eq!(bench.post.said, [text]);
    bench.pass(Duration::from_secs(1));
    bench.says(0, 0, to("nope", 1));
    assert_eq!(bench.post.said.len(), 2);
    bench.hears(0, 0, &[]);
}

#[test]
fn too_large_a_message_is_refused() {
    let mut bench = Bench::of(&[("shop", 2)]);
    bench.says(0, 0, json!({"stead": {"to": "app", "id": 1}, "data": "x".repeat(1001)}));
    bench.hears(0, 1, &[]);
    assert!(bench.post.heard[&Member { app: 0, worker: 0 }][0].to_string().contains("too_large"));
}

#[test]
fn what_is_for_any_goes_to_one_that_has_room() {
    let mut bench = Bench::of(&[("shop", 3)]);
    bench.stall(0, 1);
    for _ in 0..5 {
        bench.says(0, 0, to("any", "news"));
    }
    let heard = |bench: &Bench, worker| bench.post.heard[&Member { app: 0, worker }].len();
    assert_eq!((heard(&bench, 1), heard(&bench, 2)), (3, 2));
    assert!(bench.post.said.is_empty(), "{:?}", bench.post.said);
}

#[test]
fn a_worker_that_does_not_read_loses_messages_and_nobody_else_does() {
    let mut bench = Bench::of(&[("shop", 3)]);
    bench.stall(0, 1);
    for number in 0..10 {
        bench.says(0, 0, json!({"stead": {"to": "app", "id": number}, "data": number}));
    }
    let heard = |bench: &Bench, worker| bench.post.heard[&Member { app: 0, worker }].len();
    assert_eq!((heard(&bench, 1), heard(&bench, 2)), (3, 10));
    let acks = &bench.post.heard[&Member { app: 0, worker: 0 }];
    assert_eq!(acks[2]["stead"], json!({"ack": 2, "receivers": 2, "dropped": 0}));
    assert_eq!(acks[3]["stead"], json!({"ack": 3, "receivers": 1, "dropped": 1}));
    bench.read(0, 1);
    bench.says(0, 0, to("app", "again"));
    assert_eq!(
        bench.post.said,
        [
            "shop.1 does not read its messages; new ones are dropped until it does",
            "shop.1 reads its messages again; 7 were dropped",
        ]
    );
}

#[test]
fn a_question_goes_to_one_worker_and_its_answer_back() {
    let mut bench = Bench::of(&[("shop", 3)]);
    bench.says(0, 0, json!({"stead": {"to": "app", "topic": "sum", "request": "a"}, "data": [1, 2]}));
    let token = bench.is_asked(0, 1);
    bench.hears(0, 2, &[]);
    bench.says(0, 2, json!({"stead": {"reply": token}, "data": "not asked"}));
    bench.says(0, 1, json!({"stead": {"reply": token}, "data": 3}));
    bench.says(0, 1, json!({"stead": {"reply": token}, "data": "once more"}));
    bench.hears(0, 0, &[r#"{"from":"shop.1","reply":"a"} -> 3"#]);
}

#[test]
fn questions_go_to_the_least_loaded_then_in_turn() {
    let mut bench = Bench::of(&[("shop", 3)]);
    let ask = json!({"stead": {"to": "any", "request": 1}});
    bench.says(0, 0, ask.clone());
    let first = bench.is_asked(0, 1);
    bench.says(0, 0, ask.clone());
    bench.is_asked(0, 2);
    bench.says(0, 1, json!({"stead": {"reply": first}}));
    bench.says(0, 0, ask.clone());
    bench.is_asked(0, 1);
    bench.says(0, 0, ask);
    bench.is_asked(0, 2);
}

#[test]
fn an_answer_may_be_an_error() {
    let mut bench = Bench::of(&[("shop", 2)]);
    for (error, expected) in [
        (json!({"code": "odd", "message": "no"}), r#"{"code":"odd","message":"no"}"#),
        (json!({"message": "no"}), r#"{"code":"failed","message":"no"}"#),
        (json!("no"), r#"{"code":"failed","message":"no"}"#),
        (json!(7), r#"{"code":"failed","message":"7"}"#),
    ] {
        bench.says(0, 0, json!({"stead": {"to": "any", "request": 5}}));
        let token = bench.is_asked(0, 1);
        bench.says(0, 1, json!({"stead": {"reply": token, "error": error}}));
        bench.hears(0, 0, &[&format!(r#"{{"error":{expected},"reply":5}}"#)]);
    }
}

#[test]
fn a_question_ends_with_its_time_or_with_its_receiver() {
    let mut bench = Bench::of(&[("shop", 3)]);
    bench.says(0, 0, json!({"stead": {"to": "shop.1", "request": 1, "timeout": 500}}));
    bench.says(0, 0, json!({"stead": {"to": "shop.2", "request": 2}}));
    let token = bench.is_asked(0, 1);
    bench.pass(Duration::from_millis(499));
    bench.hears(0, 0, &[]);
    bench.pass(Duration::from_millis(1));
    let late = r#"{"error":{"code":"timeout","message":"shop.1 did not answer in time"},"reply":1}"#;
    bench.hears(0, 0, &[late]);
    bench.says(0, 1, json!({"stead": {"reply": token}, "data": "late"}));
    bench.kill(0, 2);
    let gone =
        r#"{"error":{"code":"worker_gone","message":"shop.2 ended before it had answered"},"reply":2}"#;
    bench.hears(0, 0, &[gone]);
    assert_eq!(bench.board.poll_timeout(), None);
}

#[test]
fn a_worker_has_so_many_questions_under_way_and_no_more() {
    let mut bench = Bench::of(&[("shop", 2)]);
    for number in 0..4 {
        bench.says(0, 0, json!({"stead": {"to": "any", "request": number}}));
    }
    let heard = &bench.post.heard[&Member { app: 0, worker: 0 }];
    assert_eq!((heard.len(), &heard[0]["stead"]["error"]["code"]), (1, &json!("full")));
}

#[test]
fn somebody_outside_asks_and_is_answered() {
    let mut bench = Bench::of(&[("shop", 1)]);
    let ask = |bench: &mut Bench, call| {
        let to = Address::parse(&json!("shop")).unwrap();
        let post = Post { to, topic: None, include_self: false, data: json!("hi"), timeout: None };
        bench.act(|board, turn| board.call(&Sender::outside(), (post, call), turn)).unwrap();
    };
    ask(&mut bench, 1);
    let token = bench.is_asked(0, 0);
    bench.says(0, 0, json!({"stead": {"reply": token}, "data": "hello"}));
    assert_eq!(bench.post.answers.remove(0), (1, Ok(("shop.0".to_owned(), json!("hello")))));
    ask(&mut bench, 2);
    bench.board.hang_up(2);
    assert_eq!(bench.board.poll_timeout(), None, "nobody waits any more");
    ask(&mut bench, 3);
    bench.board.freeze(&mut bench.post);
    let (call, answer) = bench.post.answers.remove(0);
    let Fault { code, .. } = answer.unwrap_err();
    assert_eq!((call, code.as_str()), (3, "unavailable"));
}

#[test]
fn a_command_of_an_app_speaks_for_it() {
    let mut bench = Bench::of(&[("shop", 2)]);
    let mut send = |to: &str| {
        let to = Address::parse(&json!(to)).unwrap();
        let post = Post { to, topic: None, include_self: false, data: json!("deployed"), timeout: None };
        let sender = Sender::of_app(0, "shop".to_owned());
        bench.act(|board, turn| board.send(&sender, post, turn)).unwrap().receivers
    };
    assert_eq!((send("app"), send("any")), (2, 1));
    bench.hears(0, 1, &[r#"{"from":"shop"} -> "deployed""#]);
}

#[test]
fn what_is_under_way_survives_a_process_that_ends_in_order() {
    let mut bench = Bench::of(&[("shop", 2)]);
    bench.says(0, 0, json!({"stead": {"to": "any", "request": 1}}));
    let token = bench.is_asked(0, 1);
    bench.replace(true);
    bench.board.add_app(0, "shop", super::bench::LIMITS);
    bench.start(0, 0, 0);
    bench.start(0, 1, 1);
    bench.act(|board, turn| board.resumed(turn));
    bench.says(0, 1, json!({"stead": {"reply": token}, "data": 7}));
    bench.hears(0, 0, &[r#"{"from":"shop.1","reply":1} -> 7"#]);
}

#[test]
fn messages_of_the_last_moment_wait_for_the_next_process() {
    let mut bench = Bench::of(&[("shop", 2)]);
    bench.board.freeze(&mut bench.post);
    bench.says(0, 0, to("app", "last words"));
    bench.hears(0, 1, &[]);
    let note = bench.board.hand_over(bench.now);
    let crate::Note::HandedOver { parked, .. } = note else { panic!("{note:?}") };
    let mut next = Bench::of(&[("shop", 2)]);
    next.board.deliver_parked(parked, &mut next.post);
    next.hears(0, 1, &[r#"{"from":"shop.0"} -> "last words""#]);
}
