//! "I have a program and nothing else. Write the file for me, tell me whether it is right, let my editor and my shell know
//! what may stand where, and give me a manual that can be read."

use std::process::Command;

use crate::support::background::Background;
use crate::support::ports::free_port;
use crate::support::{beside, get, node};

#[test]
fn the_first_file_is_written_checked_and_started() {
    let _turn = beside();
    let port = free_port();
    let user = Background::new().env("PORT", port);
    let server = "require('http').createServer((q, r) => r.end('hello\\n')).listen(process.env.PORT)";
    user.write("server.js", server);

    let written = user.done(&["init", "--name", "shop"]);
    assert!(written.stderr.contains("wrote stead.toml: app shop runs `server.js`"), "{written:?}");
    assert!(written.stderr.contains("`stead start`"), "it says what to type next: {written:?}");
    let text = std::fs::read_to_string(user.path().join("stead.toml")).expect("it is there");
    assert_eq!(user.done(&["init", "--name", "shop", "--output", "-", "server.js"]).stdout, text.trim_end());

    let again = user.verb(&["init"]);
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.stderr.contains("`stead.toml` is there already"), "{again:?}");

    let checked = user.done(&["config", "check"]);
    assert!(checked.stdout.starts_with("shop: server.js, 1 worker, in "), "{checked:?}");
    assert_eq!(checked.stderr, "stead.toml is valid: 1 app");
    assert!(user.processes().is_empty(), "looking starts nothing");

    user.done(&["start"]);
    assert_eq!(get(port, "/").text(), "hello\n");
}

