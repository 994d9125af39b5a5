//! "I mistyped something. Tell me what, why, and what to do; do not start half of it."
//!
//! Each error text is a snapshot: what a person reads is looked at when it changes. Every one ends with a documented exit
//! code and leaves nothing running.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use insta::{Settings, assert_snapshot};
use tempfile::TempDir;

use crate::support::processes::{MARK, marked};
use crate::support::stead::{Finished, Verb, binary};
use crate::support::{Stead, beside, eventually, fixture, node};

const LIMIT: Duration = Duration::from_secs(30);

/// A directory for one mistake.
struct Scene {
    directory: TempDir,
    mark: String,
}

impl Scene {
    fn new(name: &str) -> Scene {
        let directory =
            tempfile::Builder::new().prefix("stead-").tempdir().expect("there is room for a directory");
        std::fs::create_dir(directory.path().join("run")).expect("a directory can be made");
        Scene { directory, mark: format!("{}-bad-{name}", std::process::id()) }
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).expect("a file can be written");
    }

    /// Runs it; nothing may be left afterwards.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = binary(self.directory.path(), &self.mark);
        let finished = Verb::start(command.args(arguments)).finish(LIMIT);
        let left = marked(&self.mark);
        assert!(left.is_empty(), "left running: {left:#?}");
        let sockets: Vec<_> =
            std::fs::read_dir(self.directory.path().join("run")).expect("it is there").collect();
        assert!(sockets.is_empty(), "left behind: {sockets:?}");
        finished
    }
}

/// What a person reads, without what differs from run to run.
#[track_caller]
fn check(name: &str, code: i32, directory: &Path, finished: &Finished) {
    let mut settings = Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let directory = directory.canonicalize().expect("it is there");
    settings.add_filter(&regex(&directory.display().to_string()), "[directory]");
    settings.add_filter(&regex(&fixture("")), "[fixtures]/");
    settings.add_filter(r"pid \d+|\b\d{3,7}\.sock", "[pid]");
    settings.add_filter(&regex(&std::process::id().to_string()), "[pid]");
    settings.add_filter(r"\b(1[5-9]|2\d)\d{3}\b", "[port]");
    settings.add_filter(r"\b\d+(\.\d+)? ?m?s\b", "[time]");
    // Programs that are there or not on this machine are not our words.
    settings.add_filter(r"/(usr/(local/)?)?s?bin/", "[bin]/");
    assert_eq!(finished.code, Some(code), "{finished:?}");
    assert_eq!(finished.stdout, "", "errors are words, not data");
    settings.bind(|| assert_snapshot!(name, finished.stderr.trim_end()));
}

fn regex(text: &str) -> String {
    text.replace('.', r"\.").replace('/', r"\/")
}

/// One mistake: a name for the snapshot, the exit code, the command line.
#[track_caller]
fn mistake(name: &str, code: i32, arguments: &[&str]) {
    let _turn = beside();
    let scene = Scene::new(name);
    scene.file("server.js", "require('http').createServer((q, r) => r.end('ok')).listen(process.env.PORT)");
    scene.file("notes.txt", "not a program");
    scene.file("unknown-key.toml", "[app.shop]\ncommand = \"node server.js\"\ninstanses = 2\n");
    scene.file("bad-value.toml", "[app.shop]\ncommand = \"node server.js\"\ninstances = \"many\"\n");
    scene.file("bad-duration.toml", "[app.shop]\ncommand = \"node server.js\"\ngrace = \"soon\"\n");
    scene.file("broken.toml", "[app.shop\ncommand = \"node server.js\"\n");
    scene.file("no-command.toml", "[app.shop]\ninstances = 2\n");
    scene.file("no-app.toml", "# nothing yet\n");
    let finished = scene.run(arguments);
    check(name, code, scene.directory.path(), &finished);
}

#[test]
fn missing_script() {
    mistake("missing_script", 3, &["run", "sever.js"]);
}

#[test]
fn missing_command() {
    mistake("missing_command", 3, &["run", "gunicron api:app"]);
}

#[test]
fn not_executable() {
    mistake("not_executable", 3, &["run", "./notes.txt"]);
}

#[test]
fn missing_directory() {
    mistake("missing_directory", 3, &["run", "server.js", "--cwd", "nowhere"]);
}

#[test]
fn unknown_key() {
    mistake("unknown_key", 2, &["run", "-c", "unknown-key.toml"]);
}

#[test]
fn bad_value() {
    mistake("bad_value", 2, &["run", "-c", "bad-value.toml"]);
}

#[test]
fn bad_duration() {
    mistake("bad_duration", 2, &["run", "-c", "bad-duration.toml"]);
}

#[test]
fn broken_file() {
    mistake("broken_file", 2, &["run", "-c", "broken.toml"]);
}

#[test]
fn app_without_command() {
    mistake("app_without_command", 2, &["run", "-c", "no-command.toml"]);
}

#[test]
fn file_without_app() {
    mistake("file_without_app", 2, &["run", "-c", "no-app.toml"]);
}

#[test]
fn missing_configuration() {
    mistake("missing_configuration", 2, &["run", "-c", "nowhere.toml"]);
}

#[test]
fn nothing_to_run() {
    mistake("nothing_to_run", 2, &["run"]);
}

#[test]
fn bad_instances() {
    mistake("bad_instances", 2, &["run", "server.js", "-i", "many"]);
}

