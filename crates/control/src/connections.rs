//! The connections of a socket: lets them in, answers what is asked on them, and ends those on which nothing is asked. Who is let
//! in, `gate.rs` decides; what is answered, the router.
//!
//! `axum::serve` waits for ever for a request that has begun, and takes as many connections as there are descriptors.

use crate::gate::Gate;
use crate::messenger::{Fault, Peer};
use crate::quotas::Held;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

/// From the connection, or from the end of the last answer, to the end of the next request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Heads are short: a path, and a few fields.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// A failure to accept that is not a client's (no descriptors, no memory) lasts for a while.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves a socket until the end, and then until all that was asked is answered.
pub(crate) async fn serve(
    listener: UnixListener,
    router: Router,
    gate: Arc<Gate>,
    mut ended: watch::Receiver<bool>,
) {
    let (open, mut all_closed) = mpsc::channel::<()>(1);
    loop {
        let stream = tokio::select! {
            stream = accept(&listener) => stream,
            () = is_true(&mut ended) => break,
        };
        let peer = peer_of(&stream);
        match gate.enter(peer) {
            Ok(ticket) => {
                let conversation = converse(stream, (router.clone(), peer), ended.clone());
                let open = open.clone();
                tokio::spawn(async move {
                    let _held: (Held, mpsc::Sender<()>) = (ticket, open);
                    conversation.await;
                });
            }
            Err(fault) => refuse(&stream, &fault),
        }
    }
    drop((listener, open));
    // Nothing is ever sent: it ends with the last that could.
    all_closed.recv().await;
}

/// One connection, to its end.
async fn converse(stream: UnixStream, (router, peer): (Router, Peer), mut ended: watch::Receiver<bool>) {
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        service.call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ends = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = is_true(&mut ended) => None,
    };
    if ends.is_none() {
        connection.as_mut().graceful_shutdown();
        // An error is that of a client that is gone or is not understood: nobody is there to be told.
        drop(connection.await);
    }
}

async fn accept(listener: &UnixListener) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => (),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// An end that nobody can announce any more is one too.
async fn is_true(ended: &mut watch::Receiver<bool>) {
    drop(ended.wait_for(|ended| *ended).await);
}

fn peer_of(stream: &UnixStream) -> Peer {
    // A peer that is gone already asks nothing.
    let Ok(credentials) = stream.peer_cred() else { return Peer { pid: None, user: u32::MAX } };
    // In another namespace of process numbers the kernel says 0.
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
    Peer { pid, user: credentials.uid() }
}

/// Says why, and hangs up. Nothing is read, and nothing waited for.
fn refuse(stream: &UnixStream, fault: &Fault) {
    let (status, retry) = fault.status();
    let retry = retry.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
    let body = json!({ "error": fault }).to_string();
    let answer = format!(
        "HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\n{retry}connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // A new connection has room for it; one that is gone needs no answer.
    let _unheard = stream.try_write(answer.as_bytes());
}
