//! "Whoever else is on the machine cannot keep my workers from talking, and my hooks can talk to them."

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Stead, Talk, beside, node};

/// Holds a thousand connections, and says how many of them were refused.
const STRANGER: &str = r"
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (2048, 2048))
held = []
for _ in range(1000):
    held.append(socket.socket(socket.AF_UNIX))
    held[-1].connect(sys.argv[1])
print(sum(one.recv(4096)[9:12] == b'403' for one in held), flush=True)
sys.stdin.read()
";

#[test]
fn a_stranger_with_a_thousand_connections_hinders_no_worker() {
    let _turn = beside();
    if !rustix::process::geteuid().is_root() {
        // The folder of anybody else's instance is closed to others.
        return;
    }
    let (stead, talk) = Talk::start(Stead::script(node("talker.js")));
    std::fs::set_permissions(stead.path(), Permissions::from_mode(0o711)).expect("it is ours");
    let folder = format!("/proc/{}/fd", stead.status().daemon_pid());
    let descriptors = || std::fs::read_dir(&folder).expect("it lives").count();
    let before = descriptors();
    let mut command = Command::new("python3");
    command.args(["-c", STRANGER]).arg(talk.socket()).uid(65_534).gid(65_534).current_dir("/");
    let mut stranger = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut refused = String::new();
    let output = stranger.stdout.take().expect("it is a pipe");
    BufReader::new(output).read_line(&mut refused).expect("it says so");
    assert_eq!(refused.trim(), "1000", "each is told that it has no business here");
    let after = descriptors();
    assert!(after < before + 20, "they are closed: {before} descriptors before, {after} after");
    assert_eq!(talk.request(&json!("talker.0"), "echo", &json!(7))["echo"], json!(7));
    stranger.kill().expect("it is ours");
    stranger.wait().expect("it is ours");
}

#[test]
fn a_hook_tells_the_workers_that_they_are_deployed() {
    let _turn = beside();
    let hook = r#"'''curl -s --unix-socket $STEAD_SOCKET -H "Stead-Worker: $STEAD_APP" -d '{"to": "app", "topic": "deployed"}' http://stead/v1/messages'''"#;
    let plan = Stead::script(node("talker.js")).instances(2).set("after_ready", hook);
    let (_stead, talk) = Talk::start(plan);
    for who in ["talker.0", "talker.1"] {
        talk.wait_for(who, &json!({"from": "talker", "topic": "deployed"}), &Value::Null);
    }
}
