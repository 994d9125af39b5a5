//! "I start an example as its first lines say, and it does what they say."

use std::time::Duration;

use crate::support::stead::Plan;
use crate::support::{Client, Stead, beside, fixture, get, soon};

const LIMIT: Duration = Duration::from_secs(30);

fn example(name: &str) -> Plan {
    let file = fixture(&format!("../../examples/{name}/stead.toml"));
    Stead::plan([] as [&str; 0]).option("--config", file).plain()
}

#[test]
fn compute_answers_others_while_a_long_sum_runs() {
    let _turn = beside();
    let stead = example("compute").start();
    let mut slow = Client::connect(stead.port);
    slow.set_patience(LIMIT);
    slow.send("GET /compute?count=2000000000 HTTP/1.1\r\nHost: t\r\n\r\n");
    for _ in 0..3 {
        assert_eq!(get(stead.port, "/").text(), "ok\n");
    }
    assert_eq!(get(stead.port, "/compute?count=5").text(), "10\n", "the other worker of the pool is free");
    slow.expect_silence(Duration::from_millis(1));
    assert_eq!(slow.answer().text(), "1999999998067114000\n");
    assert_eq!(get(stead.port, "/compute?count=10").text(), "45\n");
}

#[test]
fn users_are_counted_once_per_period_for_eight_workers() {
    let _turn = beside();
    let stead = example("users-count").env("EVERY", 600_000).start();
    // Enough requests to meet most of the eight.
    let answers = || (0..50).map(|_| get(stead.port, "/").text()).collect::<std::collections::BTreeSet<_>>();
    soon("all have the same count", || {
        let answers = answers();
        answers.len() == 1 && !answers.contains("users: not counted yet\n")
    });
    let asked = stead.output.lines().iter().filter(|line| line.contains("asking the database")).count();
    assert_eq!(asked, 1);
}

#[test]
fn pictures_are_made_by_a_pool() {
    let _turn = beside();
    let stead = example("task-pool").start();
    let picture = get(stead.port, "/?width=80&to=8").text();
    let rows: Vec<&str> = picture.lines().collect();
    assert_eq!((rows.len(), rows[0].len()), (8, 8), "{picture}");
    assert!(rows[0].starts_with(' ') && rows[4].starts_with('%') | rows[4].starts_with('@'), "{picture}");
    stead.output.wait_for("progress is told", LIMIT, |line| line.contains("100 %").then_some(()));
}

#[test]
fn a_pipeline_of_two_languages_counts_words() {
    let _turn = beside();
    let stead = example("pipeline").launch();
    let find = |line: &str| line.contains("stead: 200, of: 200, words: ").then_some(());
    stead.output.wait_for("the result is printed", LIMIT, find);
}
