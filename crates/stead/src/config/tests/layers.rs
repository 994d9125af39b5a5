//! Defaults, file and command line over each other.

use super::*;
use crate::config::{Balance, DEFAULTS, Listen, Mode, Ready, RestartPolicy, Upstream, cores};
use std::path::Path;
use std::time::Duration;

#[test]
fn a_script_alone_gets_every_default() {
    let folder = folder();
    folder.file("server.js", "");
    let settings = load(&folder, "server.js").unwrap();
    let text =
        format!("{settings:#?}").replace(&format!("lanes: {}", (cores() / 4).max(1)), "lanes: <by cores>");
    insta::assert_snapshot!("defaults", folder.neutral(&text));
}

/// Every key of the defaults can stand in a file, with the value it has there.
#[test]
fn the_defaults_are_a_file_themselves() {
    let folder = folder();
    folder.file("server.js", "");
    let text = DEFAULTS
        .replace("# command =", "command =")
        .replace("# cron =", "cron =")
        .replace("# apps = [\"db\", \"shop\"]", "apps = [\"shop\"]")
        .replace("app.NAME", "app.shop")
        .replace("group.NAME", "group.all")
        .replace("[pool.NAME]", "[pool.work]\ncommand = \"node server.js\"");
    let mut from_file = load_file(&folder, &text, "").unwrap();
    let from_defaults = load(&folder, "'node server.js' --name shop").unwrap();
    assert_eq!(from_file.apps[0].schedules.split_off(0).len(), 1);
    assert_eq!(from_file.apps[..1], from_defaults.apps);
    assert!(from_file.apps[1].pool.is_some());
    assert_eq!(from_file.lanes, from_defaults.lanes);
    assert_eq!(from_file.groups.len(), 1);
}

#[test]
fn a_file_changes_what_it_names() {
    let folder = folder();
    folder.file("app/server.js", "");
    let text = r#"
        lanes = 3
        [app.shop]
        command = ["node", "server.js", "--fast mode"]
        cwd = "app"
        env = { LEVEL = "debug", PORT = 3000 }
        instances = "max"
        listen = ["0.0.0.0:8080", "unix:/run/shop.sock", 9000]
        ports = { 9000 = "direct" }
        ready = { http = "/health" }
        restart = "transient"
        grace = "1m"
        balance = "fastest"
        body_bytes_max = "1MB"
        [app.api]
        command = "gunicorn 'api:app()' --bind fd://{fd}"
        upstream = "listen-fds"
    "#;
    let settings = load_file(&folder, text, "").unwrap();
    assert_eq!(settings.lanes, 3);
    assert_eq!(settings.file.as_deref(), Some(folder.path().join("stead.toml").as_path()));
    let names: Vec<&str> = settings.apps.iter().map(|app| app.name.as_str()).collect();
    assert_eq!(names, ["shop", "api"]);
    let [shop, api] = settings.apps.as_slice() else { panic!("{names:?}") };
    assert_eq!(shop.directory, folder.path().join("app"));
    let environment =
        |name: &str| shop.environment.get(&OsString::from(name)).and_then(|value| value.to_str());
    assert_eq!(
        (environment("LEVEL"), environment("PORT"), environment("HOME")),
        (Some("debug"), Some("3000"), Some("/root"))
    );
    assert_eq!(shop.instances, cores());
    let listens: Vec<String> = shop.listen.iter().map(Listen::to_string).collect();
    assert_eq!(listens, ["0.0.0.0:8080", "unix:/run/shop.sock", "*:9000"]);
    assert_eq!(
        (shop.mode_of(Some(9000)), shop.mode_of(Some(8080)), shop.mode_of(None)),
        (Mode::Direct, Mode::Auto, Mode::Auto)
    );
    assert_eq!(shop.ready, Ready::Http { path: "/health".to_owned() });
    assert_eq!(shop.restart.policy, RestartPolicy::Transient);
    assert_eq!(shop.stop.grace, Duration::from_secs(60));
    assert_eq!((shop.balancer.balance, shop.balancer.body_bytes_max), (Balance::Fastest, 1_000_000));
    let node = folder.path().join("bin/node").into_os_string();
    assert_eq!(shop.program.arguments, [node, "server.js".into(), "--fast mode".into()]);
    assert!(shop.program.is_node && !api.program.is_node);
    assert_eq!(api.program.arguments[1..], ["api:app()", "--bind", "fd://{fd}"]);
    assert_eq!(api.upstream, Upstream::ListenFds);
}

