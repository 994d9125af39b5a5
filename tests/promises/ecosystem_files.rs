//! "My ecosystem file works as it is, and when I want to part with it, one command writes the file that takes its place."

use std::time::Duration;

use crate::support::background::Background;
use crate::support::ports::free_port;
use crate::support::processes::kill;
use crate::support::{beside, get, pause_between, soon};

const SERVER: &str = "require('http').createServer((request, response) => \
    response.end(`${process.env.NODE_ENV} ${process.env.STEAD_INSTANCE} ${process.argv[2]}\\n`)).listen(process.env.PORT);\n";

/// A file as many have one, with the ports of two profiles.
fn ecosystem(development: u16, production: u16) -> String {
    format!(
        "const common = {{ max_memory_restart: '300M', time: true }};
        module.exports = {{
          apps: [
            {{
              ...common, name: 'api', script: './server.js', args: '--verbose', instances: 2, exec_mode: 'cluster',
              watch: false, error_file: './logs/api-error.log', out_file: './logs/api-out.log',
              pid_file: './api.pid', combine_logs: true,
              env: {{ NODE_ENV: 'development', PORT: {development} }},
              env_production: {{ NODE_ENV: 'production', PORT: {production} }},
            }},
            {{ name: 'report', script: 'sh', args: ['-c', 'echo done >> report.txt'], autorestart: false }},
          ],
          deploy: {{ production: {{ host: 'example.org' }} }},
        }};"
    )
}

fn user(ports: (u16, u16)) -> Background {
    let user = Background::new();
    user.write("server.js", SERVER);
    user.write("ecosystem.config.js", &ecosystem(ports.0, ports.1));
    user
}

#[test]
fn an_ecosystem_file_is_started_as_it_is_and_read_again_by_a_reload() {
    let _turn = beside();
    let (development, production) = (free_port(), free_port());
    let user = user((development, production));
    let started = user.done(&["start", "ecosystem.config.js", "--env", "production", "--only", "api"]);
    assert!(started.stderr.contains("`pid_file` (api)"), "what is lost is told: {started:?}");
    assert!(get(production, "/").text().starts_with("production "));
    assert!(get(production, "/").text().ends_with(" --verbose\n"));
    assert!(user.path().join("logs/api").is_dir(), "its logs are where it wants them");
    // What is asked for outlives the daemon, file and profile included.
    kill(user.complete().daemon_pid());
    let before = user.complete().ready_pids();
    user.write("ecosystem.config.js", &ecosystem(development, production).replace("--verbose", "--quiet"));
    user.done(&["reload", "api"]);
    assert!(get(production, "/").text().ends_with(" --quiet\n"));
    assert!(user.complete().ready_pids().iter().all(|pid| !before.contains(pid)));
}

#[test]
fn what_is_imported_is_what_was_started() {
    let _turn = beside();
    let (development, production) = (free_port(), free_port());
    let user = user((development, production));
    let said = user.done(&["import"]).stderr;
    for word in
        ["wrote stead.toml: api, report", "`pid_file` (api)", "`deploy`", "`exec_mode` (api)", "stead start"]
    {
        assert!(said.contains(word), "{word}: {said}");
    }
    let again = user.verb(&["import"]);
    assert!(again.code != Some(0) && again.stderr.contains("--force"), "{again:?}");
    std::fs::remove_file(user.path().join("ecosystem.config.js")).expect("it is there");
    user.done(&["start"]);
    assert!(get(development, "/").text().starts_with("development "));
    soon("the other app has run", || {
        std::fs::read_to_string(user.path().join("report.txt")).is_ok_and(|text| text == "done\n")
    });
    assert_eq!(user.try_status().expect("it runs").names(), ["api", "report"]);
}

#[test]
fn a_file_that_cannot_be_read_starts_nothing_and_says_why() {
    let user = Background::new();
    let cases = [
        ("a.config.js", "module.exports = {", "SyntaxError"),
        ("b.config.js", "throw new Error('no such secret')", "no such secret"),
        ("c.config.js", "module.exports = { apps: [] }", "names no app"),
        ("d.config.js", "module.exports = [{ script: 'missing.js' }]", "missing.js"),
        ("e.yaml", "apps: [{ script: server.js", "e.yaml"),
    ];
    for (name, text, expected) in cases {
        user.write(name, text);
        let finished = user.verb(&["start", name]);
        assert!(finished.code != Some(0) && finished.stderr.contains(expected), "{name}: {finished:?}");
    }
    assert_eq!(user.processes(), [], "nothing was started");
}

#[test]
fn a_job_that_has_finished_runs_again_when_its_time_comes() {
    let _turn = beside();
    let user = Background::new();
    // It ends by itself, when it has nothing left to do.
    user.write("job.js", "setTimeout(() => require('fs').appendFileSync('ran.txt', 'ran\\n'), 10);");
    user.write(
        "ecosystem.config.js",
        "module.exports = [{ script: 'job.js', autorestart: false, cron_restart: '* * * * * *' }]",
    );
    user.done(&["start", "--no-wait"]);
    let runs = || std::fs::read_to_string(user.path().join("ran.txt")).unwrap_or_default().lines().count();
    soon("it has run twice", || runs() >= 2);
    kill(user.wait_status("it is listed", |status| !status.names().is_empty()).daemon_pid());
    let before = runs();
    soon("it runs on after the daemon was killed", || runs() >= before + 2);
    user.done(&["stop", "job"]);
    let stopped = runs();
    pause_between(Duration::from_millis(2500));
    assert_eq!(runs(), stopped, "what was stopped is not started by the clock");
}

#[test]
fn a_program_that_listens_to_nothing_but_sigint_cleans_up() {
    let _turn = beside();
    let user = Background::new().env("PORT", free_port());
    let handler = "process.on('SIGINT', () => { console.log('cleaned up'); process.exit(0); });\n";
    user.write("server.js", &format!("{SERVER}{handler}"));
    user.write(
        "ecosystem.config.js",
        "module.exports = { apps: [{ name: 'api', script: './server.js' }] };\n",
    );
    user.done(&["start", "ecosystem.config.js"]);
    user.done(&["stop", "api"]);
    assert!(user.logs("api").contains("cleaned up"), "it is asked as PM2 asks");
}
