//! Takes in the bodies of requests: how long one may be, how long it may take to come, and how many bytes may have come for requests
//! that are not complete yet. Whoever gets a request finds it complete.

use crate::messenger::Fault;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// From the head of a request to the end of its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Of all requests of a socket that are not complete yet.
const BODIES_BYTES_MAX: usize = 256 << 20;

/// The limits of a socket's bodies.
#[derive(Clone)]
pub(crate) struct Intake {
    body_bytes_max: usize,
    room: Arc<Semaphore>,
}

impl Intake {
    /// For bodies of so many bytes.
    pub(crate) fn new(body_bytes_max: usize) -> Intake {
        Intake { body_bytes_max, room: Arc::new(Semaphore::new(BODIES_BYTES_MAX)) }
    }

    async fn read(&self, mut body: Body) -> Result<Bytes, Fault> {
        let mut bytes = Vec::new();
        // What has come is given back with it, when the request is complete or given up.
        let mut held = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                Fault::new("bad_message", format!("the body ended in the middle: {error}"))
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > self.body_bytes_max {
                let text = format!("the body has more than {} bytes", self.body_bytes_max);
                return Err(Fault::new("too_large", text));
            }
            let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let room = self.room.try_acquire_many(size);
            held.push(room.map_err(|_| Fault::new("full", "too many large requests are coming at once"))?);
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.into())
    }
}

/// A layer: what comes behind it gets the body at once.
pub(crate) async fn take_in(State(intake): State<Intake>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let read = timeout(BODY_TIMEOUT, intake.read(body)).await.unwrap_or_else(|_| {
        Err(Fault::new("timeout", format!("the body did not come within {} s", BODY_TIMEOUT.as_secs())))
    });
    match read {
        Ok(bytes) => next.run(Request::from_parts(head, Body::from(bytes))).await,
        Err(fault) => fault.into_response(),
    }
}
