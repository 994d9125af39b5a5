//! The keys about messages and shared values: what is read from them, and every way in which they are wrong.

use super::*;
use crate::config::{MessageSettings, SharedCommand};
use std::fmt::Write;
use std::time::Duration;

fn app(lines: &str) -> String {
    format!("[app.shop]\ncommand = \"gunicorn api:app\"\n{lines}\n")
}

fn read(lines: &str) -> MessageSettings {
    load_file(&folder(), &app(lines), "").unwrap().apps.remove(0).messages
}

#[test]
fn a_shared_value_has_a_command_and_a_period() {
    let text = "message_queue_max = 5\n[app.shop.shared.users]\ncommand = 'count'\nevery = '10s'";
    let shared = vec![SharedCommand {
        name: "users".to_owned(),
        command: "count".to_owned(),
        every: Duration::from_secs(10),
        timeout: Duration::from_secs(60),
    }];
    assert_eq!(read(text), MessageSettings { queue_max: 5, shared, ..read("") });
}

#[test]
fn states_of_older_versions_have_the_defaults() {
    let settings = load_file(&folder(), &app(""), "").unwrap().apps.remove(0);
    let mut written = serde_json::to_value(&settings).unwrap();
    written.as_object_mut().unwrap().remove("messages");
    let read: crate::config::AppSettings = serde_json::from_value(written).unwrap();
    assert_eq!(read.messages, settings.messages);
}

#[test]
fn every_mistake_is_explained() {
    let folder = folder();
    let mut text = String::new();
    for line in [
        "message_bytes_max = '0B'",
        "message_queue_max = 0",
        "shared = 'users'",
        "shared.users = 'count'",
        "shared.users.command = 'count'",
        "shared.users.every = '1s'",
        "shared.users = { command = ' ', every = '1s' }",
        "shared.users = { command = 'count', every = 1 }",
        "shared.users = { command = 'count', evry = '1s' }",
    ] {
        let error = load_file(&folder, &app(line), "").unwrap_err();
        writeln!(text, "--- {line}\n{}", report(&folder, &error)).unwrap();
    }
    insta::assert_snapshot!("messages_errors", text);
}
