//! Copies of `with-sdk.js` or `with_sdk.py`, asked what they know of each other.

use serde_json::Value;

use super::processes::kill;
use super::waiting::eventually;
use super::{Stead, get};
use std::time::Duration;

/// For what needs the daemon and several workers, on a loaded machine.
const LIMIT: Duration = Duration::from_secs(20);
/// Copies, each in its slot.
pub(crate) const COPIES: u32 = 3;

/// What a path of the program answers.
#[track_caller]
pub(crate) fn ask(stead: &Stead, path: &str) -> Value {
    get(stead.port, path).json()
}

/// What each copy says of itself.
#[track_caller]
fn states(stead: &Stead) -> Vec<Value> {
    (0..COPIES).map(|slot| ask(stead, &format!("/state/shop.{slot}"))).collect()
}

/// Looks at all copies until `is_true`.
#[track_caller]
fn wait(stead: &Stead, what: &str, is_true: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    eventually(what, LIMIT, || Some(states(stead)).filter(|states| is_true(states)))
}

fn leaders(states: &[Value]) -> Vec<usize> {
    (0..states.len()).filter(|slot| states[*slot]["held"] == true).collect()
}

/// Messages reach all others, values reach all, also one that comes later, and there is one leader, also after its death.
#[track_caller]
pub(crate) fn they_talk(stead: &Stead) {
    wait(stead, "every copy answers for itself, and one leads", |states| {
        let named = |(slot, state): (usize, &Value)| state["me"] == format!("shop.{slot}");
        states.iter().enumerate().all(named) && leaders(states).len() == 1
    });
    assert_eq!(ask(stead, "/broadcast"), serde_json::json!({ "receivers": 2, "dropped": 0 }));
    wait(stead, "all others have heard it", |states| {
        states.iter().map(|state| state["heard"].as_u64().unwrap_or(0)).sum::<u64>() == 2
    });
    assert!(ask(stead, "/set/7").as_u64().is_some_and(|version| version > 0));
    let all_have = |states: &[Value]| states.iter().all(|state| state["value"] == 7);
    let before = wait(stead, "all have the value", all_have);

    let led = leaders(&before)[0];
    let workers = stead.status().workers();
    let worker = workers.iter().find(|worker| worker.slot == led as u64).expect("it is there");
    kill(worker.pid);
    stead.wait_status("the leader is replaced", LIMIT, |status| {
        status.is_complete() && !status.ready_pids().contains(&worker.pid)
    });
    let after = wait(stead, "one leads, and the late one has the value too", |states| {
        leaders(states).len() == 1 && all_have(states)
    });
    let next = leaders(&after)[0];
    assert!(after[next]["term"].as_u64() > before[led]["term"].as_u64(), "{after:?}");

    assert_eq!(ask(stead, "/state/shop.9")["code"], "no_receiver");
    assert_eq!(ask(stead, "/task/none/1")["code"], "unknown_pool");
}
