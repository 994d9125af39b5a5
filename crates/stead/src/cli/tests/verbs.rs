//! Reload, stop, scale and status against fake instances.

use crate::cli::exit_code::ExitCode;
use crate::cli::output::Output;
use crate::cli::reload::reload;
use crate::cli::scale::scale;
use crate::cli::status::status;
use crate::cli::stop::stop;
use crate::cli::test_support::{Instance, Printed, directory};
use crate::cli::{Command, CommandLine, session};
use clap::Parser;
use std::fmt::Write;
use stead_control::{Progress, RuntimeDirectory, Status};

/// Carries out a line; gives what it printed and how it ended.
async fn execute(line: &str, directory: &RuntimeDirectory, live: bool) -> (String, ExitCode) {
    let printed = Printed::default();
    let mut output: Output = printed.output(live);
    let words = format!("stead {line}");
    let result = match CommandLine::try_parse_from(words.split_whitespace()).unwrap().command {
        Command::Reload(arguments) => reload(&arguments, directory, &mut output).await,
        Command::Stop(arguments) => stop(&arguments, directory, &mut output).await,
        Command::Scale(arguments) => scale(&arguments, directory, &mut output).await,
        Command::Status(arguments) => status(&arguments, directory, &mut output).await,
        other => panic!("{other:?}"),
    };
    let code = session::finish(result, &mut output);
    (printed.text(), code)
}

/// A snapshot of several lines, each with its text and code; pids and paths taken out.
async fn transcript(name: &str, lines: &[&str], directory: &RuntimeDirectory, pids: &[u32]) {
    let mut all = String::new();
    for line in lines {
        let (text, code) = execute(line, directory, false).await;
        write!(all, "$ stead {line}\n{text}(exit code {})\n\n", u8::from(code)).unwrap();
    }
    all = all.replace(directory.path().to_str().unwrap(), "<run>");
    for (index, pid) in pids.iter().enumerate() {
        all = all.replace(&pid.to_string(), &format!("<pid {index}>"));
    }
    insta::assert_snapshot!(name, all);
}

fn step(done: u32) -> Progress {
    Progress::Step { app: "shop".to_owned(), done, of: 2 }
}

#[tokio::test]
async fn verbs_without_an_instance_say_so() {
    let (_folder, directory) = directory();
    let lines = [
        "status",
        "reload",
        "stop",
        "scale 2",
        "status --pid 7",
        "status --socket /nonexistent.sock",
        "scale few",
    ];
    transcript("nothing_running", &lines, &directory, &[]).await;
}

#[tokio::test]
async fn the_only_instance_needs_no_name() {
    let (_folder, directory) = directory();
    let instance = Instance::start(&directory, |_| ());
    let pid = instance.operator.status.keeper_pid;
    let lines =
        ["status", "status shop", "status shpo", "scale shop 4", "scale shop +1", "scale 2", "scale shpo 2"];
    transcript("one_instance", &lines, &directory, &[pid]).await;
    assert_eq!(instance.asked(), ["scale shop 4", "scale shop 3", "scale shpo 2"]);
}

#[tokio::test]
async fn json_is_the_status_itself() {
    let (_folder, directory) = directory();
    let instance = Instance::start(&directory, |_| ());
    let (text, code) = execute("status --json", &directory, true).await;
    let parsed: Status = serde_json::from_str(&text).unwrap();
    assert_eq!((parsed, code), (instance.operator.status.clone(), ExitCode::Ok));
}

#[tokio::test]
async fn a_reload_is_followed_to_its_end() {
    let (_folder, directory) = directory();
    let instance = Instance::start(&directory, |operator| {
        operator.steps = vec![step(0), step(1), step(2), Progress::Done { apps: vec!["shop".to_owned()] }];
    });
    let (text, code) = execute("reload", &directory, false).await;
    let lines: Vec<&str> = text.lines().collect();
    let steps =
        ["shop: 0 of 2 workers replaced", "shop: 1 of 2 workers replaced", "shop: 2 of 2 workers replaced"];
    assert_eq!((&lines[..3], code), (&steps[..], ExitCode::Ok));
    assert!(lines[3].starts_with("reloaded shop in 0."), "{text}");
    let (text, code) = execute("reload shop", &directory, true).await;
    assert!(text.starts_with("\rshop: 0 of 2 workers replaced\u{1b}[K\rshop: 1 of 2"), "{text:?}");
    assert!(text.contains("\r\u{1b}[Kreloaded shop in 0."), "{text:?}");
    assert_eq!(code, ExitCode::Ok);
    let (text, _) = execute("reload --json shop", &directory, true).await;
    assert_eq!(text.lines().next(), Some(r#"{"app":"shop","done":0,"of":2,"type":"step"}"#));
    assert_eq!(text.lines().count(), 4);
    assert_eq!(instance.asked(), ["reload None", "reload Some(\"shop\")", "reload Some(\"shop\")"]);
}

#[tokio::test]
async fn a_failed_reload_says_what_still_runs() {
    let failed = |done, hint: Option<&str>| Progress::Failed {
        app: "shop".to_owned(),
        reason: "worker `shop.1` exited with code 1 before it was ready".to_owned(),
        hint: hint.map(str::to_owned),
        done,
        of: 4,
    };
    let cases = [
        vec![step(0), failed(0, Some("its last words: SyntaxError: Unexpected token"))],
        vec![failed(1, None)],
        vec![failed(3, None)],
        vec![step(1)],
    ];
    let mut all = String::new();
    for steps in cases {
        let (_folder, directory) = directory();
        let _instance = Instance::start(&directory, |operator| operator.steps = steps);
        let (text, code) = execute("reload shop", &directory, false).await;
        write!(all, "{text}(exit code {})\n\n", u8::from(code)).unwrap();
    }
    let (_folder, directory) = directory();
    let _instance = Instance::start(&directory, |_| ());
    let (text, code) = execute("reload shpo", &directory, false).await;
    writeln!(all, "{text}(exit code {})", u8::from(code)).unwrap();
    insta::assert_snapshot!("reload_failed", all);
}

#[tokio::test]
async fn a_stop_returns_when_everything_has_ended() {
    let (_folder, directory) = directory();
    let instance = Instance::start(&directory, |_| ());
    let pid = instance.operator.status.keeper_pid;
    transcript("stop", &["stop shop", "stop shpo", "stop --now"], &directory, &[pid]).await;
    assert_eq!(
        instance.asked(),
        ["stop Some(\"shop\") now=false", "stop Some(\"shpo\") now=false", "stop None now=true"]
    );
}

#[tokio::test]
async fn several_instances_have_to_be_told_apart() {
    let (_folder, directory) = directory();
    let first = Instance::start(&directory, |_| ());
    let second = Instance::start(&directory, |operator| {
        operator.status.apps.remove(1);
        operator.status.apps[0].name = "blog".to_owned();
    });
    let mut pids = [first.operator.status.keeper_pid, second.operator.status.keeper_pid];
    pids.sort_unstable();
    // The list is by pid, and the first instance has the lower one unless the numbers have just wrapped around.
    let lines = ["status", "scale 3", "scale blog 3", "stop shop blog", "status --pid 1"];
    transcript("several_instances", &lines, &directory, &pids).await;
    assert_eq!((first.asked(), second.asked()), (vec![], vec!["scale blog 3".to_owned()]));
    let (text, code) = execute(&format!("scale 3 --pid {}", pids[1]), &directory, false).await;
    assert_eq!((text.as_str(), code), ("scaled blog from 2 to 3 workers\n", ExitCode::Ok));
}
