//! "My apps stand in stead.toml. I change the file and send a signal; nobody must notice."

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::load::{assert_nothing_failed, gets, posts};
use crate::support::ports::{free_port, is_free};
use crate::support::status::Status;
use crate::support::{Load, Stead, beside, get, node, soon};

const LIMIT: Duration = Duration::from_secs(30);

/// One app's table.
fn app(name: &str, script: &str, port: u16, more: &str) -> String {
    format!(
        "[app.{name}]\ncommand = [\"node\", \"{}\"]\nenv = {{ PORT = \"{port}\" }}\n{more}\n",
        node(script)
    )
}

fn write(directory: &Path, apps: &[String]) {
    std::fs::write(directory.join("stead.toml"), apps.join("\n")).expect("a file can be written");
}

/// Two apps from a file in the directory it runs in.
fn shop_and_chat() -> (Stead, u16, u16) {
    let (shop, chat) = (free_port(), free_port());
    let plan = Stead::plan(Vec::<String>::new());
    write(
        plan.directory(),
        &[app("shop", "executions.js", shop, "instances = 2"), app("chat", "hello.js", chat, "")],
    );
    (plan.start(), shop, chat)
}

#[test]
fn several_apps_of_one_file_are_served_beside_each_other() {
    let _turn = beside();
    let (stead, shop, chat) = shop_and_chat();
    assert_eq!(
        (get(shop, "/").text(), get(chat, "/").text()),
        ("executed\n".to_owned(), "hello\n".to_owned())
    );
    let status = stead.status();
    assert_eq!((status.of("shop").instances(), status.of("chat").instances()), ((2, 2), (1, 1)));
    // A verb for one of them leaves the other alone.
    let reload = stead.verb(&["reload", "chat"]);
    assert_eq!(reload.code, Some(0), "{reload:?}");
    let after = stead.wait_complete();
    assert_eq!(after.of("shop").ready_pids(), status.of("shop").ready_pids());
    assert_ne!(after.of("chat").ready_pids(), status.of("chat").ready_pids());
    let stop = stead.verb(&["stop", "chat"]);
    assert_eq!(stop.code, Some(0), "{stop:?}");
    soon("the stopped app listens no more", || is_free(chat));
    assert_eq!(get(shop, "/").text(), "executed\n");
}

#[test]
fn sigusr2_replaces_all_workers_without_losing_a_request() {
    let _turn = beside();
    let stead = Stead::script(node("executions.js")).instances(2).start();
    let before = stead.status().ready_pids();
    let load = Load::start([("get", gets(stead.port, "/", 10)), ("post", posts(stead.port, "/", 10))]);
    load.each_answers(20);
    stead.signal(Signal::USR2);
    stead.wait_status("all workers are new", LIMIT, |status| {
        status.is_complete() && status.ready_pids().iter().all(|pid| !before.contains(pid))
    });
    load.each_answers(20);
    assert_nothing_failed(&load.stop());
}

#[test]
fn sighup_takes_what_has_changed_in_the_file_and_a_bad_file_changes_nothing() {
    let _turn = beside();
    let (stead, shop, chat) = shop_and_chat();
    let new = free_port();
    let load = Load::start([("get", gets(shop, "/", 10)), ("post", posts(shop, "/", 10))]);
    load.each_answers(20);

    // One app grows, one goes, one comes.
    write(
        stead.path(),
        &[app("shop", "executions.js", shop, "instances = 3"), app("new", "hello.js", new, "")],
    );
    stead.signal(Signal::HUP);
    let after = stead.wait_status("the file is taken", LIMIT, |status: &Status| {
        status.is_complete() && status.names() == ["shop", "new"] && status.of("shop").instances() == (3, 3)
    });
    assert_eq!(get(new, "/").text(), "hello\n");
    soon("the app that is gone listens no more", || is_free(chat));
    load.each_answers(20);

    // A file that cannot be read changes nothing.
    std::fs::write(stead.path().join("stead.toml"), "[app.shop\n").expect("a file can be written");
    stead.signal(Signal::HUP);
    let told =
        || stead.stderr.lines().into_iter().chain(stead.output.lines()).any(|line| line.contains("TOML"));
    soon("the mistake is told", told);
    load.each_answers(20);
    assert_nothing_failed(&load.stop());
    let now = stead.wait_complete();
    assert_eq!(now.of("shop").ready_pids(), after.of("shop").ready_pids());
}

#[test]
fn a_change_of_the_command_is_a_rolling_reload() {
    let _turn = beside();
    let port = free_port();
    let plan = Stead::plan(Vec::<String>::new());
    write(plan.directory(), &[app("shop", "hello.js", port, "instances = 2")]);
    let stead = plan.start();
    let load = Load::start([("get", gets(port, "/", 20))]);
    load.each_answers(20);
    write(stead.path(), &[app("shop", "executions.js", port, "instances = 2")]);
    stead.signal(Signal::HUP);
    soon("the new program answers", || get(port, "/").text() == "executed\n");
    load.each_answers(20);
    stead.wait_complete();
    assert_nothing_failed(&load.stop());
    for _ in 0..10 {
        assert_eq!(get(port, "/").text(), "executed\n");
    }
}
