//! "The page for PM2's users is true: what it says is offered is there, and what is not says so itself. My ecosystem file and
//! the lines of my deploy script do what they did."

use std::process::Command;

use crate::support::background::Background;
use crate::support::ports::free_port;
use crate::support::{beside, eventually, get, soon};

/// A row of a table: the words of its first column, and what its second says.
struct Row {
    words: Vec<String>,
    here: String,
}

/// The rows below a heading.
fn rows(heading: &str) -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/coming-from-pm2.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let part = page.split(&format!("\n## {heading}\n")).nth(1).expect("the heading is there");
    let part = part.split("\n## ").next().unwrap_or_default();
    let rows: Vec<Row> = part
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" |");
            let words = cells.next()?.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            Some(Row { words, here: cells.next()?.trim().to_owned() })
        })
        .filter(|row| !row.words.is_empty())
        .collect();
    assert!(rows.len() > 10, "{heading} has a table");
    rows
}

/// What `stead` says to these words, with its code.
fn stead(words: &[&str]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_stead"));
    command.args(words).current_dir(directory.path()).env("STEAD_HOME", directory.path());
    let output = command.output().expect("it can be run");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn verbs_are_what_the_page_says() {
    for row in rows("Verbs") {
        for word in &row.words {
            let (code, said) = stead(&[word, "--help"]);
            match row.here.as_str() {
                "not offered" => assert!(said.contains("is not offered"), "{word}: {said}"),
                "same" | "different" => assert_eq!(code, Some(0), "{word}: {said}"),
                other => panic!("`{other}` at {word}"),
            }
        }
    }
}

#[test]
fn options_are_what_the_page_says() {
    for row in rows("Options") {
        for word in &row.words {
            let (_, said) = stead(&["start", word, "--help"]);
            match row.here.as_str() {
                "not offered" => assert!(said.contains("is not offered"), "{word}: {said}"),
                "not needed" => {
                    assert!(!said.contains("unexpected argument"), "{word}: {said}");
                    // Help says nothing else; what is not needed is left out everywhere.
                    let (_, said) = stead(&["list", word]);
                    assert!(said.contains("is not needed"), "{word}: {said}");
                }
                "same" | "different" => {
                    let wrong = ["is not offered", "is not needed", "unexpected argument"];
                    assert!(!wrong.iter().any(|text| said.contains(text)), "{word}: {said}");
                }
                other => panic!("`{other}` at {word}"),
            }
        }
    }
}

/// A value that a key of PM2's may have.
fn value_of(key: &str) -> &'static str {
    match key {
        "script" | "exec" | "cmd" | "command" => "'server.js'",
        "env" | "env_<name>" | "io" | "watch_options" => "{ A: '1' }",
        "instances"
        | "port"
        | "max_restarts"
        | "min_uptime"
        | "restart_delay"
        | "exp_backoff_restart_delay" => "2",
        "kill_timeout" | "kill_retry_time" | "watch_delay" | "stop_exit_codes" => "99",
        "max_memory_restart" => "'300M'",
        "cron_restart" | "cron" => "'0 3 * * *'",
        "log_type" => "'json'",
        "listen_timeout" => "60000",
        "treekill" => "false",
        "name" | "cwd" | "args" | "namespace" | "name_prefix" | "interpreter" | "exec_interpreter" => {
            "'text'"
        }
        _ if key.contains("log") && !key.contains("logs") => "'log/file.log'",
        "out_file" | "out" | "output" | "error_file" | "error" | "err" | "err_file" => "'log/file.log'",
        "node_args" | "interpreter_args" | "ignore_watch" | "post_update" | "uid" | "user" | "gid" => {
            "'text'"
        }
        "instance_var" | "increment_var" | "pid_file" | "pid" => "'NAME'",
        _ => "true",
    }
}

