//! The API itself: paths, and what they ask the operator.
//!
//! | path | does |
//! |---|---|
//! | `GET /v1/status` | the instance at this moment |
//! | `POST /v1/apps` | [`StartRequest`]: adds apps and starts them |
//! | `POST /v1/apps/{app}/start` | starts an app that is stopped |
//! | `POST /v1/stop`, `POST /v1/apps/{app}/stop` | `{"now": false}`, or nothing |
//! | `POST /v1/apps/{app}/restart` | [`RenewRequest`], or nothing; told in server-sent events |
//! | `POST /v1/reload`, `POST /v1/apps/{app}/reload` | the same, as a rolling reload |
//! | `DELETE /v1/apps/{app}` | stops an app and forgets it |
//! | `POST /v1/apps/{app}/scale` | `{"instances": 4}` |
//! | `POST /v1/apps/{app}/signal` | `{"signal": 10}`, `{"signal": 10, "slot": 0}` |
//! | `POST /v1/apps/{app}/messages`, `..?slot=0` | any JSON, sent to each of its Node.js workers or to one |
//! | `GET /v1/apps/{app}/environment` | pairs of name and value |
//! | `GET /v1/apps/{app}/shards`, `..?key=..` | [`ShardTable`]: who owns which part of the keys, and who owns this one |
//! | `POST /v1/apps/{app}/schedules/{name}/run` | a run of a schedule begins |
//! | `POST /v1/apps/{app}/reset`, `../flush` | counters to zero; logs emptied |
//! | `GET /v1/definitions` | every app as it is to be kept, list of [`SavedApp`] |
//! | `POST /v1/upgrade` | `{"binary": "/usr/bin/stead"}`, told in server-sent events |
//! | `POST /v1/shut-down` | `{"now": false}`, or nothing: ends the instance |
//! | `GET /v1/events` | everything that happens, in server-sent events |
//! | `GET /v1/poisoned` | requests that killed workers |
//! | `GET /metrics` | OpenMetrics text |
//!
//! Besides those, all paths for workers: see `workers.rs`.
//!
//! An error is `{"error": {"kind", "message", "details", "causes", "hint", "exit_code"}}`, without those that have nothing to
//! say. Who may connect is decided by the mode of the socket file; how many may at once, by `gate.rs`.

use crate::gate::Gate;
use crate::intake::{Intake, take_in};
use crate::messenger::Messenger;
use crate::operator::{Operator, StopRequest};
use crate::pools::Pools;
use crate::socket::SocketFile;
use crate::{
    Environment, Event, PoisonedRequest, Refusal, RefusalKind, RenewRequest, SavedApp, ShardTable,
    StartAnswer, StartRequest, Status, Text, metrics, sse,
};
use crate::{connections, workers};
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
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

/// Of a request. An environment alone may have 2 MiB.
const BODY_BYTES_MAX: usize = 8 << 20;

/// A bound server; removes its socket file when dropped.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    // After the listener, so that it is dropped after it.
    file: SocketFile,
    /// Paths of another trait.
    workers: Router,
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
        let listener = UnixListener::from_std(listener)?;
        Ok(Server { listener, file: SocketFile::new(path), workers: Router::new() })
    }

    /// Answers everything until `end`, then finishes what is under way, within a second.
    pub async fn serve(
        mut self,
        operator: Arc<impl Operator>,
        end: impl Future<Output = ()> + Send + 'static,
    ) {
        let router = router(operator).merge(std::mem::take(&mut self.workers));
        // The mode of the file has decided who may connect.
        self.answer(router, Gate::new(|_| true), end).await;
    }

    /// Answers workers too, when it [serves](Self::serve).
    #[must_use]
    pub fn also_for_workers(self, messenger: &Arc<impl Messenger + Pools>) -> Server {
        Server { workers: workers::routes(Arc::clone(messenger)), ..self }
    }

    /// The same for workers alone.
    pub async fn serve_workers(
        self,
        messenger: Arc<impl Messenger + Pools>,
        end: impl Future<Output = ()> + Send + 'static,
    ) {
        let asked = Arc::clone(&messenger);
        let gate = Gate::new(move |peer| asked.admits(peer));
        self.answer(workers::router(messenger), gate, end).await;
    }

    async fn answer(self, router: Router, gate: Gate, end: impl Future<Output = ()> + Send + 'static) {
        let Server { listener, file, .. } = self;
        let (ending, ended) = watch::channel(false);
        let serving = connections::serve(listener, router, Arc::new(gate), ended);
        tokio::pin!(serving);
        tokio::select! {
            () = &mut serving => (),
            () = async {
                end.await;
                ending.send_replace(true);
                tokio::time::sleep(END_TIMEOUT).await;
            } => (),
        }
        drop(file);
    }
}

