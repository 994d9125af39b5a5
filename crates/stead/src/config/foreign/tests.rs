//! Whole files of others: what becomes of them, and every error on the way.

use super::read::import;
use super::{ForeignError, Weight};
use crate::config::test_support::Folder;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;

fn environment() -> BTreeMap<OsString, OsString> {
    std::env::vars_os().filter(|(name, _)| name != "PORT").collect()
}

/// A folder with the programs that the files name.
fn folder() -> Folder {
    let folder = Folder::new();
    for script in ["server.js", "my server.js", "worker.py", "task.sh", "api/app.js", "old.pl"] {
        folder.file(script, "");
    }
    folder.file("bin/www", "require('../server')");
    folder.program("bin/tool", "#!/usr/bin/env node\n");
    folder.program("bin/native", "\x7fELF\0\0");
    folder
}

/// The `stead.toml`, and what is needless.
fn taken(folder: &Folder, name: &str, text: &str) -> String {
    folder.file(name, text);
    match import(Path::new(name), folder.path(), &environment()) {
        Ok(imported) => {
            let mut toml = imported.to_toml();
            toml::Table::from_str(&toml).unwrap_or_else(|error| panic!("{error}\n{toml}"));
            for app in &imported.apps {
                for note in app.notes.iter().filter(|note| note.weight == Weight::Needless) {
                    writeln!(toml, "(not needed in {}: `{}`, {})", app.name, note.key, note.reason).unwrap();
                }
            }
            toml
        }
        Err(error) => explain(&error),
    }
}

fn explain(error: &ForeignError) -> String {
    let mut text = format!("error: {error}\n");
    if let Some(details) = error.details() {
        writeln!(text, "{details}").unwrap();
    }
    if let Some(cause) = std::error::Error::source(error) {
        writeln!(text, "  caused by: {cause}").unwrap();
    }
    if let Some(hint) = error.hint() {
        writeln!(text, "hint: {hint}").unwrap();
    }
    text
}

use std::str::FromStr;

const ECOSYSTEM: &str = r#"
// A file as it is found in the wild: computed, shared, with comments.
const path = require('node:path');
const base = { max_memory_restart: '300M', merge_logs: true, time: true };
const worker = (name, queue) => ({
  ...base,
  name: `worker:${name}`,
  script: './worker.py',
  interpreter: 'python3',
  args: ['--queue', queue],
  autorestart: true,
  env: { QUEUE: queue, LEVEL: 3, DEBUG: undefined },
});

module.exports = {
  apps: [
    {
      ...base,
      name: 'shop',
      script: path.join('.', 'server.js'),
      instances: 'max',
      exec_mode: 'cluster',
      nodeArgs: '--max-old-space-size=512 --trace-warnings',
      source_map_support: true,
      wait_ready: true,
      listen_timeout: 60000,
      kill_timeout: '5000',
      watch: ['src', 'config'],
      ignore_watch: ['node_modules', /\.tmp$/],
      out_file: './logs/out.log',
      error_file: './logs/err.log',
      log_date_format: 'YYYY-MM-DD',
      env: { NODE_ENV: 'development', PORT: 3000 },
      env_production: { NODE_ENV: 'production', PORT: 80 },
      increment_var: 'PORT',
      pid_file: 'shop.pid',
    },
    ...['mail', 'thumbnails'].map((queue) => worker(queue, `q-${queue}`)),
  ],
  deploy: { production: { user: 'node', host: '192.0.2.1', ref: 'origin/main' } },
};
"#;

#[test]
fn an_ecosystem_file_becomes_a_stead_toml() {
    insta::assert_snapshot!(taken(&folder(), "ecosystem.config.js", ECOSYSTEM));
}

