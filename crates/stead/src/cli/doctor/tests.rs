//! What a person reads, and what scripts can rely on.

use super::examine;
use super::finding::{Finding, Findings, Verdict};
use crate::cli::test_support::directory;
use stead_control::Home;

/// The verdict, and a part of what is said. Whatever is bad comes with something to do.
#[track_caller]
pub(super) fn check(finding: &Finding, verdict: Verdict, text: &str) {
    assert!(finding.verdict == verdict && finding.text.contains(text), "{finding:?}");
    assert!(
        verdict < Verdict::Warning
            || finding.advice.is_some()
            || text.contains("fails")
            || finding.text.contains("fails"),
        "{finding:?}"
    );
}

fn findings() -> Findings {
    let mut all = Findings::default();
    all.extend([
        Finding::new("home", Verdict::Ok, "/srv/stead can be written"),
        Finding::new("disk", Verdict::Failure, "1.0 MiB are free").advice("make room"),
        Finding::new("saved", Verdict::Warning, "what runs is not kept over a reboot").advice("stead save"),
        Finding::new("node", Verdict::Note, "no `node` in PATH"),
    ]);
    all
}

#[test]
fn findings_are_readable() {
    insta::assert_snapshot!("text", findings().text());
    let json = findings().json().replace(env!("CARGO_PKG_VERSION"), "[version]");
    insta::assert_snapshot!("json", json);
}

#[tokio::test]
async fn a_quiet_machine_has_no_failures_of_ours() {
    let (folder, directory) = directory();
    let home = Home::of(|name| (name == "STEAD_HOME").then(|| folder.path().join("home").into()));
    let found = examine(&home, &directory).await;
    let json: serde_json::Value = serde_json::from_str(&found.json()).unwrap();
    let names: Vec<&str> = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["check"].as_str().unwrap())
        .collect();
    for name in [
        "home",
        "disk",
        "runtime",
        "daemon",
        "leftovers",
        "saved",
        "startup",
        "kernel",
        "open files",
        "cgroup",
        "ports",
        "clock",
        "node",
        "python",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert!(!folder.path().join("home").exists(), "looking changes nothing");
}
