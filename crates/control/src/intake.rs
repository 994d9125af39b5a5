//! Takes in the bodies of requests: how long one may be, how long it may take to come, and how many bytes may have come for requests
//! that are not complete yet. Whoever gets a request finds it complete.

use crate::messenger::{Fault, Peer};
use crate::quotas::{Full, Held, Quotas};
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// From the head of a request to the end of its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Of all requests of a socket that are not complete yet. The share of one process is one of the longest there may be.
const BODIES_BYTES_MAX: usize = 256 << 20;
/// So much of each is not counted: no large requests, whoever sends them, keep small ones out. It is limited by the connections.
const BYTES_UNCOUNTED: usize = 4 << 10;

/// The limits of a socket's bodies.
#[derive(Clone)]
pub(crate) struct Intake {
    body_bytes_max: usize,
    room: Arc<Quotas>,
}

impl Intake {
    /// For bodies of so many bytes.
    pub(crate) fn new(body_bytes_max: usize) -> Intake {
        Intake { body_bytes_max, room: Arc::new(Quotas::new(BODIES_BYTES_MAX)) }
    }

    /// What has come counts as its sender's until the request is complete or given up.
    async fn read(&self, mut body: Body, mut held: Held) -> Result<Bytes, Fault> {
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                Fault::new("bad_message", format!("the body ended in the middle: {error}"))
            })?;
            let Ok(data) = frame.into_data() else { continue };
            let size = bytes.len() + data.len();
            if size > self.body_bytes_max {
                let text = format!("the body has more than {} bytes", self.body_bytes_max);
                return Err(Fault::new("too_large", text).with_hint("put it into a file and send its name"));
            }
            held.grow_to(size.saturating_sub(BYTES_UNCOUNTED)).map_err(full)?;
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.into())
    }
}

/// A layer: what comes behind it gets the body at once.
pub(crate) async fn take_in(State(intake): State<Intake>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let peer = head.extensions.get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| *peer);
    let held = intake.room.held_by(peer.unwrap_or_default());
    let read = timeout(BODY_TIMEOUT, intake.read(body, held)).await.unwrap_or_else(|_| {
        Err(Fault::new("timeout", format!("the body did not come within {} s", BODY_TIMEOUT.as_secs())))
    });
    match read {
        Ok(bytes) => next.run(Request::from_parts(head, Body::from(bytes))).await,
        Err(fault) => fault.into_response(),
    }
}

fn full(Full { who, most }: Full) -> Fault {
    let text = format!("{who} is sending more than {} MiB in requests at once", most >> 20);
    Fault::new("full", text).with_hint("send large ones one after the other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_sends_much_at_once_keeps_nobody_else_out() {
        const LARGE: usize = BODIES_BYTES_MAX / 4;
        let intake = Intake::new(LARGE);
        let process = |pid| intake.room.held_by(Peer { pid: Some(pid), user: 1000 });
        // Its first request has come but for the end.
        let mut first = process(1);
        first.grow_to(LARGE - 1).expect("it has as much as one may send");
        let check = async |pid: u32, size: usize, expected: Result<usize, &str>| {
            let read = intake.read(Body::from(vec![0; size]), process(pid)).await;
            let found = read.map(|bytes| bytes.len()).map_err(|fault| fault.message);
            assert_eq!(found, expected.map_err(str::to_owned), "process {pid}, {size} bytes");
        };
        check(1, LARGE, Err("process 1 is sending more than 64 MiB in requests at once")).await;
        check(1, BYTES_UNCOUNTED, Ok(BYTES_UNCOUNTED)).await;
        check(2, LARGE, Ok(LARGE)).await;
        check(2, LARGE + 1, Err("the body has more than 67108864 bytes")).await;
        drop(first);
        check(1, LARGE, Ok(LARGE)).await;
        assert!(intake.room.is_untouched(), "what was taken in is given back");
    }
}
