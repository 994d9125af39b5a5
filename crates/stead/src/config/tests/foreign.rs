//! Files that others have written, run directly.

use super::*;
use crate::config::{LogPlace, Ready, RestartPolicy, import};
use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

const APPS: &str = r#"{
  // with a comment
  "apps": [
    {"name": "shop", "script": "server.js", "instances": 3, "wait_ready": true, "kill_timeout": 2000, "args": "-v",
     "env": {"A": 1, "B": "x"}, "env_production": {"B": "y"}, "out_file": "log/out.log", "pid_file": "x"},
    {"name": "mail", "script": "worker.py", "autorestart": false, "cwd": "sub"}
  ]
}"#;

fn with_file(name: &str, text: &str) -> Folder {
    let folder = folder();
    folder.file("server.js", "");
    folder.file("sub/worker.py", "");
    folder.file(name, text);
    folder
}

#[test]
fn an_ecosystem_file_runs_as_a_stead_toml_would() {
    let folder = with_file("ecosystem.json", APPS);
    for line in ["", "ecosystem.json", "-c ecosystem.json"] {
        let settings = load(&folder, line).unwrap();
        let [shop, mail] = settings.apps.as_slice() else { panic!("{line}: {settings:?}") };
        assert_eq!((shop.name.as_str(), shop.instances), ("shop", 3));
        assert_eq!(shop.program.arguments[1..], ["server.js", "-v"]);
        assert!(shop.program.is_node);
        assert_eq!((&shop.ready, shop.stop.kill_after), (&Ready::Message, Duration::from_secs(2)));
        assert_eq!(shop.environment[OsStr::new("A")], "1");
        assert_eq!(shop.logs.place, LogPlace::Directory(folder.path().join("log/shop")));
        assert_eq!(
            (mail.restart.policy, &mail.directory),
            (RestartPolicy::Temporary, &folder.path().join("sub"))
        );
        assert_eq!(settings.file, Some(folder.path().join("ecosystem.json")));
        let expected = "`pid_file` (shop): no such files are written: `stead pid NAME` prints the numbers";
        assert_eq!(settings.notes, [expected]);
    }
}

#[test]
fn options_choose_among_the_apps_of_an_ecosystem_file() {
    let folder = with_file("apps.json", APPS);
    let settings = load(&folder, "apps.json --only shop --env production -i 1 --set grace=1s").unwrap();
    let [shop] = settings.apps.as_slice() else { panic!("{settings:?}") };
    assert_eq!((shop.instances, shop.stop.grace), (1, Duration::from_secs(1)));
    assert_eq!(shop.environment[OsStr::new("B")], "y");
}

#[test]
fn a_stead_toml_is_a_word_too_and_comes_first() {
    let folder = with_file("ecosystem.json", APPS);
    folder.file("stead.toml", "[app.own]\ncommand = \"server.js\"\n");
    for line in ["", "stead.toml"] {
        assert_eq!(load(&folder, line).unwrap().apps[0].name, "own", "{line}");
    }
}

/// Files in the styles that are found, with everything that has to be written down with care.
const STYLES: [(&str, &str); 5] = [
    ("ecosystem.json", APPS),
    (
        "processes.json",
        r#"{apps: [{name: 'quo"te', script: './server.js', instances: 'max', max_memory_restart: '1.5G', watch: ['sub'],
            cron_restart: '0 3 * * *', ignore_watch: ['\\.tmp$', 'x'], kill_timeout: 90000, env_a: {B: 1},
            env: {TEXT: 'line\n# line \u00e9 \'\\" x', 'odd.name': ''}}]}"#,
    ),
    (
        "pm2.yml",
        "apps:\n- {name: 'a b', script: server.js, args: '-x \"y z\"', error_file: /dev/null, out_file: NULL}\n",
    ),
    ("Procfile", "web: ./server.js $PORT\nworker: python3 sub/worker.py | cat\n"),
    ("package.json", "{\"name\": \"@acme/shop\", \"scripts\": {\"start\": \"node server.js\"}}"),
];

#[test]
fn what_is_imported_says_the_same_as_the_file_it_comes_from() {
    for (name, text) in STYLES {
        let folder = with_file(name, text);
        let direct = load(&folder, &format!("-c {name}")).unwrap();
        let imported = import(Path::new(name), folder.path(), &std::env::vars_os().collect()).unwrap();
        folder.file("stead.toml", &imported.to_toml());
        let written = load(&folder, "-c stead.toml").unwrap();
        assert_eq!((&written.apps, &written.groups), (&direct.apps, &direct.groups), "{name}");
        assert_eq!(written.notes, Vec::<String>::new());
    }
}

/// Each case: what it is about, the file, and the words after `stead run`.
const CASES: [(&str, &str, &str); 9] = [
    ("a value that is none", "[{name: 'shop', script: 'server.js', kill_timeout: 'soon'}]", "a.json"),
    ("a value that only the system can judge", "[{script: 'server.js', uid: 'no-such-user'}]", "a.json"),
    ("a script that is not there", "[{name: 'shop', script: 'serevr.js'}]", "a.json"),
    ("an app without a script", "[{name: 'shop'}]", "a.json"),
    ("a port that is none", "[{script: 'server.js', port: 'http'}]", "a.json"),
    ("no JSON", "{apps: [}", "-c a.json"),
    ("no app", "{}", "a.json"),
    ("a profile that no app has", "[{script: 'server.js', env_production: {}}]", "a.json --env prodution"),
    ("a file that is not there", "[]", "-c b.json"),
];

#[test]
fn errors_name_the_file_and_the_key_as_it_was_written() {
    let mut all = String::new();
    for (about, text, line) in CASES {
        let folder = with_file("a.json", text);
        let said = match load(&folder, line) {
            Ok(settings) => panic!("{about}: {settings:?}"),
            Err(error) => report(&folder, &error),
        };
        write!(all, "## {about}: {text}\n{said}\n").unwrap();
    }
    insta::assert_snapshot!("foreign_errors", all);
}
