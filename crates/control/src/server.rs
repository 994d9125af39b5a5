//! The API itself: paths, and what they ask the operator.
//!
//! | path | does |
//! |---|---|
//! | `GET /v1/status` | the instance at this moment |
//! | `POST /v1/reload`, `POST /v1/apps/{app}/reload` | a rolling reload, told in server-sent events |
//! | `POST /v1/apps/{app}/scale` | `{"instances": 4}` |
//! | `POST /v1/stop`, `POST /v1/apps/{app}/stop` | `{"now": false}`, or nothing |
//! | `POST /v1/apps/{app}/messages` | any JSON, sent to each of its Node.js workers |
//! | `GET /v1/events` | everything that happens, in server-sent events |
//! | `GET /v1/poisoned` | requests that killed workers |
//! | `GET /metrics` | OpenMetrics text |
//!
//! An error is `{"error": {"kind", "message", "hint"}}`. Who may connect is decided by the mode of the socket file alone.

use crate::operator::{Operator, Refusal, RefusalKind, StopRequest};
use crate::socket::SocketFile;
use crate::{Event, PoisonedRequest, Status, metrics, sse};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::watch;

/// For answers that are under way when the server is asked to end.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// A bound server; removes its socket file when dropped.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    // After the listener, so that it is dropped after it.
    file: SocketFile,
}

impl Server {
    /// Takes a listening socket from [`crate::bind`], and the file it is bound to.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(listener: std::os::unix::net::UnixListener, path: PathBuf) -> io::Result<Server> {
        listener.set_nonblocking(true)?;
        Ok(Server { listener: UnixListener::from_std(listener)?, file: SocketFile::new(path) })
    }

    /// Answers until `end`, then finishes what is under way, within a second.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(
        self,
        operator: Arc<impl Operator>,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let Server { listener, file } = self;
        let (ending, mut ended) = watch::channel(false);
        let end = async move {
            end.await;
            ending.send_replace(true);
        };
        let serving = axum::serve(listener, router(operator)).with_graceful_shutdown(end).into_future();
        let result = tokio::select! {
            result = serving => result,
            () = async {
                // An error means that the sender is gone with the server.
                let _ = ended.wait_for(|ended| *ended).await;
                tokio::time::sleep(END_TIMEOUT).await;
            } => Ok(()),
        };
        drop(file);
        result
    }
}

fn router<O: Operator>(operator: Arc<O>) -> Router {
    Router::new()
        .route("/v1/status", get(status::<O>))
        .route("/v1/reload", post(reload_all::<O>))
        .route("/v1/stop", post(stop_all::<O>))
        .route("/v1/apps/{app}/reload", post(reload::<O>))
        .route("/v1/apps/{app}/stop", post(stop::<O>))
        .route("/v1/apps/{app}/scale", post(scale::<O>))
        .route("/v1/apps/{app}/messages", post(send_message::<O>))
        .route("/v1/events", get(events::<O>))
        .route("/v1/poisoned", get(poisoned::<O>))
        .route("/metrics", get(metrics_text::<O>))
        .fallback(|| async { Refusal::new(RefusalKind::NoSuchPath, "there is no such path").into_response() })
        .method_not_allowed_fallback(|| async {
            Refusal::new(RefusalKind::NoSuchMethod, "this path does not take this method").into_response()
        })
        .with_state(operator)
}

async fn status<O: Operator>(State(operator): State<Arc<O>>) -> Json<Status> {
    Json(operator.status().await)
}

async fn reload_all<O: Operator>(State(operator): State<Arc<O>>) -> Result<Response, Refusal> {
    Ok(sse::answer(operator.reload(None).await?))
}

async fn reload<O: Operator>(
    State(operator): State<Arc<O>>,
    Path(app): Path<String>,
) -> Result<Response, Refusal> {
    Ok(sse::answer(operator.reload(Some(&app)).await?))
}

async fn stop_all<O: Operator>(State(operator): State<Arc<O>>, body: Bytes) -> Result<Response, Refusal> {
    operator.stop(stop_request(&body, None)?).await?;
    Ok(accepted())
}

async fn stop<O: Operator>(
    State(operator): State<Arc<O>>,
    Path(app): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    operator.stop(stop_request(&body, Some(app))?).await?;
    Ok(accepted())
}

fn stop_request(body: &Bytes, app: Option<String>) -> Result<StopRequest, Refusal> {
    let request: StopRequest = if body.is_empty() { StopRequest::default() } else { parse(body)? };
    Ok(StopRequest { app: app.or(request.app), ..request })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scale {
    instances: u32,
}

async fn scale<O: Operator>(
    State(operator): State<Arc<O>>,
    Path(app): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let Scale { instances } = parse(&body)?;
    if instances == 0 {
        return Err(Refusal::new(RefusalKind::Invalid, "an app has at least 1 worker")
            .with_hint("to stop it: `POST /v1/apps/{app}/stop`"));
    }
    operator.scale(&app, instances).await?;
    Ok(accepted())
}

async fn send_message<O: Operator>(
    State(operator): State<Arc<O>>,
    Path(app): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let message: Value = parse(&body)?;
    let workers = operator.send_message(&app, message).await?;
    Ok(Json(json!({ "workers": workers })).into_response())
}

async fn events<O: Operator>(State(operator): State<Arc<O>>) -> Response {
    sse::answer::<Event>(operator.events().await)
}

async fn poisoned<O: Operator>(State(operator): State<Arc<O>>) -> Json<Vec<PoisonedRequest>> {
    Json(operator.poisoned().await)
}

async fn metrics_text<O: Operator>(State(operator): State<Arc<O>>) -> Response {
    let text = metrics::text(operator.status().await);
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

/// Whatever the content type says: the API has one.
fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::new(RefusalKind::Invalid, format!("invalid body: {error}")))
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({}))).into_response()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.kind {
            RefusalKind::Invalid => StatusCode::BAD_REQUEST,
            RefusalKind::NoSuchApp | RefusalKind::NoSuchPath => StatusCode::NOT_FOUND,
            RefusalKind::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
            RefusalKind::Conflict => StatusCode::CONFLICT,
            RefusalKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(json!({ "error": self }))).into_response()
    }
}
