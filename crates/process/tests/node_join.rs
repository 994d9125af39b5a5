//! A Node.js server behind wrappers joins when it listens.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as tests do")]

mod node;

use std::os::fd::OwnedFd;
use std::path::Path;

use node::{Program, Worker, within};
use serde_json::json;
use stead_process::node::environment::{self, Environment};
use stead_process::node::{ClusterMessage, FromWorker, Serialization, ServerKind};
use tokio::net::UnixListener;

const SERVER: &str = "
const cluster = require('cluster');
const server = require('http').createServer((request, response) => response.end(JSON.stringify({
  id: cluster.worker.id, remote: request.socket.remoteAddress, options: process.env.NODE_OPTIONS,
}) + '\\n'));
server.on('error', (error) => console.log(error.code));
process.on('message', (m) => process.send({ echo: m }));
console.log(JSON.stringify([cluster.isWorker, cluster.worker && cluster.worker.id]));
server.listen(+process.env.TEST_PORT || 8080, '127.0.0.1', () => console.log('listening'));
";

fn late(environment: &mut Environment, directory: &Path) {
    let preload = directory.join("preload.cjs");
    let worker = environment::Worker { id: 12, preload: &preload };
    environment::add_late_worker(environment, &directory.join("join.sock"), worker);
    // npm's own notices would be the first lines printed.
    environment.push(("npm_config_update_notifier".into(), "false".into()));
    environment.push(("npm_config_loglevel".into(), "silent".into()));
}

async fn joined(command: &[&str], files: &[(&str, &str)]) -> Worker {
    let mut listener = None;
    let program = Program::start(command, files, None, |environment, directory| {
        late(environment, directory);
        listener = Some(UnixListener::bind(directory.join("join.sock")).unwrap());
    });
    let listener = listener.unwrap();
    let (stream, _) = within("joining", listener.accept()).await.unwrap();
    let socket = OwnedFd::from(stream.into_std().unwrap());
    Worker::over(program, socket, Serialization::Json)
}

async fn check(command: &[&str], files: &[(&str, &str)]) {
    let mut worker = joined(command, files).await;
    worker.hears(FromWorker::Online).await;
    assert_eq!(worker.program.printed().await, json!([true, 12]));
    let query = worker.serve().await;
    assert_eq!((query.port, query.kind), (Some(8080), Some(ServerKind::Http)));
    assert_eq!(worker.program.printed().await, json!("listening"));
    let seen = worker.connect(&query, None).await.get("Forwarded: for=\"1.2.3.4:5\"\r\n").await;
    assert_eq!(seen, json!({"id": 12, "remote": "1.2.3.4"}), "and the options are cleaned");
    worker.channel.send(&json!("hello")).unwrap();
    assert_eq!(worker.message().await, json!({"echo": "hello"}));
    worker.channel.cluster(ClusterMessage::Disconnect, None).unwrap();
    worker.end().await;
    assert_eq!(worker.program.exit().await.code(), Some(0), "the wrapper ends with it");
}

#[tokio::test]
async fn a_server_behind_npm_joins() {
    let package =
        format!(r#"{{"name":"t","version":"1.0.0","scripts":{{"start":"'{}' server.js"}}}}"#, node::node());
    check(&["npm", "start"], &[("package.json", &package), ("server.js", SERVER)]).await;
}

#[tokio::test]
async fn a_server_behind_a_shell_joins() {
    check(&["sh", "-c", &format!("'{}' server.js; exit $?", node::node())], &[("server.js", SERVER)]).await;
}

#[tokio::test]
async fn a_module_joins() {
    let module = format!("import {{ createRequire }} from 'node:module'; import * as http from 'node:http'; import cluster from 'node:cluster';
        const require = createRequire(import.meta.url); await 1; {{ {SERVER} }}");
    check(&[&node::node(), "server.mjs"], &[("server.mjs", &module)]).await;
}

#[tokio::test]
async fn a_wrapper_s_own_listeners_are_no_reason_to_join() {
    let wrapper = format!(
        "const net = require('net'), dgram = require('dgram');
         const own = [net.createServer().listen('own.sock'), net.createServer().listen(), net.createServer().listen(0, '127.0.0.1')];
         const datagrams = dgram.createSocket('udp4').bind(0, () => Promise.all(own.map((s) => s.listening || new Promise((ok) => s.on('listening', ok)))).then(() => {{
           for (const s of own) s.close();
           datagrams.close();
           {SERVER}
         }}));"
    );
    check(&[&node::node(), "server.js"], &[("server.js", &wrapper)]).await;
}

#[tokio::test]
async fn a_program_that_never_listens_ends_as_always() {
    let mut program =
        Program::start(&[&node::node(), "app.js"], &[("app.js", "console.log('done')")], None, late);
    assert_eq!(program.printed().await, json!("done"));
    assert_eq!(program.exit().await.code(), Some(0));
}

#[tokio::test]
async fn when_nobody_is_there_the_server_listens_by_itself() {
    for stale in [false, true] {
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let mut program = Program::start(
            &[&node::node(), "app.js"],
            &[("app.js", SERVER)],
            None,
            |environment, directory| {
                late(environment, directory);
                environment.push(("TEST_PORT".into(), port.to_string().into()));
                if stale {
                    drop(std::os::unix::net::UnixListener::bind(directory.join("join.sock")).unwrap());
                }
            },
        );
        assert_eq!(program.printed().await, json!([true, 12]));
        assert_eq!(program.printed().await, json!("listening"));
        assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok());
    }
}
