//! Finds out from outside whether a worker is ready: it accepts a connection, or answers a path well.

use std::io;
use std::time::Duration;

use stead_balancer::Road;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// Longest wait for one answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// Of an answer that is good already.
const REST_BYTES_MAX: u64 = 64 * 1024;
const REST_WAIT: Duration = Duration::from_millis(500);

/// What counts as ready.
#[derive(Debug, Clone)]
pub(super) enum Check {
    /// It accepts a connection.
    Accepts,
    /// It answers this path with 2xx or 3xx.
    Answers(String),
}

/// Tries until the check succeeds.
pub(super) async fn until_ready(road: &Road, check: &Check, interval: Duration) {
    loop {
        let passed = tokio::time::timeout(ANSWER_WAIT, passes(road, check)).await;
        if matches!(passed, Ok(Ok(true))) {
            return;
        }
        tokio::time::sleep(interval).await;
    }
}

/// Makes the check once.
pub(super) async fn passes(road: &Road, check: &Check) -> io::Result<bool> {
    match road {
        Road::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            match check {
                Check::Accepts => Ok(true),
                Check::Answers(path) => answers(stream, path).await,
            }
        }
        Road::Unix(socket) => {
            let stream = UnixStream::connect(socket).await?;
            match check {
                Check::Accepts => accepts(stream).await,
                Check::Answers(path) => answers(stream, path).await,
            }
        }
        Road::Handed(hand) => {
            let (ours, theirs) = stead_process::socket::pair()?;
            let accepted = hand.give(theirs, None)?;
            let stream = UnixStream::from_std(ours.into())?;
            match check {
                // Only of whole connections it is told whether they were accepted; of others it shows.
                Check::Accepts => match accepted.await {
                    Ok(accepted) => Ok(accepted),
                    Err(_) => accepts(stream).await,
                },
                Check::Answers(path) => answers(stream, path).await,
            }
        }
    }
}

/// An inherited socket takes connections before its program runs; that the program does shows when it has read something.
/// An empty line in front of a request is skipped by every HTTP server (RFC 9112 §2.2).
async fn accepts(mut stream: UnixStream) -> io::Result<bool> {
    stream.write_all(b"\r\n").await?;
    let unread = || match stead_process::socket::unread_bytes(&stream)? {
        0 => Ok(()),
        _ => Err(io::ErrorKind::WouldBlock.into()),
    };
    stream.async_io(tokio::io::Interest::WRITABLE, unread).await?;
    // A program that died with its socket has not read it either. One that speaks first is alive (HTTP/2, SMTP).
    Ok(match stream.try_read(&mut [0]) {
        Ok(count) => count > 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    })
}

async fn answers(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> io::Result<bool> {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: stead\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut start = [0; 12];
    stream.read_exact(&mut start).await?;
    // A program that sees its answer taken notes no broken connection.
    let (mut rest, mut nowhere) = (stream.take(REST_BYTES_MAX), tokio::io::sink());
    let _read = tokio::time::timeout(REST_WAIT, tokio::io::copy(&mut rest, &mut nowhere)).await;
    Ok(start.starts_with(b"HTTP/1.") && matches!(start[9], b'2' | b'3'))
}