#[test]
fn files_of_other_managers_are_imported_and_not_passed_over() {
    let _turn = beside();
    let user = Background::new();
    user.write("server.js", "");
    user.write("ecosystem.config.js", "module.exports = { apps: [] };");
    let refused = user.verb(&["init"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("`stead import ecosystem.config.js`"), "{refused:?}");
    assert!(!user.path().join("stead.toml").exists());
    user.done(&["init", "server.js"]);
}

#[test]
fn options_may_stand_behind_the_command() {
    let _turn = beside();
    let user = Background::new();
    let printed = user.done(&["init", "server.js", "--stdout", "--name", "shop"]).stdout;
    assert!(printed.contains("[app.shop]\n\ncommand = \"server.js\"\n"), "{printed}");
    let printed = user.done(&["init", "--stdout", "python3", "my app.py", "--", "--port", "1"]).stdout;
    assert!(printed.contains("command = \"python3 'my app.py' --port 1\"\n"), "{printed}");
    assert!(!user.path().join("stead.toml").exists());
    std::fs::create_dir(user.path().join("shop")).expect("there is room");
    user.done(&["init", "--output", "shop", "server.js"]);
    assert!(user.path().join("shop/stead.toml").is_file());
}

#[test]
fn a_mistake_in_the_file_is_found_before_it_is_used() {
    let _turn = beside();
    let user = Background::new();
    let check = |text: &str, code: i32, expected: &[&str]| {
        user.write("stead.toml", text);
        let checked = user.verb(&["config", "check"]);
        assert_eq!((checked.code, checked.stdout.as_str()), (Some(code), ""), "{checked:?}");
        expected.iter().for_each(|part| assert!(checked.stderr.contains(part), "{part}: {checked:?}"));
    };
    let unknown = "[app.shop]\ncommand = \"sleep 9\"\ninstnaces = 4\n";
    check(unknown, 2, &["unknown key `instnaces`", "stead.toml:3:1", "did you mean `instances`?"]);
    check("[app.shop]\ncommand = \"sleep 9\"\ngrace = 30\n", 2, &["stead.toml:3:9", "\"30s\""]);
    check("[app.shop]\ncommand = \"slep 9\"\n", 3, &["program `slep` not found"]);
    let nothing = user.verb(&["config", "check", "stead.tml"]);
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
    assert!(nothing.stderr.contains("did you mean `stead.toml`?"), "{nothing:?}");
}

#[test]
fn defaults_and_schema_are_there_for_people_and_editors() {
    let _turn = beside();
    let user = Background::new();
    let defaults = user.done(&["config", "defaults"]).stdout;
    assert!(defaults.contains("\ngrace = \"30s\"\n"), "{defaults}");
    let schema = user.done(&["config", "schema"]).stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("it is JSON");
    let grace = &schema["$defs"]["app"]["properties"]["grace"];
    assert_eq!(grace["default"], "30s");
    assert!(grace["description"].as_str().is_some_and(|reason| defaults.contains(&reason[..40])), "{grace}");
}

/// What Bash offers for the last word of a line.
fn offered(user: &Background, line: &[&str]) -> Vec<String> {
    let binary = env!("CARGO_BIN_EXE_stead");
    let folder = std::path::Path::new(binary).parent().expect("it is in a folder").display();
    let script = format!(
        "PATH={folder}:$PATH; eval \"$(stead completions bash)\"\n\
         COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9\n\
         _clap_complete_stead stead \"${{!#}}\" ''\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let mut bash = Command::new("bash");
    // The environment of this user; the words of the line are its arguments.
    for (name, value) in user.command(&[]).get_envs() {
        value.map(|value| bash.env(name, value));
    }
    let output = bash.args(["--norc", "-c", &script, "bash"]).args(line).output().expect("bash runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_verbs_options_and_the_apps_that_run() {
    let _turn = beside();
    let user = Background::new().env("PORT", free_port());
    assert_eq!(offered(&user, &["stead", "relo"]), ["reload"]);
    assert_eq!(offered(&user, &["stead", "reload", "--up"]), ["--update-env"]);
    assert_eq!(
        offered(&user, &["stead", "reload", "sh"]),
        [""],
        "nothing runs, and nothing is said about it"
    );
    user.done(&["start", &node("hello.js"), "--name", "shop"]);
    for verb in ["reload", "stop", "show", "logs", "scale", "start"] {
        assert_eq!(offered(&user, &["stead", verb, "sh"]), ["shop"], "{verb}");
    }
}

#[test]
fn other_shells_take_the_script() {
    let _turn = beside();
    let user = Background::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = user.done(&["completions", shell]).stdout;
        let file = user.write(&format!("stead.{shell}"), &script);
        assert!(script.contains("STEAD_COMPLETE"), "{script}");
        // A shell that is not installed has nothing to say about it.
        if let Ok(read) = Command::new(shell).arg("-n").arg(&file).output() {
            assert!(read.status.success() && read.stderr.is_empty(), "{shell}: {read:?}");
        }
    }
}

#[test]
fn every_page_of_the_manual_is_clean() {
    let _turn = beside();
    let user = Background::new();
    let written = user.done(&["man", "--output", "man1"]);
    let pages: Vec<_> = std::fs::read_dir(user.path().join("man1")).expect("it was made").flatten().collect();
    assert!(written.stderr.contains(&format!("wrote {} pages", pages.len())), "{written:?}");
    for page in pages {
        let source = std::fs::read(page.path()).expect("it was written");
        // The classic macros; without groff there is nobody to complain.
        if let Ok(groff) =
            Command::new("groff").args(["-man", "-ww", "-Tutf8", "-z"]).arg(page.path()).output()
        {
            assert!(groff.stderr.is_empty(), "{}: {groff:?}", page.path().display());
        }
        assert!(source.starts_with(b".ie") || source.starts_with(b".TH"), "{}", page.path().display());
    }
    let start = user.done(&["man", "start"]).stdout;
    assert!(start.contains("SYNOPSIS") && start.contains("EXIT STATUS"), "{start}");
    let unknown = user.verb(&["man", "strat"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("did you mean `start`?"), "{unknown:?}");
}

#[test]
fn data_that_cannot_be_written_is_a_failure() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let user = Background::new();
    for words in [&["config", "schema"][..], &["list", "--json"], &["man", "start"]] {
        let output = user.command(words).stdout(full()).output().expect("it can be run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.contains("No space left"), "{words:?}: {said}");
    }
}
