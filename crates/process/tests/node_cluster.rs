//! Unmodified Node.js servers are clustered: they ask us for their ports, get their connections from us, and
//! leave when we say so.

mod node;

use std::net::{TcpListener, UdpSocket};

use node::{Worker, within};
use serde_json::{Value, json};
use stead_process::node::{
    AddressType, ClusterMessage, Continuation, FromWorker, Received, Serialization, ServerKind,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Answers every request with what it sees of its client, and prints its address.
const INFO: &str = "
const server = require('http').createServer((request, response) => {
  const { remoteAddress, remotePort, remoteFamily } = request.socket;
  const body = JSON.stringify({ remote: [remoteAddress, remotePort, remoteFamily] }) + '\\n';
  setTimeout(() => response.end(body), +(request.headers.wait || 0));
});
server.on('upgrade', (request, socket) => socket.end(JSON.stringify({ remote: [socket.remoteAddress, socket.remotePort] }) + '\\n'));
server.on('error', (error) => console.log(JSON.stringify({ error: error.code, syscall: error.syscall, port: error.port })));
const listen = (...a) => server.listen(...a, () => console.log(JSON.stringify(server.address())));
";

fn info(listen: &str) -> Worker {
    Worker::cluster(&format!("{INFO}listen({listen});"))
}

#[tokio::test]
async fn a_server_asks_and_believes_the_answer() {
    let mut worker = info("8080, '127.0.0.1'");
    worker.hears(FromWorker::Online).await;
    let query = worker.query().await;
    assert_eq!((query.address.as_deref(), query.port, query.index), (Some("127.0.0.1"), Some(8080), 0));
    assert_eq!((query.address_type, query.kind), (AddressType::Tcp4, Some(ServerKind::Http)));
    worker.answer(&query, None, None);
    assert_eq!(worker.listening().await.port, Some(8080));
    let address = json!({"address": "127.0.0.1", "family": "IPv4", "port": 8080});
    assert_eq!(worker.program.printed().await, address);
    assert!(worker.connect(&query, None).await.get("").await.is_object());
}

#[tokio::test]
async fn a_worker_does_not_notice_that_another_process_goes_on_with_its_channel() {
    let (mut worker, held) = Worker::cluster_held(&format!("{INFO}listen(8080);"));
    let another = held.try_clone().unwrap();
    let query = worker.serve().await;
    let mut first = worker.connect(&query, None).await;
    // Handed over with a connection whose arrival the worker has not confirmed to us.
    let (_, mut second) = worker.give(&query.key(), None);
    let released = worker.channel.release().await;
    assert!(released.unsent.is_empty());
    let mut worker = worker.resume(held, released.continuation);
    let mut third = worker.connect(&query, None).await;
    // And after a death, of which nothing is known but that numbers must be larger.
    let (_, mut fourth) = worker.give(&query.key(), None);
    assert!(worker.channel.release().await.continuation.seq < 1 << 32);
    let mut worker = worker.resume(another, Continuation { seq: 1 << 32, ..Continuation::default() });
    let mut fifth = worker.connect(&query, None).await;
    for connection in [&mut first, &mut second, &mut third, &mut fourth, &mut fifth] {
        assert!(connection.get("").await.is_object());
    }
}

#[tokio::test]
async fn each_request_shows_its_own_client() {
    let mut worker = info("8080");
    let query = worker.serve().await;
    let mut connection = worker.connect(&query, None).await;
    for (headers, remote) in [
        ("", json!([null, null, null])),
        (
            "Forwarded: for=\"203.0.113.9:5678\";host=\"t\";proto=http\r\n",
            json!(["203.0.113.9", 5678, "IPv4"]),
        ),
        ("Forwarded: for=\"[2001:db8::1]:443\"\r\n", json!(["2001:db8::1", 443, "IPv6"])),
        ("Forwarded: for=\"6.6.6.6:1\", for=\"1.2.3.4:5\"\r\n", json!(["1.2.3.4", 5, "IPv4"])),
        ("Forwarded: for=\"6.6.6.6:1\"\r\nForwarded: for=\"1.2.3.4:5\"\r\n", json!(["1.2.3.4", 5, "IPv4"])),
        (
            "Forwarded: for=\"1.2.3.4:5\";host=\"a, for=\\\"6.6.6.6:6\\\", for=7.7.7.7:7\"\r\n",
            json!(["1.2.3.4", 5, "IPv4"]),
        ),
        ("Forwarded: for=unknown\r\n", json!([null, null, null])),
        ("Forwarded: for=\"6.6.6.6:1\", host=x\r\n", json!([null, null, null])),
        ("", json!([null, null, null])),
    ] {
        assert_eq!(connection.get(headers).await["remote"], remote, "{headers}");
    }
    connection.send("GET / HTTP/1.1\r\nHost: t\r\nUpgrade: x\r\nConnection: Upgrade\r\nForwarded: for=\"1.1.1.1:9\"\r\n\r\n").await;
    assert_eq!(connection.read_until("\n").await, "{\"remote\":[\"1.1.1.1\",9]}\n");
}

#[tokio::test]
async fn a_connection_may_say_whose_it_is() {
    let remote = json!({"address": "203.0.113.9", "family": "IPv4", "port": 5678});
    let mut worker = info("8080");
    let query = worker.serve().await;
    let mut connection = worker.connect(&query, Some(remote.clone())).await;
    let seen = connection.get("Forwarded: for=\"6.6.6.6:1\"\r\n").await;
    assert_eq!(seen["remote"], json!(["203.0.113.9", 5678, "IPv4"]), "and then no header counts");

    let mut worker =
        Worker::cluster("require('net').createServer((c) => c.end(`${c.remoteAddress}`)).listen(7000)");
    let query = worker.serve().await;
    assert_eq!(query.kind, Some(ServerKind::Net));
    assert_eq!(worker.connect(&query, Some(remote)).await.read_until("9").await, "203.0.113.9");
    assert_eq!(worker.connect(&query, None).await.read_until("for ever").await, "undefined");
}

#[tokio::test]
async fn every_kind_of_server_is_told() {
    for (create, kind) in [
        ("new (class extends require('http').Server {})()", ServerKind::Http),
        ("require('https').createServer()", ServerKind::Https),
        ("require('http2').createServer()", ServerKind::Http2),
        ("require('http2').createSecureServer()", ServerKind::Http2),
        ("require('tls').createServer()", ServerKind::Tls),
        ("require('net').createServer()", ServerKind::Net),
    ] {
        let mut worker = Worker::cluster(&format!("{create}.listen(8443, () => console.log('up'))"));
        let query = worker.serve().await;
        assert_eq!(query.kind, Some(kind), "{create}");
        assert_eq!(worker.program.printed().await, json!("up"));
    }
}

#[tokio::test]
async fn exclusive_ports_are_asked_for_too() {
    for options in ["{ port: 8080, exclusive: true }", "{ port: '8080', host: '::1', reusePort: true }"] {
        let mut worker = info(options);
        assert_eq!(worker.serve().await.port, Some(8080), "{options}");
    }
    let mut worker = info("{ port: 0, host: '127.0.0.1', exclusive: true }");
    let port = worker.program.printed().await["port"].as_u64().unwrap();
    assert!(port > 0, "a port of its own, that nobody else knows, is bound by itself");
}

#[tokio::test]
async fn a_taken_port_is_an_ordinary_error() {
    let script = format!("{INFO}listen(8080); server.once('error', () => setImmediate(() => listen(8080)));");
    let mut worker = Worker::cluster(&script);
    let query = worker.query().await;
    worker.answer(&query, Some(98), None);
    let error = json!({"error": "EADDRINUSE", "syscall": "bind", "port": 8080});
    assert_eq!(worker.program.printed().await, error);
    let query = worker.query().await;
    worker.answer(&query, None, None);
    worker.listening().await;
}

#[tokio::test]
async fn disconnect_lets_requests_finish_and_the_program_ends() {
    let mut worker = info("8080");
    let query = worker.serve().await;
    let mut connection = worker.connect(&query, None).await;
    connection.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\nWait: 200\r\n\r\n").await;
    // The second connection is still on its way when the worker is told to leave, and is served all the same.
    let (seq, mut late) = worker.give(&query.key(), None);
    worker.channel.cluster(ClusterMessage::Disconnect, None).unwrap();
    assert!(worker.accepted(seq).await);
    worker.hears(FromWorker::Close { key: query.key() }).await;
    assert!(late.get("Connection: close\r\n").await.is_object());
    assert!(connection.read_until("}\n").await.starts_with("HTTP/1.1 200"));
    drop((connection, late));
    worker.end().await;
    assert_eq!(worker.program.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_worker_may_leave_by_itself() {
    let script =
        format!("{INFO}listen(8080); server.on('listening', () => require('cluster').worker.disconnect());");
    let mut worker = Worker::cluster(&script);
    worker.serve().await;
    let seq = worker
        .find("its leave", |received| match received {
            Received::Cluster(FromWorker::ExitedAfterDisconnect { seq }) => Ok(seq),
            other => Err(Box::new(other)),
        })
        .await;
    worker.channel.cluster(ClusterMessage::Acknowledge { ack: seq }, None).unwrap();
    worker.end().await;
    assert_eq!(worker.program.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_listening_socket_can_be_shared() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut worker = info(&format!("{}", address.port()));
    let query = worker.query().await;
    worker.answer(&query, None, Some(listener.into()));
    worker.listening().await;
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within("the answer", client.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.contains("\"127.0.0.1\"") || answer.contains("::ffff:127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn datagrams_come_over_a_shared_socket() {
    let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = ours.local_addr().unwrap();
    let mut worker = Worker::cluster(
        "const s = require('dgram').createSocket('udp4'); s.on('message', (m, f) => s.send('got ' + m, f.port, f.address)); s.bind(5300)",
    );
    let query = worker.query().await;
    assert_eq!((query.address_type, query.kind), (AddressType::Udp4, None));
    worker.answer(&query, None, Some(ours.into()));
    worker.listening().await;
    let client = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send_to(b"it", address).await.unwrap();
    let mut buffer = [0; 16];
    let count = within("the answer", client.recv(&mut buffer)).await.unwrap();
    assert_eq!(&buffer[..count], b"got it");
}

#[tokio::test]
async fn a_path_is_asked_for_and_believes_no_header() {
    let mut worker = info("{ path: 'app.sock', readableAll: true }");
    let query = worker.query().await;
    let path = worker.program.directory.path().canonicalize().unwrap().join("app.sock");
    assert_eq!((query.address.as_deref(), query.port), (path.to_str(), Some(-1)));
    assert!(query.readable_all && !query.writable_all);
    // Node.js itself changes the mode of a path it was told is bound, so the answer comes with the socket.
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    worker.answer(&query, None, Some(listener.into()));
    worker.listening().await;
    let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let seen = node::Connection(stream).get("Forwarded: for=\"6.6.6.6:1\"\r\n").await;
    assert_eq!(seen["remote"], json!([null, null, null]));

    let mut worker = info("'other.sock'");
    let query = worker.serve().await;
    let seen = worker.connect(&query, None).await.get("Forwarded: for=\"6.6.6.6:1\"\r\n").await;
    assert_eq!(seen["remote"], json!([null, null, null]));
}

#[tokio::test]
async fn any_port_twice_is_two_listeners() {
    let mut worker = Worker::cluster(
        "for (const n of [1, 2]) { const s = require('http').createServer((q, r) => r.end(`{\"n\":${n}}\\n`)); s.listen(0, () => console.log(s.address().port)); }",
    );
    let queries = [worker.query().await, worker.query().await];
    for (query, port) in queries.iter().zip([41001, 41002]) {
        let sockname = json!({"address": "::", "family": "IPv6", "port": port});
        let answer = ClusterMessage::Answer {
            ack: query.seq,
            key: query.key(),
            errno: None,
            data: Value::Null,
            sockname: Some(sockname),
        };
        worker.channel.cluster(answer, None).unwrap();
        assert_eq!(worker.program.printed().await, json!(port));
        assert_eq!(worker.listening().await.port, Some(port));
    }
    for (query, number) in queries.iter().zip([1, 2]) {
        assert_eq!(worker.connect(query, None).await.get("").await, json!({"n": number}));
    }
}

#[tokio::test]
async fn a_worker_serves_with_the_other_serialization_too() {
    let script = format!("{INFO}listen(8080, '127.0.0.1');");
    let command = [&*node::node(), "app.js"];
    let mut worker = Worker::cluster_with(&command, &[("app.js", &script)], Serialization::Advanced);
    let query = worker.serve().await;
    assert_eq!(query.kind, Some(ServerKind::Http));
    let seen = worker.connect(&query, None).await.get("Forwarded: for=\"1.2.3.4:5\"\r\n").await;
    assert_eq!(seen["remote"], json!(["1.2.3.4", 5, "IPv4"]));
}

#[tokio::test]
async fn a_hundred_connections_at_once_are_all_served() {
    let mut worker = info("8080");
    let query = worker.serve().await;
    let given: Vec<_> = (0..100).map(|_| worker.give(&query.key(), None)).collect();
    for (seq, mut connection) in given {
        assert!(worker.accepted(seq).await);
        assert!(connection.get("").await.is_object());
    }
}

#[tokio::test]
async fn a_worker_out_of_descriptors_refuses_and_lives() {
    let script = format!(
        "{INFO}const fs = require('fs'); const held = []; listen(8080); server.on('listening', () => {{ try {{ for (;;) held.push(fs.openSync('/dev/null')); }} catch {{}} \
         process.on('message', () => {{ for (const fd of held.splice(0, 10)) fs.closeSync(fd); process.send('free'); }}); process.send('full'); }});"
    );
    let limited = format!("ulimit -n 256; exec '{}' app.js", node::node());
    let mut worker =
        Worker::cluster_with(&["sh", "-c", &limited], &[("app.js", &script)], Serialization::Json);
    let query = worker.serve().await;
    assert_eq!(worker.message().await, json!("full"));
    let (seq, _connection) = worker.give(&query.key(), None);
    assert!(!worker.accepted(seq).await, "the connection can go to another worker");
    worker.channel.send(&json!("close some")).unwrap();
    assert_eq!(worker.message().await, json!("free"));
    assert!(worker.connect(&query, None).await.get("").await.is_object());
}

#[tokio::test]
async fn programs_started_by_a_worker_are_none() {
    let mut worker = Worker::cluster(
        "const { execFileSync } = require('child_process');
         const names = ['NODE_CHANNEL_FD', 'NODE_UNIQUE_ID', 'NODE_OPTIONS', 'STEAD_JOIN'];
         console.log(JSON.stringify(names.map((n) => process.env[n])));
         console.log(execFileSync(process.execPath, ['-p', 'require(\"cluster\").isWorker']).toString().trim());
         new (require('worker_threads').Worker)('console.log(JSON.stringify(require(\"cluster\").isWorker))', { eval: true });",
    );
    assert_eq!(worker.program.printed().await, json!([null, null, null, null]));
    for _program_and_thread in 0..2 {
        assert_eq!(worker.program.printed().await, json!(false));
    }
}
