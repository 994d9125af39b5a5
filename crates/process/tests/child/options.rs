//! A child is what its command says: environment, directory, identity, descriptors, group.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::net::UnixStream;

use stead_process::child::{Command, ExecError, ResourceName, SpawnError, Stdio};

/// What a shell prints under the options that `say` sets.
#[track_caller]
fn check(line: &str, say: impl FnOnce(&mut Command) -> &mut Command, expected: &str) {
    let mut command = Command::shell(line);
    say(&mut command);
    let output = command.exec_blocking().unwrap();
    assert_eq!(output.stdout_text().trim_end(), expected, "{line}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn environment_is_inherited_changed_or_replaced() {
    let path = std::env::var("PATH").unwrap();
    check("echo $PATH", |c| c, &path);
    check("echo $PATH $A", |c| c.env("A", "1"), &format!("{path} 1"));
    check("echo $A$B", |c| c.envs([("A", "1"), ("B", "2")]).env_remove("A"), "2");
    check("/usr/bin/env", |c| c.env("A", "1").env_clear().env("B", "2").current_dir("/"), "B=2\nPWD=/");
}

#[test]
fn directory_name_and_arguments_are_as_said() {
    check("pwd", |c| c.current_dir("/usr"), "/usr");
    check("cat \"$1\" </dev/null; echo $?", |c| c.args(["sh", "/dev/null; echo no"]), "1");
    let output = Command::new("/bin/sh").arg0("someone").args(["-c", "echo $0"]).exec_blocking().unwrap();
    assert_eq!(output.stdout, b"someone\n");
}

#[test]
fn limits_and_mask_are_set() {
    check("umask", |c| c.umask(0o027), "0027");
    check(
        "ulimit -n; ulimit -Hc",
        |c| c.limit(ResourceName::Nofile, Some(77)).limit(ResourceName::Core, Some(0)),
        "77\n0",
    );
}

#[test]
fn user_and_groups_are_taken_on() {
    if !is_root() {
        return;
    }
    check("id -u; id -g; id -G", |c| c.uid(12).gid(34).groups([34, 56]), "12\n34\n34 56");
    check("id -G", |c| c.gid(34), "34");
    // The child of another user had a copy of our memory; we can still be traced and dump core.
    assert_eq!(rustix::process::dumpable_behavior().unwrap(), rustix::process::DumpableBehavior::Dumpable);
}

#[test]
fn groups_and_sessions_are_ones_own_only_if_asked_for() {
    let fields = "cut -d' ' -f5,6 /proc/$$/stat | sed s/$$/self/g";
    // As /proc tells them: 0 in a container whose first process was started from outside, where getsid(2) says 0 too.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let [group, session] = [4, 5].map(|field| stat.split(' ').nth(field).unwrap());
    check(fields, |c| c, &format!("{group} {session}"));
    check(fields, |c| c.own_group(true), &format!("self {session}"));
    check(fields, |c| c.detached(true), "self self");
}

#[test]
fn streams_go_to_files_and_from_other_children() {
    let mut file = tempfile::tempfile().unwrap();
    let mut first = Command::new("printf").arg("a\\nb\\n").stdout(Stdio::Piped).spawn().unwrap();
    let mut count = Command::new("wc");
    count.arg("-l").stdin(first.stdout.take().unwrap()).stdout(file.try_clone().unwrap());
    let mut second = count.spawn().unwrap();
    assert!(first.wait_blocking().unwrap().success() && second.wait_blocking().unwrap().success());
    file.rewind().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text.trim(), "2");
    // What was given belongs to the child that has it.
    assert!(matches!(count.spawn(), Err(SpawnError::Other { .. })));
}

#[test]
fn further_descriptors_are_where_they_were_asked_for_and_no_others() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"seven").unwrap();
    drop(writer);
    // The shell itself needs 3 for the folder that it lists.
    let list = "cat <&7; ls /proc/self/fd | tr '\\n' ' '";
    check(list, |c| c.descriptor(7, reader).descriptor(9, Stdio::Null), "seven0 1 2 3 7 9");

    let mut child = Command::shell("read line <&5; echo got $line >&5");
    let mut child = child.descriptor(5, Stdio::Piped).spawn().unwrap();
    let mut pipe: UnixStream = child.take_pipe(5).unwrap();
    pipe.write_all(b"it\n").unwrap();
    let mut answer = String::new();
    pipe.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "got it\n");
    assert!(child.wait_blocking().unwrap().success());
}

#[test]
fn a_channel_of_ours_is_not_handed_on() {
    let mut outer = Command::new(std::env::current_exe().unwrap());
    outer.args(["options::prints_the_environment_of_a_child", "--exact", "--nocapture"]);
    let outer = outer.env("NODE_CHANNEL_FD", "3").env("PRINT", "1").exec_blocking().unwrap();
    assert!(outer.stdout_text().contains("PRINT=1"), "{}", outer.stdout_text());
    assert!(!outer.stdout_text().contains("NODE_CHANNEL_FD"));
}

#[test]
fn prints_the_environment_of_a_child() {
    if std::env::var_os("PRINT").is_some() {
        assert!(Command::new("env").spawn().unwrap().wait_blocking().unwrap().success());
    }
}

#[test]
fn what_cannot_be_started_says_why() {
    let check = |command: &mut Command, words: &str| {
        let error = command.spawn().unwrap_err();
        assert_eq!(error.to_string(), words);
    };
    check(&mut Command::new("no-such-program"), "program `no-such-program` not found");
    check(&mut Command::new("/"), "program `/` cannot be executed");
    check(Command::new("true").current_dir("/no"), "directory `/no` cannot be entered");
    check(
        Command::new("true").descriptor(5, Stdio::Inherit),
        "program `true` could not be started (while placing its descriptors)",
    );
    let script = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    let path = script.into_temp_path();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let name = path.display().to_string();
    check(
        &mut Command::new(path.as_os_str()),
        &format!("the interpreter that program `{name}` names was not found"),
    );
    // A failed start leaves what was given in the command.
    let mut command = Command::new("no-such-program");
    command.stdout(File::open("/dev/null").unwrap());
    for _ in 0..2 {
        assert!(matches!(command.exec_blocking(), Err(ExecError::Spawn(SpawnError::NotFound { .. }))));
    }
}
