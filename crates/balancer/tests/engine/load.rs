//! Many clients at work while the process that serves them changes.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stead_balancer::{Hand, Road};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, oneshot};

use crate::stand::{Stand, config};

const CLIENTS: usize = 200;
const REQUESTS_EACH: usize = 60;

/// Gives connections to a server that answers each request with its target.
pub(crate) struct Echo(mpsc::UnboundedSender<StdUnixStream>);

impl Hand for Echo {
    fn give(&self, connection: OwnedFd, _: Option<SocketAddr>) -> io::Result<oneshot::Receiver<bool>> {
        let (accepted, answer) = oneshot::channel();
        let _heard = accepted.send(true);
        self.0.send(connection.into()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(answer)
    }
}

impl Echo {
    pub(crate) fn start() -> Road {
        let (sender, mut given) = mpsc::unbounded_channel::<StdUnixStream>();
        std::thread::spawn(move || {
            runtime().block_on(tokio::task::LocalSet::new().run_until(async move {
                while let Some(connection) = given.recv().await {
                    let connection = UnixStream::from_std(connection).expect("it does not block");
                    tokio::task::spawn_local(echo(connection));
                }
            }));
        });
        Road::Handed(Arc::new(Echo(sender)))
    }
}

async fn echo(mut connection: UnixStream) -> io::Result<()> {
    let mut head = Vec::new();
    while connection.read_buf(&mut head).await? > 0 {
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        let target = text.split(' ').nth(1).unwrap_or_default();
        // Some answers take longer than others.
        tokio::time::sleep(Duration::from_micros(200 * (target.len() as u64 % 3))).await;
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len());
        connection.write_all(answer.as_bytes()).await?;
        head.clear();
    }
    Ok(())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an event loop can be made")
}

/// One client with one connection; any failure, and any answer that is not its own, is an error.
async fn client(number: usize, address: SocketAddr, done: &AtomicUsize) -> Result<(), String> {
    let failed = |what: &str, error: io::Error| format!("client {number}: {what}: {error}");
    let mut stream = TcpStream::connect(address).await.map_err(|error| failed("connect", error))?;
    let mut received = Vec::new();
    for request in 0..REQUESTS_EACH {
        let target = format!("/{number}/{request}");
        let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(text.as_bytes()).await.map_err(|error| failed(&target, error))?;
        let end = format!("\r\n\r\n{target}");
        while !received.ends_with(end.as_bytes()) {
            match stream.read_buf(&mut received).await {
                Ok(0) => return Err(format!("client {number}: the end instead of {target}")),
                Ok(_) => (),
                Err(error) => return Err(failed(&target, error)),
            }
        }
        if !received.starts_with(b"HTTP/1.1 200 ") {
            return Err(format!("client {number}: {}", received.escape_ascii()));
        }
        received.clear();
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

#[test]
fn clients_under_load_notice_nothing_of_three_changes() {
    let road = Echo::start();
    let mut stand = Arc::new(Stand::new(config(), 0));
    stand.add_road(&road);
    let (address, done) = (stand.address, Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&done);
    let clients = std::thread::spawn(move || {
        runtime().block_on(async {
            let clients = (0..CLIENTS).map(|number| {
                let done = Arc::clone(&counted);
                tokio::spawn(async move { client(number, address, &done).await })
            });
            let clients: Vec<_> = clients.collect();
            for client in clients {
                client.await.expect("it does not panic")?;
            }
            Ok::<(), String>(())
        })
    });
    let mut requests = 0;
    for change in 1..=3 {
        let enough = change * CLIENTS * REQUESTS_EACH / 4;
        crate::stand::until("some requests are done", || {
            done.load(Ordering::Relaxed) >= enough || clients.is_finished()
        });
        let next = Arc::new(stand.successor(config(), 0));
        next.add_road(&road);
        stand.hand_over(&next);
        stand.idle();
        requests += stand.pool.snapshot().counters.requests;
        stand = next;
    }
    clients.join().expect("it does not panic").expect("no client notices anything");
    requests += stand.pool.snapshot().counters.requests;
    assert_eq!(requests, (CLIENTS * REQUESTS_EACH) as u64, "each request was served once");
    assert!(stand.pool.snapshot().counters.requests > 0, "the last process had some work, too");
}
