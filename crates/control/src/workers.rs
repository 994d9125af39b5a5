//! The paths for workers, on their own socket and on that of the API: messages and pools.
//!
//! | path | does |
//! |---|---|
//! | `POST /v1/messages` | [`Post`]: sends a message, or asks and waits for the answer |
//! | `GET /v1/messages` | what is for this worker, in server-sent events `message`, `shared`, `leader` |
//! | `POST /v1/replies/{token}` | [`Reply`]: answers a request |
//! | `GET /v1/apps/{app}/shared` | all shared values of an app |
//! | `GET`, `PUT`, `DELETE /v1/apps/{app}/shared/{name}` | one of them; `ETag` and `If-Match` are its version |
//! | `GET /v1/apps/{app}/leader` | [`Leadership`] |
//! | `POST /v1/candidates`, `/v1/released` | `{"candidate": true}`, `{"term": 7}` |
//!
//! The header `Stead-Worker` says which worker asks. An error is `{"error": {"code", "message", "hint"}}`.

use crate::intake::{Intake, take_in};
use crate::messenger::{Caller, Fault, Heard, Leadership, Messenger, Peer, Post, Posted, Share, SharedValue};
use crate::pool_routes;
use crate::pools::{Pools, TASK_BYTES_MAX};
use crate::server::no_such_method;
use crate::{Refusal, RefusalKind, sse};
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

/// Of a request. Limits of messages, which are smaller, are the instance's business.
const BODY_BYTES_MAX: usize = TASK_BYTES_MAX;
/// Who asks.
const WORKER: &str = "stead-worker";

/// All paths for workers.
pub(crate) fn routes<M: Messenger + Pools>(messenger: Arc<M>) -> Router {
    let messages = Router::new()
        .route("/v1/messages", get(listen::<M>).post(send::<M>))
        .route("/v1/replies/{token}", post(reply::<M>))
        .route("/v1/apps/{app}/shared", get(shared_values::<M>))
        .route("/v1/apps/{app}/shared/{name}", get(shared::<M>).put(set::<M>).delete(unset::<M>))
        .route("/v1/apps/{app}/leader", get(leader::<M>))
        .route("/v1/candidates", post(candidate::<M>))
        .route("/v1/released", post(released::<M>));
    messages
        .merge(pool_routes::routes::<M>())
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Intake::new(BODY_BYTES_MAX), take_in))
        .layer(from_fn_with_state(Arc::clone(&messenger), admit::<M>))
        .with_state(messenger)
}

/// The same with what a socket of their own needs besides.
pub(crate) fn router<M: Messenger + Pools>(messenger: Arc<M>) -> Router {
    routes(messenger).fallback(|| async {
        Refusal::new(RefusalKind::NoSuchPath, "there is no such path")
            .with_hint("this socket is for workers; the whole API is on the control socket")
            .into_response()
    })
}

/// Asks again what the gate has asked: its app may be gone by now.
async fn admit<M: Messenger>(
    State(messenger): State<Arc<M>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if messenger.admits(peer) {
        return next.run(request).await;
    }
    Fault::new("forbidden", format!("user {} runs no worker of this instance", peer.user)).into_response()
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Caller, Infallible> {
        let peer: Result<ConnectInfo<Peer>, _> = ConnectInfo::from_request_parts(parts, state).await;
        let worker =
            parts.headers.get(WORKER).map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
        Ok(Caller { worker, peer: peer.map(|ConnectInfo(peer)| peer).unwrap_or_default() })
    }
}

/// What every handler is given: who answers.
type To<M> = State<Arc<M>>;

async fn send<M: Messenger>(
    State(messenger): To<M>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Posted>, Fault> {
    let post: Post = parse(&body)?;
    Ok(Json(messenger.post(caller, post).await?))
}

async fn listen<M: Messenger>(State(messenger): To<M>, caller: Caller) -> Result<Response, Fault> {
    Ok(sse::answer(messenger.listen(caller).await?))
}

async fn reply<M: Messenger>(
    State(messenger): To<M>,
    Path(token): Path<String>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Fault> {
    messenger.reply(caller, &token, parse(&body)?)?;
    Ok(done())
}

async fn shared_values<M: Messenger>(
    State(messenger): To<M>,
    Path(app): Path<String>,
) -> Result<Json<BTreeMap<String, SharedValue>>, Fault> {
    Ok(Json(messenger.shared_values(&app)?))
}

async fn shared<M: Messenger>(
    State(messenger): To<M>,
    Path((app, name)): Path<(String, String)>,
) -> Result<Response, Fault> {
    let value = messenger
        .shared_values(&app)?
        .remove(&name)
        .ok_or_else(|| Fault::new("no_such_value", format!("app `{app}` has no shared value `{name}`")))?;
    Ok((tag(value.version), Json(value.data)).into_response())
}

async fn set<M: Messenger>(
    State(messenger): To<M>,
    Path((app, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Fault> {
    let share = Share { data: Some(parse(&body)?), if_version: condition(&headers)? };
    changed(messenger.share(&app, &name, share)?)
}

async fn unset<M: Messenger>(
    State(messenger): To<M>,
    Path((app, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let share = Share { data: None, if_version: condition(&headers)? };
    changed(messenger.share(&app, &name, share)?)
}

fn changed(version: u64) -> Result<Response, Fault> {
    Ok((tag(version), Json(json!({ "version": version }))).into_response())
}

async fn leader<M: Messenger>(
    State(messenger): To<M>,
    Path(app): Path<String>,
) -> Result<Json<Leadership>, Fault> {
    Ok(Json(messenger.leader(&app)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Candidate {
    candidate: bool,
}

async fn candidate<M: Messenger>(
    State(messenger): To<M>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Fault> {
    let Candidate { candidate } = parse(&body)?;
    messenger.candidate(caller, candidate)?;
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Released {
    term: u64,
}

async fn released<M: Messenger>(
    State(messenger): To<M>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Fault> {
    let Released { term } = parse(&body)?;
    messenger.released(caller, term)?;
    Ok(done())
}

fn done() -> Response {
    Json(json!({})).into_response()
}

fn tag(version: u64) -> [(header::HeaderName, String); 1] {
    [(header::ETAG, format!("\"{version}\""))]
}

/// The version in `If-Match`.
fn condition(headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim().trim_matches('"');
    text.parse().map(Some).map_err(|_| {
        Fault::new("bad_message", "`If-Match` is not a version")
            .with_hint("it is a number, as in `ETag`: \"7\"")
    })
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| Fault::new("bad_message", format!("invalid body: {error}")))
}

impl sse::Named for Heard {
    fn name(&self) -> &'static str {
        self.name
    }

    fn data(&self) -> String {
        self.text.clone()
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let (status, retry) = self.status();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        let body = Json(json!({ "error": self }));
        match retry {
            Some(seconds) => (status, [(header::RETRY_AFTER, seconds.to_string())], body).into_response(),
            None => (status, body).into_response(),
        }
    }
}
