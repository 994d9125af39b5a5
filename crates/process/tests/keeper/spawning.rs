//! A child runs as asked, or the reason is told exactly.

use std::os::unix::fs::PermissionsExt;

use stead_process::keeper::ChildId;
use stead_process::spawn::SpawnSpec;

use crate::harness::{Stead, exit_code, shell, status_field};

#[test]
fn a_child_has_exactly_the_descriptors_it_was_given() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    // Low numbers are the keeper's own at that moment, the others are far above.
    let numbers = [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 40, 1000];
    let files: Vec<String> = numbers.iter().map(|number| stead.path(&format!("file-{number}"))).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let script = "for number in /proc/$$/fd/*; do echo ${number##*/} $(readlink $number); done";
    let (child, _) = daemon.spawn(SpawnSpec { descriptors: numbers.to_vec(), ..shell(script) }, &files);
    assert_eq!(daemon.exit_of(child), exit_code(0));

    let mut expected: Vec<String> =
        numbers.iter().zip(&files).map(|(number, file)| format!("{number} {file}")).collect();
    expected.extend(["0 /dev/null".to_owned(), "2 /dev/null".to_owned()]);
    let mut found: Vec<String> = stead.read("file-1").lines().map(str::to_owned).collect();
    // The shell keeps the script's redirections above 9 while it runs them; those are copies of its own.
    found.retain(|line| !line.contains("pipe:"));
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_child_begins_with_a_clean_slate() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let script = "echo Group: $(cut -d' ' -f5 /proc/$$/stat); echo Directory: $(pwd); echo Files: $(ulimit -n); \
                  echo Environment: $(tr '\\0' ' ' </proc/$$/environ); exec cat /proc/self/status";
    let out = stead.path("out");
    let mut spec = shell(script);
    spec.environment.extend([("LISTEN_PID".into(), "1".into()), ("KEY".into(), "a=b".into())]);
    let spec = SpawnSpec {
        descriptors: vec![1],
        directory: Some("/usr".into()),
        listen_pid: true,
        open_files_max: Some(77),
        ..spec
    };
    let path = spec.environment[0].1.clone().into_string().unwrap();
    let (child, pid) = daemon.spawn(spec, &[&out]);
    assert_eq!(daemon.exit_of(child), exit_code(0));

    let status = stead.read("out");
    let check = |field, value: &str| assert_eq!(status_field(&status, field), value, "{field}");
    let pid = pid.to_string();
    check("Pid", &pid);
    check("PPid", &stead.pid().to_string());
    check("SigBlk", "0000000000000000");
    check("SigIgn", "0000000000000000");
    check("Group", &pid);
    check("Directory", "/usr");
    check("Files", "77");
    check("Environment", &format!("PATH={path} KEY=a=b LISTEN_PID={pid}"));
}

#[test]
fn an_error_of_exec_comes_back_exactly() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let write = |name: &str, text: &str, mode| {
        let path = stead.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let plain = write("plain", "#!/bin/sh\n", 0o644);
    let garbage = write("garbage", "\u{1}\u{2}\u{3}", 0o755);
    let orphan = write("orphan", "#!/no/such/interpreter\n", 0o755);
    let path = stead.path("");
    let missing = stead.path("missing");
    let mut check = |program: &str, expected: &str| {
        let environment = vec![("PATH".into(), format!("/no/such:{path}").into())];
        let error = daemon.spawn_error(SpawnSpec { environment, ..SpawnSpec::new(program) });
        assert_eq!(error, expected.replace("{}", program));
    };
    check("nod", "program `{}` not found");
    check(&missing, "program `{}` not found");
    check(&format!("{plain}/below"), "program `{}` not found");
    check("", "program `{}` not found");
    check(&plain, "program `{}` cannot be executed: Permission denied (os error 13)");
    check("plain", "program `{}` cannot be executed: Permission denied (os error 13)");
    check("/", "program `{}` cannot be executed: Permission denied (os error 13)");
    check(&garbage, "program `{}` cannot be executed: Exec format error (os error 8)");
    check("garbage", "program `{}` cannot be executed: Exec format error (os error 8)");
    check(&orphan, "the interpreter that program `{}` names was not found");
    check("orphan", "the interpreter that program `{}` names was not found");
    check("a\0b", "program `{}` could not be started (while preparing it): Invalid argument (os error 22)");

    let spec = SpawnSpec { directory: Some("/no/such".into()), ..shell("true") };
    let expected = "directory `/no/such` cannot be entered: No such file or directory (os error 2)";
    assert_eq!(daemon.spawn_error(spec), expected);
    let spec = SpawnSpec { descriptors: vec![5], ..shell("true") };
    assert!(daemon.spawn_error(spec).contains("while placing its descriptors"));
    assert_eq!(stead.children(), [daemon.pid], "nothing is left of any of them");
}

#[test]
fn a_program_is_found_in_the_childs_own_path() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let directory = stead.path("bin");
    std::fs::create_dir(&directory).unwrap();
    let program = stead.path("bin/only-here");
    std::fs::write(&program, "#!/bin/sh\nexit 7\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();

    let spec = SpawnSpec::new("only-here");
    assert_eq!(daemon.spawn_error(spec.clone()), "program `only-here` not found");
    let environment = vec![("PATH".into(), directory.into())];
    let (child, _) = daemon.spawn(SpawnSpec { environment, ..spec.clone() }, &[]);
    assert_eq!(daemon.exit_of(child), exit_code(7));
    // Relative to where the child runs.
    let environment = vec![("PATH".into(), "bin".into())];
    let directory = Some(stead.path("").into());
    let (child, _) = daemon.spawn(SpawnSpec { environment, directory, ..spec }, &[]);
    assert_eq!(daemon.exit_of(child), exit_code(7));
    assert_eq!(child, ChildId(2), "failures use up no number");
}

#[test]
fn a_child_nobody_waits_for_is_killed() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let spec = shell("exec sleep 1000");
    daemon.obey(&crate::commands::Command::SpawnAndForget { spec, files: Vec::new() });
    // Its end is not reported, since its beginning was not.
    let (child, _) = daemon.spawn(shell("exit 0"), &[]);
    assert_eq!(daemon.exit_of(child), exit_code(0));
    daemon.settle_alone(&stead);
}