fn router<O: Operator>(operator: Arc<O>) -> Router {
    Router::new()
        .route("/v1/status", get(status::<O>))
        .route("/v1/apps", post(start::<O>))
        .route("/v1/apps/{app}", delete(forget::<O>))
        .route("/v1/apps/{app}/start", post(start_app::<O>))
        .route("/v1/apps/{app}/stop", post(stop::<O>))
        .route("/v1/apps/{app}/restart", post(restart::<O>))
        .route("/v1/apps/{app}/reload", post(reload::<O>))
        .route("/v1/apps/{app}/scale", post(scale::<O>))
        .route("/v1/apps/{app}/signal", post(signal::<O>))
        .route("/v1/apps/{app}/messages", post(send_message::<O>))
        .route("/v1/apps/{app}/environment", get(environment::<O>))
        .route("/v1/apps/{app}/shards", get(shards::<O>))
        .route("/v1/apps/{app}/reset", post(reset::<O>))
        .route("/v1/apps/{app}/schedules/{name}/run", post(run_schedule::<O>))
        .route("/v1/apps/{app}/flush", post(flush::<O>))
        .route("/v1/stop", post(stop_all::<O>))
        .route("/v1/reload", post(reload_all::<O>))
        .route("/v1/definitions", get(definitions::<O>))
        .route("/v1/upgrade", post(upgrade::<O>))
        .route("/v1/shut-down", post(shut_down::<O>))
        .route("/v1/events", get(events::<O>))
        .route("/v1/poisoned", get(poisoned::<O>))
        .route("/metrics", get(metrics_text::<O>))
        .fallback(|| async { Refusal::new(RefusalKind::NoSuchPath, "there is no such path").into_response() })
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Intake::new(BODY_BYTES_MAX), take_in))
        .with_state(operator)
}

/// What every handler is given: who answers.
type To<O> = State<Arc<O>>;

async fn status<O: Operator>(State(operator): To<O>) -> Json<Status> {
    Json(operator.status().await)
}

async fn start<O: Operator>(State(operator): To<O>, body: Bytes) -> Result<Json<StartAnswer>, Refusal> {
    let request: StartRequest = parse(&body)?;
    Ok(Json(operator.start(request).await?))
}

async fn start_app<O: Operator>(
    State(operator): To<O>,
    Path(app): Path<String>,
) -> Result<Response, Refusal> {
    operator.start_app(&app).await?;
    Ok(accepted())
}

async fn restart<O: Operator>(
    State(operator): To<O>,
    Path(app): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let request: RenewRequest = parse_or_default(&body)?;
    Ok(sse::answer(operator.restart(&app, request).await?))
}

async fn reload_all<O: Operator>(State(operator): To<O>, body: Bytes) -> Result<Response, Refusal> {
    let request: RenewRequest = parse_or_default(&body)?;
    Ok(sse::answer(operator.reload(None, request).await?))
}

async fn reload<O: Operator>(
    State(operator): To<O>,
    Path(app): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let request: RenewRequest = parse_or_default(&body)?;
    Ok(sse::answer(operator.reload(Some(&app), request).await?))
}

async fn stop_all<O: Operator>(State(operator): To<O>, body: Bytes) -> Result<Response, Refusal> {
    let request: StopRequest = parse_or_default(&body)?;
    operator.stop(request).await?;
    Ok(accepted())
}

async fn stop<O: Operator>(
    State(operator): To<O>,
    Path(app): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let request: StopRequest = parse_or_default(&body)?;
    operator.stop(StopRequest { app: Some(app), ..request }).await?;
    Ok(accepted())
}