/// Every key once, with a value that is not PM2's default.
const EVERY_KEY: &str = r#"{
  // JSON with comments, as PM2 takes it.
  "apps": [{
    "name": "shop", "name_prefix": "eu", "script": "server.js", "args": "--port 3000 'a b'", "namespace": "my shops",
    "exec_interpreter": "/usr/bin/node", "interpreter_args": ["--inspect"], "exec_mode": "fork_mode", "instances": -1,
    "cwd": ".", "env": {"A": "1"}, "env_staging": {"A": "2"}, "filter_env": true, "append_env_to_name": true, "port": 8080,
    "autorestart": false, "autostart": false, "stop_exit_codes": [0, "143"], "max_restarts": 10, "min_uptime": "10s",
    "restart_delay": 500, "exp_backoff_restart_delay": 100, "max_memory_restart": 1048576, "cron_restart": "0 3 * * *",
    "kill_timeout": 60000, "kill_retry_time": 10, "treekill": false, "shutdown_with_message": true, "wait_ready": false,
    "listen_timeout": 3000, "watch": true, "ignore_watch": "tmp", "watch_delay": 1000, "watch_options": {"usePolling": true},
    "out_file": "/dev/null", "error_file": "/var/log/shop/err.log", "log_file": true, "log_type": "json", "time": true,
    "uid": "www-data", "gid": 33, "force": true, "disable_source_map_support": true, "vizion": false, "pmx": false,
    "automation": false, "io": {}, "trace": true, "disable_trace": true, "v8": true, "event_loop_inspector": true,
    "deep_monitoring": true, "post_update": ["npm install"], "windowsHide": false, "increment_var": "PORT",
    "instance_var": "INSTANCE", "pid_file": "x.pid", "merge_logs": true, "disable_logs": false, "log_date_format": "HH",
    "install_url": "", "username": "x", "write": true, "execute_command": true, "maxRestart": 3,
  }],
  "static": [],
  "extra": 1,
}"#;

#[test]
fn every_key_of_pm2_is_taken_over_or_explained() {
    insta::assert_snapshot!(taken(&folder(), "processes.json", EVERY_KEY));
}

#[test]
fn each_form_of_a_file_is_understood() {
    let files = [
        (
            "apps.yaml",
            "apps:\n  - script: ./api/app.js\n    instances: 4\n    env:\n      A: yes\n      B: 1.5\n",
        ),
        ("a.config.mjs", "export default [{ script: 'bin/www' }, { script: 'bin/www', cwd: '/srv' }]"),
        (
            "a.config.cjs",
            "module.exports = { script: 'npm', args: 'run start -- --port 1', node_args: '--inspect' }",
        ),
        ("pm2.json", "{\"pm2\": [{script: 'echo $HOME > out', name: 'my app'}]}"),
        (
            "places.json",
            "[{name: 'a', cwd: 'api', script: 'app.js', log: '../out.log'}, {name: 'b', script: 'uvicorn', args: 'app:app', interpreter: 'python3'}]",
        ),
        ("one.json", "{script: 'gunicorn api:app', kill_timeout: 2000}"),
        (
            "watch.json",
            "[{script: 'server.js', watch: true, ignore_watch: ['[\\\\/\\\\\\\\]\\\\./', 'node_modules', 'public/uploads'], env_file: '.env'}]",
        ),
        (
            "tools.json",
            "[{script: 'bin/tool'}, {script: 'bin/native'}, {script: 'my server.js'}, {script: 'task.sh'}, {script: 'old.pl'}]",
        ),
        (
            "logs.json",
            "[{script: 'a', out_file: 'NULL', error_file: '/dev/null'}, {script: 'b', disable_logs: true, out_file: 'x/y'}]",
        ),
        (
            "versions.json",
            "{script: 'server.js', interpreter: 'node@18', cron: 0, watch: 'false', restart_delay: 0}",
        ),
        ("package.json", "{\"name\": \"@acme/shop\", \"scripts\": {\"start\": \"node server.js\"}}"),
        ("package.json", "{\"pm2\": {\"apps\": [{\"script\": \"server.js\"}]}}"),
        (
            "Procfile",
            "# the site\nweb: gunicorn api:app --bind 0.0.0.0:$PORT\nworker: node worker.js\n\nclock: sh -c 'a && b'\nrelease: ./migrate\n",
        ),
        ("Procfile.dev", "web: node server.js\n"),
    ];
    let mut all = String::new();
    for (name, text) in files {
        write!(all, "## {name}\n{}\n", taken(&folder(), name, text)).unwrap();
    }
    insta::assert_snapshot!(all);
}

/// A few lines that would be millions of values.
const BOMB: &str = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
    d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\napps: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";

