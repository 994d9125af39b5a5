//! Shared values: everybody has the last one.

use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, LIMITS};

const RETRY: Duration = Duration::from_millis(20);

#[test]
fn a_value_reaches_all_workers_and_those_that_come_later() {
    let mut bench = Bench::of(&[("shop", 2), ("api", 1)]);
    bench.says(0, 0, json!({"stead": {"set": "users", "id": 1}, "data": 7}));
    let users = r#"{"shared":"users","version":1} -> 7"#;
    bench.hears(0, 0, &[users, r#"{"ack":1,"version":1}"#]);
    bench.hears(0, 1, &[users]);
    bench.hears(1, 0, &[]);
    bench.start(0, 2, 2);
    bench.hears(0, 2, &[users]);
    bench.says(0, 2, json!({"stead": {"unset": "users"}}));
    bench.hears(0, 0, &[r#"{"gone":true,"shared":"users","version":2}"#]);
    bench.says(0, 0, json!({"stead": {"get": "users", "id": 2}}));
    bench.hears(0, 0, &[r#"{"ack":2,"version":0}"#]);
}

#[test]
fn a_value_that_is_null_is_a_value() {
    let mut bench = Bench::of(&[("shop", 1)]);
    bench.says(0, 0, json!({"stead": {"set": "a"}, "data": null}));
    bench.replace(false);
    bench.board.add_app(0, "shop", LIMITS);
    bench.start(0, 0, 0);
    bench.hears(0, 0, &[r#"{"shared":"a","version":1} -> null"#]);
}

#[test]
fn a_slow_worker_gets_the_last_value_only() {
    let mut bench = Bench::of(&[("shop", 2)]);
    bench.stall(0, 1);
    for number in 0..100 {
        bench.says(0, 0, json!({"stead": {"set": "n"}, "data": number}));
    }
    bench.hears(0, 1, &[r#"{"shared":"n","version":1} -> 0"#]);
    bench.pass(RETRY);
    bench.hears(0, 1, &[]);
    bench.read(0, 1);
    bench.pass(RETRY);
    bench.hears(0, 1, &[r#"{"shared":"n","version":100} -> 99"#]);
    bench.pass(RETRY);
    assert_eq!(bench.board.poll_timeout(), None, "nobody is owed anything");
}

#[test]
fn a_worker_that_always_has_something_waiting_gets_a_value_now_and_then() {
    let mut bench = Bench::of(&[("shop", 2)]);
    bench.stall(0, 1);
    bench.says(0, 0, json!({"stead": {"to": "app"}}));
    bench.says(0, 0, json!({"stead": {"set": "n"}, "data": 1}));
    for _ in 0..49 {
        bench.pass(RETRY);
    }
    bench.hears(0, 1, &[r#"{"from":"shop.0"} -> null"#]);
    bench.pass(RETRY);
    bench.pass(RETRY);
    bench.hears(0, 1, &[r#"{"shared":"n","version":1} -> 1"#]);
}

#[test]
fn a_change_on_a_condition_that_does_not_hold_is_a_conflict() {
    let mut bench = Bench::of(&[("shop", 1)]);
    bench.says(0, 0, json!({"stead": {"set": "a", "if_version": 0, "id": 1}, "data": 1}));
    bench.says(0, 0, json!({"stead": {"set": "a", "if_version": 0, "id": 2}, "data": 2}));
    let conflict =
        r#"{"ack":2,"error":{"code":"conflict","message":"shared value `a` has version 1, and not 0"}}"#;
    bench.hears(0, 0, &[r#"{"shared":"a","version":1} -> 1"#, r#"{"ack":1,"version":1}"#, conflict]);
}

#[test]
fn values_and_versions_outlive_the_process() {
    let mut bench = Bench::of(&[("shop", 1)]);
    for name in ["a", "b"] {
        bench.says(0, 0, json!({"stead": {"set": name}, "data": name}));
    }
    bench.says(0, 0, json!({"stead": {"unset": "b"}}));
    for in_order in [false, true] {
        bench.replace(in_order);
        bench.board.add_app(0, "shop", LIMITS);
        bench.post.heard.clear();
        bench.start(0, 0, 0);
        bench.hears(0, 0, &[r#"{"shared":"a","version":1} -> "a""#]);
    }
    bench.says(0, 0, json!({"stead": {"set": "b"}, "data": 1}));
    bench.hears(0, 0, &[r#"{"shared":"b","version":4} -> 1"#]);
}

#[test]
fn an_app_that_is_gone_leaves_nothing() {
    let mut bench = Bench::of(&[("shop", 1)]);
    bench.says(0, 0, json!({"stead": {"set": "a"}, "data": 1}));
    bench.board.remove_app(0, &mut bench.post);
    assert_eq!(bench.board.notes(), []);
    bench.replace(false);
    assert_eq!(bench.board.notes(), []);
}