async fn forget<O: Operator>(State(operator): To<O>, Path(app): Path<String>) -> Result<Response, Refusal> {
    operator.delete(&app).await?;
    Ok(accepted())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scale {
    instances: u32,
}

async fn scale<O: Operator>(
    State(operator): To<O>,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signal {
    signal: i32,
    #[serde(default)]
    slot: Option<u32>,
}

async fn signal<O: Operator>(
    State(operator): To<O>,
    Path(app): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let Signal { signal, slot } = parse(&body)?;
    let workers = operator.signal(&app, slot, signal).await?;
    Ok(Json(json!({ "workers": workers })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Receiver {
    #[serde(default)]
    slot: Option<u32>,
}

async fn send_message<O: Operator>(
    State(operator): To<O>,
    Path(app): Path<String>,
    receiver: Result<Query<Receiver>, QueryRejection>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let Query(Receiver { slot }) = receiver.map_err(|error| {
        Refusal::new(RefusalKind::Invalid, format!("invalid query: {}", error.body_text()))
    })?;
    let message: Value = parse(&body)?;
    let workers = operator.send_message(&app, slot, message).await?;
    Ok(Json(json!({ "workers": workers })).into_response())
}

async fn environment<O: Operator>(
    State(operator): To<O>,
    Path(app): Path<String>,
) -> Result<Json<Environment>, Refusal> {
    Ok(Json(operator.environment(&app).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfKey {
    #[serde(default)]
    key: Option<String>,
}

async fn shards<O: Operator>(
    State(operator): To<O>,
    Path(app): Path<String>,
    of_key: Result<Query<OfKey>, QueryRejection>,
) -> Result<Json<ShardTable>, Refusal> {
    let Query(OfKey { key }) = of_key.map_err(|error| {
        Refusal::new(RefusalKind::Invalid, format!("invalid query: {}", error.body_text()))
    })?;
    Ok(Json(operator.shards(&app, key).await?))
}

async fn reset<O: Operator>(State(operator): To<O>, Path(app): Path<String>) -> Result<Response, Refusal> {
    operator.reset(&app).await?;
    Ok(accepted())
}

async fn run_schedule<O: Operator>(
    State(operator): To<O>,
    Path((app, name)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    operator.run_schedule(&app, &name).await?;
    Ok(accepted())
}

async fn flush<O: Operator>(State(operator): To<O>, Path(app): Path<String>) -> Result<Response, Refusal> {
    operator.flush(&app).await?;
    Ok(accepted())
}

async fn definitions<O: Operator>(State(operator): To<O>) -> Json<Vec<SavedApp>> {
    Json(operator.definitions().await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Upgrade {
    binary: Text,
}

async fn upgrade<O: Operator>(State(operator): To<O>, body: Bytes) -> Result<Response, Refusal> {
    let Upgrade { binary } = parse(&body)?;
    Ok(sse::answer(operator.upgrade(binary.as_path()).await?))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShutDown {
    #[serde(default)]
    now: bool,
}

async fn shut_down<O: Operator>(State(operator): To<O>, body: Bytes) -> Result<Response, Refusal> {
    let ShutDown { now } = parse_or_default(&body)?;
    operator.shut_down(now).await?;
    Ok(accepted())
}

async fn events<O: Operator>(State(operator): To<O>) -> Response {
    sse::answer::<Event>(operator.events().await)
}

async fn poisoned<O: Operator>(State(operator): To<O>) -> Json<Vec<PoisonedRequest>> {
    Json(operator.poisoned().await)
}

async fn metrics_text<O: Operator>(State(operator): To<O>) -> Response {
    let text = metrics::text(operator.status().await);
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

/// To a path that there is, with another method; which ones it takes stands in `Allow`.
pub(crate) async fn no_such_method() -> Refusal {
    Refusal::new(RefusalKind::NoSuchMethod, "this path does not take this method")
        .with_hint("the header `Allow` says which it takes")
}

/// Whatever the content type says: the API has one.
fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::new(RefusalKind::Invalid, format!("invalid body: {error}")))
}

/// A request without a body asks for nothing special.
fn parse_or_default<T: DeserializeOwned + Default>(body: &Bytes) -> Result<T, Refusal> {
    if body.is_empty() { Ok(T::default()) } else { parse(body) }
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({}))).into_response()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.kind {
            RefusalKind::Invalid => StatusCode::BAD_REQUEST,
            RefusalKind::NoSuchApp | RefusalKind::NoSuchWorker | RefusalKind::NoSuchPath => {
                StatusCode::NOT_FOUND
            }
            RefusalKind::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
            RefusalKind::Conflict => StatusCode::CONFLICT,
            RefusalKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            RefusalKind::NotOffered => StatusCode::NOT_IMPLEMENTED,
        };
        (status, Json(json!({ "error": self }))).into_response()
    }
}
