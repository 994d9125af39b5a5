//! "One value, the same in all my workers: whoever sets it, all hear it, those that start later too; and it is still there when a worker,
//! or Stead's own daemon, has died."

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::processes::kill;
use crate::support::{Stead, Talk, beside, eventually, node};

const BACK: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_value_reaches_everybody_now_and_later_and_outlives_the_daemon() {
    let _turn = beside();
    let (stead, talk) = Talk::start(Stead::script(node("talker.js")).instances(2));
    let shared = |version| json!({"shared": "users", "version": version});
    talk.say(0, &json!({"stead": {"set": "users", "id": 1}, "data": 41}));
    talk.wait_for("talker.0", &shared(1), &json!(41));
    talk.wait_for("talker.1", &shared(1), &json!(41));
    talk.wait_for("talker.0", &json!({"ack": 1, "version": 1}), &Value::Null);
    talk.say(1, &json!({"stead": {"set": "users", "if_version": 1}, "data": 42}));
    talk.wait_for("talker.0", &shared(2), &json!(42));
    assert_eq!(stead.verb(&["scale", "talker", "3"]).code, Some(0));
    talk.wait_for("talker.2", &shared(2), &json!(42));
    assert!(!talk.heard().iter().any(|heard| heard.who == "talker.2" && heard.message["data"] == 41));
    let before = stead.wait_complete();
    kill(before.daemon_pid());
    stead.wait_status("a new daemon serves", BACK, |status| {
        status.daemon_pid() != before.daemon_pid() && status.is_complete()
    });
    let kept = talk.ask("GET", "/v1/apps/talker/shared/users", &Value::Null);
    assert_eq!((kept.text().as_str(), kept.header("etag")), ("42", Some("\"2\"")));
    talk.say(2, &json!({"stead": {"set": "users"}, "data": 43}));
    talk.wait_for("talker.0", &shared(3), &json!(43));
    stead.reload();
    let late =
        talk.heard().into_iter().rfind(|heard| heard.who == "talker.0").expect("it has heard something");
    assert_eq!(late.message, json!({"stead": {"shared": "users", "version": 3}, "data": 43}));
}

#[test]
fn values_can_be_seen_and_set_on_the_command_line() {
    let _turn = beside();
    let (stead, talk) = Talk::start(Stead::script(node("talker.js")));
    let done = |words: &[&str]| {
        let finished = stead.verb(words);
        assert_eq!(finished.code, Some(0), "{words:?}: {finished:?}");
        finished.stdout
    };
    done(&["shared", "talker", "prices", "{\"tea\": 3}"]);
    talk.wait_for("talker.0", &json!({"shared": "prices", "version": 1}), &json!({"tea": 3}));
    assert_eq!(done(&["shared", "talker"]), "name    version  value\nprices        1  {\"tea\":3}");
    assert_eq!(done(&["shared", "talker", "prices"]), "{\n  \"tea\": 3\n}");
    let all: Value = serde_json::from_str(&done(&["shared", "talker", "--json"])).expect("it is JSON");
    assert_eq!(all, json!({"prices": {"version": 1, "data": {"tea": 3}}}));
    done(&["shared", "talker", "prices", "--unset"]);
    talk.wait_for("talker.0", &json!({"shared": "prices", "version": 2, "gone": true}), &Value::Null);
    let missing = stead.verb(&["shared", "talker", "prices"]);
    assert!(
        missing.code == Some(1) && missing.stderr.contains("has no shared value `prices`"),
        "{missing:?}"
    );
    let mistake = stead.verb(&["shared", "talker", "prices", "tea"]);
    assert!(mistake.code == Some(2) && mistake.stderr.contains("the value is not JSON"), "{mistake:?}");
}

#[test]
fn a_command_computes_a_value_once_for_all_workers() {
    let _turn = beside();
    let plan = Stead::script(node("talker.js")).instances(4);
    let runs = plan.directory().join("runs");
    let broken = plan.directory().join("broken");
    let (runs_at, broken_at) = (runs.display(), broken.display());
    let command = format!(
        "echo run >> {runs_at}; test ! -e {broken_at} || {{ echo no database >&2; exit 3; }}; wc -l < {runs_at}"
    );
    let shared = format!("{{ usersCount = {{ command = {command:?}, every = \"300ms\" }} }}");
    let (stead, talk) = Talk::start(plan.set("shared", &shared));
    for slot in 0..4 {
        let who = format!("talker.{slot}");
        talk.wait("all hear the fourth result", |heard| heard.who == who && heard.message["data"] == 4);
    }
    let count = || std::fs::read_to_string(&runs).unwrap_or_default().lines().count();
    let heard =
        talk.heard().into_iter().filter_map(|heard| heard.message["data"].as_u64()).max().unwrap_or(0);
    assert!(count() as u64 <= heard + 2, "{} runs for {heard} values: not once for each worker", count());
    std::fs::write(&broken, "").expect("there is room");
    let told = |line: &str| {
        (line.contains("`usersCount` was not computed") && line.contains("no database")).then_some(())
    };
    stead.output.wait_for("the failure is told", PATIENCE, told);
    let last = talk.ask("GET", "/v1/apps/talker/shared/usersCount", &Value::Null).json();
    assert!(last.as_u64() >= Some(4), "the last value stays: {last}");
    std::fs::remove_file(&broken).expect("it is there");
    eventually("it is computed again", PATIENCE, || {
        let value = talk.ask("GET", "/v1/apps/talker/shared/usersCount", &Value::Null).json();
        (value.as_u64() > last.as_u64()).then_some(())
    });
}
