//! Servers that read the same bytes: Stead, NGINX, HAProxy and chains of them, each before a recorder of its own, and Node's
//! http server, which is one itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::ports::free_port;
use crate::support::{Client, Stead, fixture, node, soon};

/// A server, and what the last one behind it has read.
pub(super) struct Front {
    pub(super) name: &'static str,
    pub(super) port: u16,
    records: PathBuf,
    /// Front to back, so that nobody tries again what is gone already.
    _running: Vec<Running>,
}

#[expect(dead_code, reason = "what is in it is there to end with it")]
enum Running {
    Stead(Box<Stead>),
    Other(Process),
    Files(TempDir),
}

/// A process of the test's own, ended with it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // A master that is killed leaves its workers; one that is asked ends them.
        crate::support::processes::signal(self.0.id(), rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

impl Front {
    /// What was read so far, an object each.
    pub(super) fn records(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(&self.records).expect("the recorder has made it");
        text.lines().map(|line| serde_json::from_str(line).expect("a whole line")).collect()
    }
}

/// `Stead > recorder`.
pub(super) fn stead() -> Front {
    let (files, records) = files();
    let stead = recorded_stead(&records);
    front("Stead", stead.port, records, vec![Running::Stead(Box::new(stead)), Running::Files(files)])
}

/// `NGINX > recorder`.
pub(super) fn nginx() -> Front {
    let (files, records) = files();
    let (back, recorder) = recorder(&records);
    let port = free_port();
    let (program, arguments) = nginx_at(files.path(), port, back);
    let nginx = run(Command::new(program).args(arguments), port);
    front("NGINX", port, records, vec![nginx, recorder, Running::Files(files)])
}

/// `HAProxy > recorder`.
pub(super) fn haproxy() -> Front {
    let (files, records) = files();
    let (back, recorder) = recorder(&records);
    let (port, haproxy) = haproxy_before(files.path(), back);
    front("HAProxy", port, records, vec![haproxy, recorder, Running::Files(files)])
}

/// Node's http server.
pub(super) fn node_http() -> Front {
    let (files, records) = files();
    let port = free_port();
    let mut command = Command::new("node");
    command.arg(node("recorder.js")).env("RECORD_FILE", &records).env("PORT", port.to_string());
    front("Node.js", port, records, vec![run(&mut command, port), Running::Files(files)])
}

/// `Stead > NGINX > recorder`: NGINX is Stead's worker.
pub(super) fn stead_before_nginx() -> Front {
    let (files, records) = files();
    let (back, recorder) = recorder(&records);
    let (program, arguments) = nginx_at(files.path(), 0, back);
    let script = format!(
        "sed s/:0/:$PORT/ nginx.conf > port.conf; exec {program} {}",
        arguments.join(" ").replace("nginx.conf", "port.conf")
    );
    fs::write(files.path().join("start.sh"), script).expect("there is room for a file");
    let plan = Stead::plan(["sh", "start.sh"]).option("--cwd", files.path().display()).listen();
    let stead = plan.start();
    let port = stead.port;
    let running = vec![Running::Stead(Box::new(stead)), recorder, Running::Files(files)];
    front("Stead > NGINX", port, records, running)
}

/// `HAProxy > Stead > recorder`.
pub(super) fn haproxy_before_stead() -> Front {
    let (files, records) = files();
    let stead = recorded_stead(&records);
    let (port, haproxy) = haproxy_before(files.path(), stead.port);
    let running = vec![haproxy, Running::Stead(Box::new(stead)), Running::Files(files)];
    front("HAProxy > Stead", port, records, running)
}

fn front(name: &'static str, port: u16, records: PathBuf, running: Vec<Running>) -> Front {
    Front { name, port, records, _running: running }
}

fn files() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let records = directory.path().join("records");
    (directory, records)
}

fn recorded_stead(records: &Path) -> Stead {
    let plan = Stead::plan(["python3".to_owned(), fixture("python/recorder.py")]);
    plan.listen().env("RECORD_FILE", records.display()).start()
}

/// The strict server at the end, and its port.
fn recorder(records: &Path) -> (u16, Running) {
    let port = free_port();
    let mut command = Command::new("python3");
    command.arg(fixture("python/recorder.py")).env("RECORD_FILE", records).env("PORT", port.to_string());
    (port, run(&mut command, port))
}

/// How NGINX is run in this directory.
fn nginx_at(directory: &Path, port: u16, back: u16) -> (&'static str, Vec<String>) {
    let folder = directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};"))
        .concat();
    // Only a master that runs as root changes user, and then its workers could not enter the folder.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let config = format!(
        "daemon off; {user} worker_processes 1; pid {folder}/nginx.pid; events {{}}
        http {{ access_log off; {temporary}
          upstream back {{ server 127.0.0.1:{back}; keepalive 4; }}
          server {{ listen 127.0.0.1:{port}; server_name t;
            location / {{ proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection \"\";
              proxy_set_header Host $host; proxy_ignore_client_abort on; }} }} }}"
    );
    fs::write(directory.join("nginx.conf"), config).expect("there is room for a file");
    let arguments = format!("-e {folder}/error.log -p {folder} -c {folder}/nginx.conf");
    ("nginx", arguments.split(' ').map(str::to_owned).collect())
}

fn haproxy_before(directory: &Path, back: u16) -> (u16, Running) {
    let (port, path) = (free_port(), directory.join("haproxy.cfg"));
    let config = format!(
        "global\n maxconn 100\n nbthread 1\ndefaults\n mode http\n timeout connect 5s\n timeout client 20s\n \
         timeout server 20s\n http-reuse always\nfrontend public\n bind 127.0.0.1:{port}\n default_backend back\n\
         backend back\n server back 127.0.0.1:{back}\n"
    );
    fs::write(&path, config).expect("there is room for a file");
    (port, run(Command::new("haproxy").arg("-f").arg(path), port))
}

fn run(command: &mut Command, port: u16) -> Running {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; ./check installs it"));
    let process = Process(child);
    soon("it listens", || Client::try_connect(port).is_ok());
    Running::Other(process)
}
