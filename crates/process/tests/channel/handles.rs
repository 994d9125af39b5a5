//! Sockets of all kinds go along with messages, in order, both ways, and none is left open.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use serde_json::json;
use stead_process::channel::{Handle, Serialization};
use tokio::io::AsyncReadExt;

use super::{echo, memory, node, open_descriptors, said, within};

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

#[tokio::test]
async fn descriptors_and_memory_are_flat_after_many_messages_and_sockets() {
    const MESSAGES: usize = 100_000;
    const HANDLES: usize = 10_000;
    let mut forked = echo("async").fork().unwrap();
    let descriptors_of = async |forked: &mut stead_process::child::Forked| {
        forked.channel.send("descriptors").await.unwrap();
        said(within("its descriptors", forked.channel.recv()).await)
    };
    let theirs = descriptors_of(&mut forked).await;
    let ours = open_descriptors();
    let mut memory_before = 0;
    for half in 0..2 {
        let (sender, receiver) = (forked.channel.sender.clone(), &mut forked.channel.receiver);
        let sending = async {
            for number in 0..MESSAGES / 2 {
                sender.send(&number).await.unwrap();
                if number % (MESSAGES / HANDLES) == 0 {
                    let (socket, _) = UnixStream::pair().unwrap();
                    sender.send_handle("socket", socket).await.unwrap();
                }
            }
        };
        let receiving = async {
            let (mut numbers, mut sockets) = (0, 0);
            while (numbers, sockets) != (MESSAGES / 2, HANDLES / 2) {
                let mut message = receiver.recv().await.unwrap().unwrap();
                match message.take_handle() {
                    Some(_) => sockets += 1,
                    None => {
                        assert_eq!(message.parse::<usize>().unwrap(), numbers);
                        numbers += 1;
                    }
                }
            }
        };
        within("all of it", async { tokio::join!(sending, receiving) }).await;
        if half == 0 {
            memory_before = memory();
        }
    }
    assert_eq!(descriptors_of(&mut forked).await, theirs, "in the child");
    assert!(open_descriptors() <= ours, "{} descriptors, {ours} before", open_descriptors());
    assert!(memory() < memory_before + 4096, "{} kB, {memory_before} before", memory());
}