#[test]
fn keys_are_what_the_page_says() {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let path = directory.path().join("apps.json");
    let mut wrong = Vec::new();
    for row in rows("Keys") {
        for word in &row.words {
            let value = value_of(word);
            let key = word.replace("<name>", "production");
            let script = if value == "'server.js'" { "" } else { "script: 'server.js', " };
            std::fs::write(&path, format!("{{{script}{key}: {value}}}")).expect("there is room for a file");
            let (code, said) = stead(&["import", path.to_str().expect("it is a text"), "-o", "-"]);
            assert_eq!(code, Some(0), "{word}: {said}");
            let part = |heading: &str| {
                said.split(heading).nth(1).is_some_and(|part| part.contains(&format!("`{key}`")))
            };
            let is_true = match row.here.as_str() {
                "not offered" => part("not taken over:"),
                "not needed" => part("not needed any more:"),
                "same" => !said.contains("not "),
                "different" => !said.contains("no such key"),
                _ => false,
            };
            if !is_true {
                wrong.push(format!("{word} is `{}`: {said}", row.here));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const SERVER: &str = "require('http').createServer((request, response) => \
    response.end(`${process.env.NODE_ENV} ${process.env.RELEASE}\\n`)).listen(process.env.PORT);\n";

/// A file as it is found in many repositories; the port of its profile `production`.
fn user() -> (Background, u16) {
    let (user, port) = (Background::new(), free_port());
    user.write("server.js", SERVER);
    user.write("worker.js", "process.send('ready'); setInterval(() => console.log('tick'), 1000);\n");
    let text = format!(
        "const {{ name }} = require('./package.json');
        console.log('loading', name);
        module.exports = {{
          apps: [{{
            name, script: './server.js', instances: 'max', exec_mode: 'cluster', autorestart: true, watch: ['lib'],
            ignore_watch: ['node_modules', /[\\/\\\\]\\./], max_memory_restart: '1G', max_restarts: 10, min_uptime: '10s',
            kill_timeout: 3000, cron_restart: '0 4 * * *', error_file: './logs/err.log', out_file: './logs/out.log',
            log_date_format: 'YYYY-MM-DD HH:mm:ss', merge_logs: true, env_file: '.env',
            env: {{ NODE_ENV: 'development', PORT: {}, RELEASE: process.env.RELEASE }},
            env_production: {{ NODE_ENV: 'production', PORT: {port} }},
          }}, {{
            name: 'mail worker', script: 'worker.js', wait_ready: true, restart_delay: 4000, node_args: '--max-old-space-size=128',
          }}],
        }};",
        free_port()
    );
    user.write("ecosystem.config.js", &text);
    user.write("package.json", "{\"name\": \"shop\"}");
    (user.env("RELEASE", "one"), port)
}

#[test]
fn the_line_of_a_deploy_script_starts_what_is_missing_and_reloads_what_runs() {
    let _turn = beside();
    let (user, port) = user();
    let line = ["reload", "ecosystem.config.js", "--env", "production", "--update-env"];
    let first = user.done(&line);
    assert_eq!(first.stderr.matches("`env_file`").count(), 1, "what is lost is told once: {first:?}");
    assert_eq!(get(port, "/").text(), "production one\n");
    let before = user.complete();
    assert_eq!(before.names(), ["shop", "mail-worker"]);
    let user = user.env("RELEASE", "two");
    user.done(&line);
    assert_eq!(get(port, "/").text(), "production two\n");
    let after = user.complete().ready_pids();
    assert!(before.ready_pids().iter().all(|pid| !after.contains(pid)), "{before:?} {after:?}");
    user.done(&["restart", "ecosystem.config.js", "--only", "mail-worker"]);
    let kept = user.complete().of("shop").ready_pids();
    assert!(kept.iter().all(|pid| after.contains(pid)), "only the other one was restarted");
    user.done(&["delete", "ecosystem.config.js"]);
    assert!(user.try_status().expect("the instance goes on").names().is_empty());
}

#[test]
fn a_file_is_run_on_the_terminal_as_by_pm2_runtime() {
    let _turn = beside();
    let (user, port) = user();
    let words = ["run", "ecosystem.config.js", "--env", "production", "--only", "shop"];
    let mut running = user.command(&words).spawn().expect("it can be run");
    eventually("it serves", std::time::Duration::from_secs(30), || {
        crate::support::http::try_get(port, "/").ok().filter(|answer| answer.text() == "production one\n")
    });
    user.done(&["stop"]);
    assert!(running.wait().expect("it is ours").success());
    soon("nothing is left", || user.processes().is_empty());
}
