//! The keys that say to which worker a request goes: what is read from them, and every way in which they are wrong.

use super::*;
use crate::config::ChoosingSettings;
use std::fmt::Write;

fn app(lines: &[&str]) -> String {
    format!("[app.shop]\ncommand = \"gunicorn api:app\"\n{}\n", lines.join("\n"))
}

fn read(lines: &[&str]) -> ChoosingSettings {
    load_file(&folder(), &app(lines), "").unwrap().apps.remove(0).choosing
}

#[test]
fn what_is_written_is_read_and_little_is_on_by_itself() {
    let lines = [
        "weights = [3, 1]",
        "priorities = [0, 0, 1]",
        "shard = 'query:room'",
        "sticky = true",
        "eject_failures = 'off'",
        "eject_slower = 4",
    ];
    let expected = ChoosingSettings {
        weights: vec![3, 1],
        priorities: vec![0, 0, 1],
        shard: Some("query:room".parse().unwrap()),
        sticky: true,
        eject_failures: None,
        eject_slower: Some(4.0),
    };
    assert_eq!(read(&lines), expected);
    assert_eq!(read(&[]), ChoosingSettings { eject_failures: Some(5), ..ChoosingSettings::default() });
}

#[test]
fn states_of_older_versions_have_none_of_it() {
    let settings = load_file(&folder(), &app(&["sticky = true"]), "").unwrap().apps.remove(0);
    let mut written = serde_json::to_value(&settings).unwrap();
    written.as_object_mut().unwrap().remove("choosing");
    let read: crate::config::AppSettings = serde_json::from_value(written).unwrap();
    assert_eq!(read.choosing, ChoosingSettings::default());
}

#[test]
fn every_mistake_is_explained() {
    let folder = folder();
    let mut text = String::new();
    for line in [
        "weights = [0]",
        "weights = ['heavy']",
        "priorities = [-1]",
        "shard = 'cookies:id'",
        "shard = 'path:0'",
        "sticky = 'connect.sid'",
        "eject_failures = 0",
        "eject_slower = 1",
        "balance = 'random'",
    ] {
        let error = load_file(&folder, &app(&[line]), "").unwrap_err();
        writeln!(text, "--- {line}\n{}", report(&folder, &error)).unwrap();
    }
    insta::assert_snapshot!("choosing_errors", text);
}