#[test]
fn bad_listen() {
    mistake("bad_listen", 2, &["run", "server.js", "--listen", "127.0.0.1:http"]);
}

#[test]
fn bad_environment() {
    mistake("bad_environment", 2, &["run", "server.js", "--env", "novalue"]);
}

#[test]
fn bad_setting() {
    mistake("bad_setting", 2, &["run", "server.js", "--set", "grase=5s"]);
}

#[test]
fn unknown_option() {
    mistake("unknown_option", 2, &["run", "server.js", "--instanses", "2"]);
}

#[test]
fn unknown_verb() {
    mistake("unknown_verb", 2, &["relaod"]);
}

#[test]
fn nothing_is_running() {
    for verb in ["reload", "stop", "status"] {
        mistake(&format!("nothing_is_running_{verb}"), 6, &[verb]);
    }
}

#[test]
fn no_such_instance() {
    mistake("no_such_instance", 6, &["reload", "--pid", "1"]);
}

#[test]
fn port_taken_by_another_program() {
    let _turn = beside();
    let scene = Scene::new("port");
    let taken =
        TcpListener::bind(("127.0.0.1", crate::support::ports::free_port())).expect("a free port is free");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let listen = format!("127.0.0.1:{port}");
    let finished = scene.run(&["run", &node("hello.js"), "--listen", &listen]);
    check("port_taken", 4, scene.directory.path(), &finished);
}

#[test]
fn port_that_the_program_asks_for_is_taken() {
    let _turn = beside();
    let scene = Scene::new("asked");
    let taken =
        TcpListener::bind(("0.0.0.0", crate::support::ports::free_port())).expect("a free port is free");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let mut command = binary(scene.directory.path(), &scene.mark);
    command.env("PORT", port).args(["run", &node("hello.js")]);
    let finished = Verb::start(&mut command).finish(LIMIT);
    assert!(marked(&scene.mark).is_empty(), "left running, by {MARK}");
    // What the program itself says about it stands above; ours is the last word.
    let from = finished.stderr.find("error: ").unwrap_or_default();
    let finished = Finished { stderr: finished.stderr[from..].to_owned(), stdout: String::new(), ..finished };
    check("port_taken_of_the_program", 4, scene.directory.path(), &finished);
}

#[test]
fn directory_instead_of_a_program() {
    let _turn = beside();
    let scene = Scene::new("directory");
    std::fs::create_dir(scene.directory.path().join("empty")).expect("a directory can be made");
    let finished = scene.run(&["run", "empty"]);
    assert!(matches!(finished.code, Some(2 | 3)), "{finished:?}");
    check("directory_without_package", finished.code.unwrap_or(-1), scene.directory.path(), &finished);
}

#[test]
fn script_that_may_not_be_read() {
    let _turn = beside();
    // Root may read everything.
    if rustix::process::geteuid().is_root() {
        return;
    }
    let scene = Scene::new("unreadable");
    scene.file("secret.sh", "echo");
    let path = scene.directory.path().join("secret.sh");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).expect("it is ours");
    let finished = scene.run(&["run", "./secret.sh"]);
    check("unreadable_script", 3, scene.directory.path(), &finished);
}

#[test]
fn unknown_app() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).start();
    for (name, verb) in [
        ("unknown_app_reload", vec!["reload", "shop"]),
        ("unknown_app_stop", vec!["stop", "shop"]),
        ("unknown_app_scale", vec!["scale", "shop", "2"]),
    ] {
        let finished = stead.verb(&verb);
        check(name, 6, stead.path(), &finished);
    }
}

#[test]
fn several_instances_and_none_named() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).option("--name", "shop").start();
    let port = format!("PORT={}", crate::support::ports::free_port());
    let mut second = stead.begin(&["run", &node("hello.js"), "--name", "chat", "--env", &port]);
    eventually("both are running", LIMIT, || (stead.sockets().len() == 2).then_some(()));
    let finished = stead.verb(&["reload"]);
    let mut settings = Settings::clone_current();
    settings.add_filter(r"\b\d{3,7}\b", "[pid]");
    settings.bind(|| check("several_instances", 2, stead.path(), &finished));
    let named = stead.verb(&["reload", "--pid", &stead.pid().to_string()]);
    assert_eq!(named.code, Some(0), "{named:?}");
    let stop = stead.verb(&["stop", "--pid", &second.pid().to_string()]);
    assert_eq!(stop.code, Some(0), "{stop:?}");
    eventually("the second ends", LIMIT, || second.has_ended().then_some(()));
    stead.wait_complete();
}

#[test]
fn a_program_that_never_becomes_ready() {
    let _turn = beside();
    for how in ["exit", "throw", "never"] {
        let mut stead = Stead::script(node("start.js"))
            .instances(2)
            .plain()
            .set("ready_timeout", "1s")
            .set("on_ready_timeout", "fail")
            .set("restarts_max", "1")
            .env("START", how)
            .launch();
        let status = stead.wait_exit(LIMIT);
        let stderr = stead.stderr.whole(Duration::from_secs(5));
        let from = stderr.rfind("error: ").unwrap_or_else(|| panic!("no error in {stderr}"));
        let finished =
            Finished { code: status.code(), stdout: String::new(), stderr: stderr[from..].to_owned() };
        check(&format!("never_ready_{how}"), 3, stead.path(), &finished);
        stead.assert_nothing_left();
    }
}
