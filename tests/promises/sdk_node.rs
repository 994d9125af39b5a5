//! "My Node.js program uses the package `stead`: its copies talk, share and have one leader, and its tasks are done."

use std::process::Command;
use std::time::Duration;

use crate::support::background::Background;
use crate::support::processes::{kill, with_argument};
use crate::support::sdk::{COPIES, they_talk};
use crate::support::stead::Verb;
use crate::support::{Stead, beside, fixture, node};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn copies_talk_share_and_have_one_leader() {
    let _turn = beside();
    they_talk(&Stead::script(node("with-sdk.js")).instances(COPIES).option("--name", "shop").start());
}

#[test]
fn tasks_come_back_once_though_workers_and_the_daemon_die() {
    let _turn = beside();
    let user = Background::new().env("COUNT", 2000);
    let (tasks, negate) = (node("sdk-tasks.js"), node("sdk-worker.js"));
    let config = format!(
        "[app.tasks]\ncommand = \"node {tasks}\"\nrestart = \"temporary\"\n\n\
         [pool.slow]\ncommand = \"node {negate}\"\nsize = 2\n"
    );
    user.write("stead.toml", &config);
    user.done(&["start"]);
    let says = |text: &str| user.logs("tasks").contains(text);
    let status = user.wait_status("tasks are under way", |_| says("begun"));
    with_argument(&negate).into_iter().take(1).for_each(kill);
    kill(status.daemon_pid());
    user.wait_status("every task has come back", |_| says(" of 2000"));
    assert!(says("2000 of 2000"), "{}", user.logs("tasks"));
}

#[test]
fn the_package_is_what_is_packed() {
    let mut command = Command::new("npm");
    command.args(["pack", "--dry-run", "--json"]).current_dir(fixture("../../sdk/node"));
    let packed = Verb::start(&mut command).finish(LIMIT);
    assert_eq!(packed.code, Some(0), "{packed:?}");
    let packed: serde_json::Value = serde_json::from_str(&packed.stdout).expect("npm prints JSON");
    let files = packed[0]["files"].as_array().into_iter().flatten();
    let files: Vec<&str> = files.filter_map(|file| file["path"].as_str()).collect();
    for wanted in
        ["package.json", "README.md", "index.js", "index.mjs", "index.d.ts", "index.d.mts", "lib/core.js"]
    {
        assert!(files.contains(&wanted), "{wanted}: {files:?}");
    }
    assert!(!files.iter().any(|file| file.starts_with("test/")), "{files:?}");
}
