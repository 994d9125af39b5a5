//! "When more comes than my program can do, those who are served are served in time, and the others are told at once when to
//! come back."

use std::time::{Duration, Instant};

use crate::support::{Stead, alone, get, node, pause_between};

/// How a request was answered, and after how long.
struct Outcome {
    status: u16,
    retry_after: Option<u64>,
    took: Duration,
}

fn ask(port: u16) -> Outcome {
    let began = Instant::now();
    let answer = get(port, "/wait?ms=50");
    let retry_after = answer.header("retry-after").map(|seconds| seconds.parse().expect("whole seconds"));
    Outcome { status: answer.status, retry_after, took: began.elapsed() }
}

#[test]
fn overload_makes_nobody_late() {
    const CLIENTS: usize = 60;
    let _turn = alone();
    let plan = Stead::script(node("slow.js")).set("upstream_connections_max", "1");
    let stead = plan.set("queue_wait_max", "1s").start();
    let port = stead.port;
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let client = || {
            let start = Instant::now();
            let mut outcomes = Vec::new();
            while start.elapsed() < Duration::from_secs(5) {
                // At first nobody can know how fast the program is.
                let is_known = start.elapsed() > Duration::from_secs(2);
                let outcome = ask(port);
                if outcome.status == 503 {
                    pause_between(Duration::from_millis(100));
                }
                outcomes.extend(is_known.then_some(outcome));
            }
            outcomes
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().expect("it asks to the end")).collect()
    });
    let (served, refused): (Vec<&Outcome>, Vec<&Outcome>) =
        outcomes.iter().partition(|outcome| outcome.status == 200);
    assert!(refused.iter().all(|outcome| outcome.status == 503 && outcome.retry_after >= Some(1)));
    let slowest =
        |outcomes: &[&Outcome]| outcomes.iter().map(|outcome| outcome.took).max().unwrap_or_default();
    assert!(!refused.is_empty(), "sixty clients of a program that answers twenty a second");
    assert!(slowest(&refused) < Duration::from_secs(1), "{:?}", slowest(&refused));
    // Twice the limit: the pace of a busy machine changes meanwhile.
    assert!(served.len() > 30 && slowest(&served) < Duration::from_secs(2), "{:?}", slowest(&served));
}
