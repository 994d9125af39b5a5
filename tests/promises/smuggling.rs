//! "Whatever bytes somebody sends, my program sees the same requests that Stead saw, and other servers that stand before or
//! behind it see the same ones too."
//!
//! Each case of the corpus goes, byte for byte and with a second request behind it, to Stead, NGINX, HAProxy, Node.js and two chains
//! of them. What the last server has read is compared with what the first one answered, and with what the others let through.

mod corpus;
mod fronts;

use std::io;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Client, alone, get};
use corpus::{Case, Verdict};
use fronts::Front;

/// The request behind each case.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
/// Silence after which a server is taken to wait for more, and is shown that there is none.
const SILENCE: Duration = Duration::from_secs(1);
/// Between the records of two cases.
const MARK: &str = "/mark-between-two-cases";

/// What came of a case at one front.
struct Outcome {
    verdict: Verdict,
    /// Of the answers with 200: what the last server says that it read.
    answered: Vec<Value>,
    statuses: Vec<u16>,
    /// What the last server wrote down.
    read: Vec<Value>,
}

#[test]
fn no_request_is_framed_differently_behind_stead_than_in_front() {
    let _turn = alone();
    let cases = corpus::cases();
    let makers: [fn() -> Front; 6] = [
        fronts::stead,
        fronts::nginx,
        fronts::haproxy,
        fronts::node_http,
        fronts::stead_before_nginx,
        fronts::haproxy_before_stead,
    ];
    let outcomes: Vec<(Front, Vec<Outcome>)> = std::thread::scope(|scope| {
        let cases = &cases;
        let running = makers.map(|make| scope.spawn(move || all(make(), cases)));
        running.into_iter().map(|thread| thread.join().expect("a front answers")).collect()
    });
    let complaints: Vec<String> = (0..cases.len())
        .flat_map(|at| {
            let of_case: Vec<(&str, &Outcome)> =
                outcomes.iter().map(|(front, outcomes)| (front.name, &outcomes[at])).collect();
            judge(&cases[at], &of_case)
        })
        .collect();
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// Sends all cases to one front.
fn all(front: Front, cases: &[Case]) -> (Front, Vec<Outcome>) {
    let mut outcomes: Vec<Outcome> = cases
        .iter()
        .map(|case| {
            let outcome = exchange(&front, case);
            assert_eq!(get(front.port, MARK).status, 200, "{} after {}", front.name, case.name);
            outcome
        })
        .collect();
    let records = front.records();
    let mut parts = records.split(|record| target(record) == MARK);
    for outcome in &mut outcomes {
        outcome.read = parts.next().expect("a mark for each case").to_vec();
    }
    (front, outcomes)
}

fn exchange(front: &Front, case: &Case) -> Outcome {
    let mut client = Client::connect(front.port);
    client.set_patience(SILENCE);
    let mut bytes = case.bytes.clone();
    if !case.alone {
        bytes.extend_from_slice(NEXT.as_bytes());
    }
    // Who refuses early may have closed before all is sent.
    let _ = client.try_send(&bytes);
    let (mut statuses, mut answered, mut waits) = (Vec::new(), Vec::new(), false);
    loop {
        match client.try_answer(false) {
            Ok(answer) if answer.status < 200 => (),
            Ok(answer) => {
                statuses.push(answer.status);
                answered.extend((answer.status == 200).then(|| answer.json()));
            }
            Err(error) if is_silence(&error) && !waits => {
                waits = true;
                client.finish_sending();
            }
            Err(_) => break,
        }
    }
    let expected = if case.alone { 1 } else { 2 };
    let verdict = match &statuses[..] {
        _ if waits => Verdict::Waits,
        all if all.len() >= expected && all.iter().all(|status| *status == 200) => Verdict::Serves,
        _ => Verdict::Refuses,
    };
    Outcome { verdict, answered, statuses, read: Vec::new() }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// What is not as it has to be.
fn judge(case: &Case, outcomes: &[(&str, &Outcome)]) -> Vec<String> {
    let of = |name: &str| outcomes.iter().find(|(found, _)| *found == name).expect("it is a front").1;
    let stead = of("Stead");
    let mut complaints = Vec::new();
    if stead.verdict != case.stead {
        complaints.push(format!("Stead {:?} and not {:?}", stead.verdict, case.stead));
    }
    for (name, outcome) in outcomes.iter().filter(|(name, _)| name.contains("Stead")) {
        if outcome.answered != outcome.read {
            complaints.push(format!("{name}: answered is {:?}, read {:?}", outcome.answered, outcome.read));
        }
        complaints.extend(outcome.read.iter().filter_map(|record| malformed(name, record)));
    }
    for (name, outcome) in outcomes {
        let agreed = stead.read.len().min(outcome.read.len());
        if !stead.read[..agreed].iter().map(essence).eq(outcome.read[..agreed].iter().map(essence)) {
            complaints.push(format!("{name} read {:?}, Stead {:?}", outcome.read, stead.read));
        }
        let both_serve = stead.verdict == Verdict::Serves && outcome.verdict == Verdict::Serves;
        if both_serve && stead.read.len() != outcome.read.len() {
            complaints.push(format!("{name} read {:?}, Stead {:?}", outcome.read, stead.read));
        }
    }
    let others = [of("NGINX").verdict, of("HAProxy").verdict];
    let opposite = match stead.verdict {
        Verdict::Serves => others.iter().all(|verdict| *verdict != Verdict::Serves),
        Verdict::Refuses => others.iter().all(|verdict| *verdict == Verdict::Serves),
        Verdict::Waits => false,
    };
    if opposite && case.why.is_none() {
        complaints.push(format!("Stead {:?}, NGINX and HAProxy do not: say why", stead.verdict));
    }
    let statuses: Vec<_> = outcomes.iter().map(|(name, outcome)| (*name, &outcome.statuses)).collect();
    complaints.iter().map(|complaint| format!("{}: {complaint}; {statuses:?}", case.name)).collect()
}

/// What decides where a request begins and ends, and which it is.
fn essence(record: &Value) -> (&str, &str, &str) {
    let text = |key: &str| record[key].as_str().unwrap_or_default();
    (text("method"), target(record), text("body"))
}

/// Without scheme and authority, which some pass on and some do not.
fn target(record: &Value) -> &str {
    let target = record["target"].as_str().unwrap_or_default();
    match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    }
}

/// What must never come to a program behind Stead.
fn malformed(front: &str, record: &Value) -> Option<String> {
    if record.get("broken").is_some() {
        return Some(format!("{front}: the recorder got {record}"));
    }
    let names = record["names"].as_array().expect("a list of names").iter().filter_map(Value::as_str);
    // As a program sees them that makes variables of them.
    let framing = names.map(|name| name.replace('_', "-"));
    let count =
        framing.filter(|name| ["content-length", "transfer-encoding"].contains(&name.as_str())).count();
    (count > 1).then(|| format!("{front}: {count} fields frame {record}"))
}
