//! Sockets of all kinds go along with messages, in order, both ways, and none is left open.

use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use serde_json::json;
use stead_process::channel::{Handle, Message, RecvError, Serialization, blocking};
use tokio::io::AsyncReadExt;

use super::{PATIENCE, echo, node, said, within};

fn handles() -> Vec<Handle> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    vec![
        stream.into(),
        listener.into(),
        UdpSocket::bind("127.0.0.1:0").unwrap().into(),
        UnixStream::pair().unwrap().0.into(),
        UnixListener::bind(folder.path().join("s")).unwrap().into(),
        UnixDatagram::pair().unwrap().0.into(),
    ]
}

fn kind(handle: &Handle) -> String {
    format!("{handle:?}").split('(').next().unwrap().to_owned()
}

#[tokio::test]
async fn every_kind_of_socket_goes_there_and_back_in_order() {
    for form in ["async", "blocking"] {
        for serialization in [Serialization::Json, Serialization::Advanced] {
            let mut forked = echo(form).fork_with(serialization).unwrap();
            let mut kinds = Vec::new();
            for (number, handle) in handles().into_iter().enumerate() {
                kinds.push(kind(&handle));
                forked.channel.send(&json!(["before", number])).await.unwrap();
                forked.channel.send_handle(&json!({ "number": number }), handle).await.unwrap();
            }
            for (number, expected) in kinds.iter().enumerate() {
                let before = said(
                    within(&format!("{form} {serialization:?} message {number}"), forked.channel.recv())
                        .await,
                );
                assert_eq!(before, json!(["before", number]));
                let mut message =
                    within(&format!("{form} {serialization:?} socket {number}"), forked.channel.recv())
                        .await
                        .unwrap()
                        .unwrap();
                assert_eq!(message.value().unwrap(), json!({ "number": number }));
                assert_eq!(kind(&message.take_handle().unwrap()), *expected, "{form}");
                assert!(message.take_handle().is_none());
            }
        }
    }
}

#[test]
fn a_blocking_parent_passes_sockets_too() {
    let mut forked = echo("async").fork_blocking(Serialization::Json).unwrap();
    for (number, handle) in handles().into_iter().enumerate() {
        forked.channel.send_handle(&number, handle).unwrap();
        forked.channel.send("behind").unwrap();
    }
    for number in 0..handles().len() {
        let mut message = forked.channel.recv().unwrap().unwrap();
        assert_eq!(message.value().unwrap(), json!(number));
        assert!(message.take_handle().is_some());
        assert_eq!(said(forked.channel.recv()), "behind");
    }
}

/// Node.js says nothing more before a socket of it is confirmed.
#[test]
fn a_socket_is_confirmed_while_a_blocking_parent_waits_to_write() {
    // Does not read until its socket has come here, where a message is being written that only its reading ends.
    let script = "
process.once('message', () => require('net').createServer().listen(0, '127.0.0.1', function () {
  process.send('socket', this);
  process.send('behind');
  const until = Date.now() + 100;
  while (Date.now() < until);
}));";
    let mut forked = node(script).fork_blocking(Serialization::Json).unwrap();
    forked.channel.send("go").unwrap();
    forked.channel.send(&"x".repeat(4 * 1024 * 1024)).unwrap();
    assert!(forked.channel.recv().unwrap().unwrap().take_handle().is_some());
    let behind = forked.channel.recv_timeout(PATIENCE).expect("it was confirmed");
    assert_eq!(said(behind), "behind");
}

/// The socket was filled by the last message that was sent, so that the confirmation has to wait until the other side reads.
#[test]
fn a_socket_is_confirmed_while_a_blocking_side_waits_to_receive() {
    type Heard = Result<Message, RecvError>;
    type Next = fn(&mut blocking::Channel) -> Result<Option<Heard>, blocking::Timeout>;
    let recv: Next = |here| Ok(here.recv());
    let recv_timeout: Next = |here| here.recv_timeout(PATIENCE);
    for next in [recv, recv_timeout] {
        let (here, there) = stead_process::socket::pair().unwrap();
        let mut filled = UnixStream::from(here);
        filled.set_nonblocking(true).unwrap();
        let line = format!("\"{}\"\n", "x".repeat(1000));
        while filled.write(line.as_bytes()).is_ok_and(|written| written == line.len()) {}
        let mut here = blocking::Channel::open(filled.into(), Serialization::Json).unwrap();
        let mut there = blocking::Channel::open(there, Serialization::Json).unwrap();
        there.send_handle("socket", UnixStream::pair().unwrap().0).unwrap();
        assert!(here.recv().unwrap().unwrap().take_handle().is_some());

        let (hears, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || hears.send(said(next(&mut here).expect("it was confirmed"))));
        // Waits for the confirmation.
        let sending = std::thread::spawn(move || (there.send("behind"), there));
        assert_eq!(heard.recv_timeout(PATIENCE).expect("it was confirmed"), "behind");
        sending.join().unwrap().0.unwrap();
    }
}

/// The tutorial's server that gives each connection away. Nobody receives on the parent's side: what the child confirms is
/// heard all the same.
#[tokio::test]
async fn a_node_child_serves_connections_that_a_silent_parent_gives_away() {
    let script = "process.on('message', (m, socket) => socket && socket.end(`hello ${m.number}`))";
    let forked = node(script).fork().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    for number in 0..600 {
        let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (connection, _) = listener.accept().await.unwrap();
        let (message, handle) = (json!({ "number": number }), connection.into_std().unwrap());
        within("room", forked.channel.send_handle(&message, handle)).await.unwrap();
        let mut text = String::new();
        within("hello", client.read_to_string(&mut text)).await.unwrap();
        assert_eq!(text, format!("hello {number}"));
    }
}

#[tokio::test]
async fn what_is_no_socket_is_refused() {
    let forked = echo("async").fork().unwrap();
    let file = Handle::Other(tempfile::tempfile().unwrap().into());
    assert!(forked.channel.send_handle(&1, file).await.is_err());
}