#[test]
fn files_without_an_end_are_not_read() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("folder.json")).unwrap();
    std::fs::File::create(folder.path().join("huge.json")).unwrap().set_len(17 << 20).unwrap();
    let pipe = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path().join("pipe.json"),
        rustix::fs::FileType::Fifo,
        pipe,
        0,
    )
    .unwrap();
    let mut all = String::new();
    for name in ["folder.json", "huge.json", "pipe.json"] {
        all.push_str(&explain(&import(Path::new(name), folder.path(), &environment()).unwrap_err()));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_file_means_what_is_beside_it_or_else_what_is_where_it_is_called() {
    let check = |app: &str, command: &str, cwd: Option<&str>| {
        let folder = folder();
        folder.file("deploy/beside.js", "");
        folder.file("deploy/apps.json", app);
        let environment = BTreeMap::from([("HOME".into(), "/srv/u".into())]);
        let imported = import(Path::new("deploy/apps.json"), folder.path(), &environment).unwrap();
        let text = |key: &str| {
            let setting = imported.apps[0].settings.iter().find(|setting| setting.key == key)?;
            Some(folder.neutral(setting.value.as_str()?))
        };
        assert_eq!((text("command").as_deref(), text("cwd").as_deref()), (Some(command), cwd), "{app}");
    };
    check("{script: 'beside.js'}", "beside.js", None);
    check("{script: './server.js'}", "./server.js", Some("<folder>"));
    check("{script: 'app.js', cwd: './api'}", "app.js", Some("<folder>/api"));
    check("{script: 'nowhere.js'}", "nowhere.js", None);
    check("{script: 'npm', args: 'start'}", "npm start", None);
    check("{script: '~/bin/tool', cwd: '~'}", "/srv/u/bin/tool", Some("/srv/u"));
    check("{script: '~other/tool'}", "~other/tool", None);
}

#[test]
fn each_line_of_a_procfile_has_a_port_of_its_own() {
    let folder = folder();
    folder.file(
        "Procfile",
        "web: node server.js\nrelease: ./migrate\napi: gunicorn api:app --bind 0.0.0.0:$PORT\nmail: ./mail\n",
    );
    let check = |port: Option<&str>, expected: [&str; 3]| {
        let environment = port.map(|port| ("PORT".into(), port.into())).into_iter().collect();
        let imported = import(Path::new("Procfile"), folder.path(), &environment).unwrap();
        let told = imported.apps.iter().map(|app| {
            let ports = app.settings.iter().filter(|setting| setting.key == "env" || setting.key == "listen");
            ports.map(|setting| format!("{}: {}", setting.key, setting.value)).collect::<String>()
        });
        assert_eq!(told.collect::<Vec<_>>(), expected);
    };
    check(None, ["env: { PORT = \"5000\" }", "listen: [\"5200\"]", "env: { PORT = \"5300\" }"]);
    check(Some("80"), ["env: { PORT = \"80\" }", "listen: [\"280\"]", "env: { PORT = \"380\" }"]);
    check(Some("http"), ["env: { PORT = \"5000\" }", "listen: [\"5200\"]", "env: { PORT = \"5300\" }"]);
}

#[test]
fn files_that_are_no_use_say_why() {
    let files = [
        ("server.rb", ""),
        ("a.json", "{\"apps\": [}"),
        ("a.json", ""),
        ("a.json", "{\"apps\": {}}"),
        ("a.json", "{\"apps\": 1}"),
        ("a.json", "{\"apps\": []}"),
        ("a.json", "{\"apps\": [1]}"),
        ("a.json", "{\"name\": \"shop\"}"),
        ("a.yaml", "apps:\n  - script: [\n"),
        ("a.yaml", "- a: b: c\n"),
        ("a.yaml", BOMB),
        ("package.json", "{\"scripts\": {}}"),
        ("Procfile", "web gunicorn\n"),
        ("Procfile", "\n"),
        ("a.config.js", "module.exports = { apps: [ }"),
        ("a.config.js", "module.exports = undefined"),
        ("a.config.js", "require('./missing')"),
        ("a.config.js", "module.exports = { apps: [] }; module.exports.self = module.exports"),
        ("a.config.js", "module.exports = () => { throw 'a text' }"),
    ];
    let mut all = String::new();
    for (name, text) in files {
        let folder = folder();
        let said = folder.neutral(&taken(&folder, name, text));
        // What follows is where in Node.js.
        let said: Vec<&str> = said.lines().filter(|line| !line.trim_start().starts_with("at ")).collect();
        write!(all, "## {name}: {text}\n{}\n\n", said.join("\n")).unwrap();
    }
    let missing = import(Path::new("missing.json"), folder().path(), &environment()).unwrap_err();
    write!(all, "## a file that is not there\n{}", explain(&missing)).unwrap();
    insta::assert_snapshot!(all);
}
