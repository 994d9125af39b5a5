//! Who leads, as workers hear it. That it is never two at once, whatever happens, is for the simulation.

use serde_json::json;

use super::bench::{Bench, LIMITS};
use crate::Member;

const LEADS: &str = r#"{"leader":true,"term":1,"who":"shop.0"}"#;
const FOLLOWS: &str = r#"{"leader":false,"term":1,"who":"shop.0"}"#;

fn candidates(count: u64) -> Bench {
    let mut bench = Bench::of(&[("shop", 3)]);
    for worker in 0..count {
        bench.says(0, worker, json!({"stead": {"candidate": true}}));
    }
    bench
}

#[test]
fn one_candidate_leads_and_all_are_told() {
    let mut bench = candidates(2);
    bench.hears(0, 0, &[LEADS]);
    bench.hears(0, 1, &[FOLLOWS]);
    bench.hears(0, 2, &[]);
    bench.says(0, 1, json!({"stead": {"to": "leader"}, "data": 1}));
    bench.hears(0, 0, &[r#"{"from":"shop.1"} -> 1"#]);
}

#[test]
fn when_the_leader_dies_the_next_is_told_at_once() {
    let mut bench = candidates(3);
    bench.hears(0, 2, &[FOLLOWS]);
    bench.kill(0, 0);
    bench.hears(0, 2, &[r#"{"leader":true,"term":2,"who":"shop.2"}"#]);
    bench.hears(0, 1, &[FOLLOWS, r#"{"leader":false,"term":2,"who":"shop.2"}"#]);
}

#[test]
fn a_leader_that_is_to_end_lets_go_before_the_next_is_told() {
    let mut bench = candidates(2);
    bench.hears(0, 0, &[LEADS]);
    bench.hears(0, 1, &[FOLLOWS]);
    bench.act(|board, turn| board.leave(Member { app: 0, worker: 0 }, turn));
    bench.hears(0, 0, &[r#"{"leader":false,"term":1,"who":null}"#]);
    bench.hears(0, 1, &[]);
    bench.says(0, 0, json!({"stead": {"released": 1, "id": "x"}}));
    bench.hears(0, 1, &[r#"{"leader":true,"term":2,"who":"shop.1"}"#]);
    bench.says(0, 0, json!({"stead": {"released": 1, "id": "y"}}));
    let not = r#"{"ack":"y","error":{"code":"not_leader","message":"shop.0 does not lead in term 1"}}"#;
    bench.hears(0, 0, &[r#"{"leader":false,"term":2,"who":"shop.1"}"#, r#"{"ack":"x"}"#, not]);
}

#[test]
fn the_role_stays_where_it_is_when_the_process_that_gave_it_dies() {
    let mut bench = candidates(2);
    bench.replace(false);
    bench.board.add_app(0, "shop", LIMITS);
    bench.post.heard.clear();
    for worker in [1, 0] {
        bench.start(0, worker as u32, worker);
    }
    bench.act(|board, turn| board.resumed(turn));
    bench.hears(0, 0, &[LEADS]);
    let (holder, term) = bench.board.leader(0).unwrap();
    assert_eq!((holder, term), (Some(Member { app: 0, worker: 0 }), 1));
}

#[test]
fn a_leader_that_died_meanwhile_is_followed_by_another() {
    let mut bench = candidates(2);
    bench.replace(false);
    bench.board.add_app(0, "shop", LIMITS);
    bench.post.heard.clear();
    bench.start(0, 1, 1);
    bench.hears(0, 1, &[r#"{"leader":false,"term":1,"who":null}"#]);
    bench.act(|board, turn| board.resumed(turn));
    bench.hears(0, 1, &[r#"{"leader":true,"term":2,"who":"shop.1"}"#]);
}

#[test]
fn those_that_speak_are_told_after_the_death_of_the_process() {
    let mut bench = candidates(1);
    bench.replace(false);
    bench.board.add_app(0, "shop", LIMITS);
    bench.post.heard.clear();
    for worker in [0, 1] {
        let member = Member { app: 0, worker };
        bench.board.join(member, worker as u32);
        bench.post.heard.insert(member, Vec::new());
        bench.act(|board, turn| board.open(member, true, turn));
    }
    bench.hears(0, 0, &[r#"{"resumed":true}"#, LEADS]);
    bench.hears(0, 1, &[]);
}
