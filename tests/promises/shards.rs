//! "All requests of one room go to one worker. I can see which, and adding workers moves no more rooms than it must."

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::support::stead::Plan;
use crate::support::{Client, Stead, alone, beside, get, node};

fn plan(workers: u32) -> Plan {
    Stead::script(node("slot.js")).instances(workers).set("shard", "query:room")
}

/// Which slot each room goes to.
fn rooms(port: u16) -> HashMap<u32, u64> {
    (0..60)
        .map(|room| (room, get(port, &format!("/?room={room}")).json()["slot"].as_u64().expect("a number")))
        .collect()
}

/// What `stead shards` says.
fn told(stead: &Stead, words: &[&str]) -> serde_json::Value {
    let finished = stead.verb(&[&["shards", "slot", "--json"], words].concat());
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

#[test]
fn a_room_goes_to_the_worker_that_the_table_names() {
    let _turn = beside();
    let stead = plan(3).start();
    let rooms = rooms(stead.port);
    for room in [0, 7, 31] {
        assert_eq!(told(&stead, &[&room.to_string()])["owner"].as_u64(), Some(rooms[&room]));
    }
    let table = told(&stead, &[]);
    let slots = table["slots"].as_array().expect("a list");
    assert_eq!(slots.len(), 3);
    let pids: Vec<u64> = slots.iter().filter_map(|slot| slot["pid"].as_u64()).collect();
    assert_eq!(pids.len(), 3, "{table}");
    let shares: f64 = slots.iter().filter_map(|slot| slot["share"].as_f64()).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{table}");
}

#[test]
fn scaling_moves_only_what_it_must_and_back() {
    let _turn = beside();
    let stead = plan(3).start();
    let before = rooms(stead.port);
    assert_eq!(stead.verb(&["scale", "4"]).code, Some(0));
    stead.wait_complete();
    let after = rooms(stead.port);
    let moved: Vec<u32> = before.keys().filter(|room| before[room] != after[room]).copied().collect();
    assert!(moved.iter().all(|room| after[room] == 3), "what moves goes to the new worker");
    assert!((5..=28).contains(&moved.len()), "about a quarter of 60 moves: {}", moved.len());
    assert_eq!(stead.verb(&["scale", "3"]).code, Some(0));
    stead.wait_complete();
    assert_eq!(rooms(stead.port), before);
}

#[test]
fn a_room_whose_worker_computes_waits_and_others_do_not() {
    let _turn = alone();
    let stead = plan(2).start();
    let rooms = rooms(stead.port);
    let room_of =
        |slot: u64| *rooms.iter().find(|(_, owner)| **owner == slot).expect("each slot has rooms").0;
    let begun = Instant::now();
    let mut busy = Client::connect(stead.port);
    busy.send(format!("GET /block?ms=3000&room={} HTTP/1.1\r\nHost: test\r\n\r\n", room_of(0)));
    // Many that wait for the one do not hold up those for the other, who came after them.
    let mut waiting: Vec<Client> = (0..20).map(|_| Client::connect(stead.port)).collect();
    for client in &mut waiting {
        client.send(format!("GET /?room={} HTTP/1.1\r\nHost: test\r\n\r\n", room_of(0)));
    }
    for _ in 0..20 {
        assert_eq!(get(stead.port, &format!("/?room={}", room_of(1))).json()["slot"], 1);
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "nobody waited for the other slot");
    assert_eq!(busy.answer().json()["slot"], 0);
    for client in &mut waiting {
        assert_eq!(client.answer().json()["slot"], 0);
    }
}

#[test]
fn an_app_without_shards_says_so() {
    let _turn = beside();
    let stead = Stead::script(node("slot.js")).instances(1).start();
    let finished = stead.verb(&["shards", "slot"]);
    assert!(finished.code != Some(0) && finished.stderr.contains("app `slot` has no shards"), "{finished:?}");
}
