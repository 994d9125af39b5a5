//! Messages and descriptors pass between us and a Node.js program as between two Node.js programs.

mod node;

use std::net::TcpListener;

use node::{Connection, Worker};
use serde_json::json;
use stead_process::node::{Received, Serialization};
use stead_process::socket;
use tokio::net::UnixStream;

const BOTH: [Serialization; 2] = [Serialization::Json, Serialization::Advanced];

#[tokio::test]
async fn messages_pass_both_ways_in_order() {
    for serialization in BOTH {
        let mut worker = Worker::fork("process.on('message', (m) => process.send(m))", serialization);
        let messages = [
            json!(null),
            json!("shutdown"),
            json!({"deep": [1, -2, 1.5, true, {"é": "日本語"}], "big": "x".repeat(300_000)}),
            json!(4_294_967_296u64),
        ];
        for message in &messages {
            worker.channel.send(message).unwrap();
        }
        for message in &messages {
            assert_eq!(&worker.message().await, message, "{serialization:?}");
        }
    }
}

#[tokio::test]
async fn closing_ends_a_program_that_only_listens_to_us() {
    let mut worker =
        Worker::fork("process.on('message', () => {}); process.send('ready')", Serialization::Json);
    assert_eq!(worker.message().await, json!("ready"));
    worker.channel.close();
    assert_eq!(worker.program.exit().await.code(), Some(0));
}

#[tokio::test]
async fn what_is_cut_off_at_the_end_is_dropped() {
    let script = "process.send('first'); process.send('x'.repeat(8e6)); process.exit(3)";
    let mut worker = Worker::fork(script, Serialization::Json);
    assert_eq!(worker.message().await, json!("first"));
    worker.end().await;
    assert_eq!(worker.program.exit().await.code(), Some(3));
}

#[tokio::test]
async fn a_program_gets_sockets_in_order_with_messages() {
    let script = "process.on('message', (m, handle) => process.send([m, handle ? handle.constructor.name : null]) \
                  && handle && handle.end && handle.end('hello'))";
    for serialization in BOTH {
        let mut worker = Worker::fork(script, serialization);
        let (ours, theirs) = socket::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        worker.channel.send(&json!(1)).unwrap();
        worker.channel.send_handle(json!(2), theirs).unwrap();
        worker.channel.send(&json!(3)).unwrap();
        worker.channel.send_handle(json!(4), listener.into()).unwrap();
        worker.channel.send_handle(json!(5), datagrams.into()).unwrap();
        worker.channel.send(&json!(6)).unwrap();
        let kinds = [None, Some("Socket"), None, Some("Server"), Some("Socket"), None];
        for (number, kind) in (1..).zip(kinds) {
            assert_eq!(worker.message().await, json!([number, kind]), "{serialization:?}");
        }
        let mut connection = Connection(UnixStream::from_std(ours.into()).unwrap());
        assert_eq!(connection.read_until("hello").await, "hello");
    }
}

#[tokio::test]
async fn a_program_may_send_us_its_connection_and_goes_on() {
    let script = "
const server = require('net').createServer((c) => {
  process.send('take it', c);
  process.send('behind it');
  server.close(() => process.send('closed'));
}).listen(0, '127.0.0.1', () => process.send(server.address().port));";
    for serialization in BOTH {
        let mut worker = Worker::fork(script, serialization);
        let port = worker.message().await.as_u64().unwrap();
        let client =
            tokio::net::TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).await.unwrap();
        let descriptor = worker
            .find("the connection", |received| match received {
                Received::Handle { message, descriptor } if message == json!("take it") => Ok(descriptor),
                other => Err(Box::new(other)),
            })
            .await;
        let stream = std::net::TcpStream::from(descriptor);
        assert_eq!(stream.peer_addr().unwrap(), client.local_addr().unwrap());
        assert_eq!(worker.message().await, json!("behind it"));
        assert_eq!(worker.message().await, json!("closed"), "it heard what became of its connection");
    }
}