#[test]
fn options_are_stronger_than_the_file() {
    let folder = folder();
    folder.file("sub/server.js", "");
    let text = "[app.shop]\ncommand = \"server.js\"\ninstances = 4\ngrace = \"1m\"\nenv = { A = \"1\", B = \"2\" }\n";
    let line = "-i 2 --name store --listen 8080 --cwd sub --env A=9 --mode direct --set grace=5s --set lanes=2 --json";
    let settings = load_file(&folder, text, line).unwrap();
    let app = &settings.apps[0];
    assert_eq!((app.name.as_str(), app.instances, app.mode), ("store", 2, Mode::Direct));
    assert_eq!(app.stop.grace, Duration::from_secs(5));
    assert_eq!(app.listen, ["8080".parse::<Listen>().unwrap()]);
    assert_eq!(app.directory, folder.path().join("sub"));
    assert_eq!(app.environment[&OsString::from("A")], "9");
    assert_eq!(app.environment[&OsString::from("B")], "2");
    assert_eq!((settings.lanes, settings.json), (2, true));
}

#[test]
fn a_file_elsewhere_names_directories_from_its_own() {
    let folder = folder();
    folder.file("deploy/app/server.js", "");
    folder.file("deploy/shop.toml", "[app.shop]\ncommand = \"server.js\"\ncwd = \"app\"\n");
    let settings = load(&folder, "-c deploy/shop.toml").unwrap();
    assert_eq!(settings.apps[0].directory, folder.path().join("deploy/app"));
    assert_eq!(settings.file.as_deref(), Some(folder.path().join("deploy/shop.toml").as_path()));
}

#[test]
fn settings_on_the_command_line_need_no_quotes() {
    let folder = folder();
    folder.file("server.js", "");
    let line = "server.js --set balance=round-robin --set restarts_max=3 --set 'ready={ http = \"/up\" }' \
                --set listen='[\"1\", \"2\"]' --set remote_address=false";
    let app = load(&folder, line).unwrap().apps.remove(0);
    assert_eq!((app.balancer.balance, app.restart.restarts_max), (Balance::RoundRobin, 3));
    assert_eq!(app.ready, Ready::Http { path: "/up".to_owned() });
    assert_eq!(app.listen, ["1", "2"].map(|text| text.parse::<Listen>().unwrap()));
    assert!(!app.remote_address);
}

#[test]
fn workers_do_not_inherit_the_channels_of_the_parent() {
    let folder = folder();
    folder.file("server.js", "");
    let environment =
        ["NODE_CHANNEL_FD", "NODE_UNIQUE_ID", "LISTEN_FDS", "NOTIFY_SOCKET", "STEAD_KEEPER_FD", "KEPT"];
    let mut environment: BTreeMap<OsString, OsString> =
        environment.into_iter().map(|name| (name.into(), "3".into())).collect();
    environment.insert("PATH".into(), folder.path().join("bin").into());
    let settings = load_from(&arguments("server.js"), folder.path(), &environment).unwrap();
    let names: Vec<_> = settings.apps[0].environment.keys().collect();
    assert_eq!(names, ["KEPT", "PATH"]);
}

#[test]
fn the_file_is_left_alone_when_a_command_is_named() {
    let folder = folder();
    folder.file("server.js", "");
    let settings = load_file(&folder, "this is not toml", "server.js").unwrap();
    assert_eq!((settings.apps.len(), settings.file.as_deref()), (1, None::<&Path>));
}
