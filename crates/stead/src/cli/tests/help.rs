//! What the command line says about itself, and about mistakes.

use crate::cli::command::{Command, CommandLine, Mistake, read};
use clap::{CommandFactory, Parser};
use std::ffi::OsString;

fn help(line: &str) -> String {
    match CommandLine::try_parse_from(line.split_whitespace()) {
        Ok(command) => panic!("{line}: {command:?}"),
        Err(error) => error.render().to_string(),
    }
}

#[test]
fn the_definitions_are_consistent() {
    CommandLine::command().debug_assert();
}

#[test]
fn every_verb_explains_itself() {
    insta::assert_snapshot!("help", help("stead --help"));
    let verbs = [
        "run",
        "start",
        "stop",
        "restart",
        "reload",
        "delete",
        "scale",
        "list",
        "map",
        "show",
        "logs",
        "signal",
        "send",
        "env",
        "shards",
        "shared",
        "save",
        "upgrade",
        "kill",
        "init",
        "config",
        "completions",
        "man",
    ];
    for verb in verbs {
        insta::assert_snapshot!(format!("help_{verb}"), help(&format!("stead {verb} --help")));
    }
    insta::assert_snapshot!("help_config_check", help("stead config check --help"));
    insta::assert_snapshot!("help_config_schema", help("stead config schema --help"));
}

/// Whoever types `stead run --help` is answered by the daemon.
#[test]
fn the_daemon_explains_itself_as_run() {
    assert_eq!(help("stead daemon --help"), help("stead run --help"));
    assert_eq!(help("stead daemon --nonsense"), help("stead run --nonsense"));
}

#[test]
fn mistakes_on_the_command_line_are_explained() {
    let lines = [
        "stead rum server.js",
        "stead run server.js --instnaces 4",
        "stead run server.js -i many",
        "stead run server.js --listen localhost",
        "stead run server.js --env =A",
        "stead run server.js --mode tunnel",
        "stead run server.js --set grace",
        "stead run server.js -c stead.toml",
        "stead run --shell",
        "stead run gunicorn -b 8000",
        "stead reload --pid shop",
        "stead stop --pid 1 --socket a.sock",
        "stead scale",
        "stead scale a b c",
        "stead restart",
        "stead delete",
        "stead signal NOPE shop",
        "stead list --sort size",
        "stead start a.js --exp-backoff-restart-delay=100",
        "stead start a.js -f",
        "stead run a.js --deep-monitoring",
        "stead restart shop --parallel 2",
        "stead deploy production setup",
        "stead plus",
        "stead lst",
        "stead config chek",
        "stead config check --json",
        "stead init --instances 2",
        "stead completions tcsh",
        "stead completions",
    ];
    let complaint = |line: &str| match read(line.split_whitespace().map(OsString::from).collect()) {
        Err(Mistake::Known(report)) => report.to_string(),
        Err(Mistake::Unknown(error)) => error.render().to_string(),
        Ok(command) => panic!("{line}: {command:?}"),
    };
    let texts: Vec<String> = lines.iter().map(|line| format!("$ {line}\n{}", complaint(line))).collect();
    insta::assert_snapshot!("mistakes", texts.join("\n"));
}

#[test]
fn the_words_of_a_command_may_stand_between_options() {
    let check = |line: &str, command: &[&str], arguments: &[&str], instances: bool| {
        let line = CommandLine::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Run(run) = line.command else { panic!("{:?}", line.command) };
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!((run.command, run.arguments), (words(command), words(arguments)));
        assert_eq!(run.instances.is_some(), instances);
    };
    check("stead run server.js -i max", &["server.js"], &[], true);
    check("stead run -i -1 node server.js", &["node", "server.js"], &[], true);
    check("stead run server.js -i max -- -i 3", &["server.js"], &["-i", "3"], true);
    check("stead run npm run dev -- --port 1", &["npm", "run", "dev"], &["--port", "1"], false);
    check("stead run", &[], &[], false);
}
