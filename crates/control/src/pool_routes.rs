//! The paths of pools, for workers and for everybody else who may ask.
//!
//! | path | does |
//! |---|---|
//! | `GET /v1/pools`, `GET /v1/pools/{pool}` | [`PoolStatus`] |
//! | `POST /v1/pools/{pool}/tasks` | the body is the input of a task: 200 when it is done, 422 when it failed, 202 when it has yet to end |
//! | `GET`, `DELETE /v1/pools/{pool}/tasks/{id}` | [`TaskStatus`]; cancels it |
//! | `GET /v1/pools/{pool}/tasks/{id}/events` | `progress`, `part` and at last its state, in server-sent events |
//! | `GET /v1/pools/{pool}/dead`, `../dead/{id}` | [`DeadTask`]: those that were set aside; one with its input |
//! | `POST ../dead/{id}/retry`, `DELETE ../dead/{id}` | gives it to the workers again; forgets it |
//!
//! Query of a new task: `task_query.rs`. With `Accept: text/event-stream` the answer is the events of the task from its beginning.

use crate::client::escape;
use crate::messenger::Fault;
use crate::pools::{DeadTask, PoolStatus, Pools, TaskEvent, TaskRequest, TaskState, TaskStatus};
use crate::sse;
use crate::task_query::TaskQuery;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use std::sync::Arc;

/// After so many seconds a full queue may have room.
const RETRY_AFTER: &str = "1";

/// The paths of pools, without limits and fallbacks of their own.
pub(crate) fn routes<P: Pools>() -> Router<Arc<P>> {
    Router::new()
        .route("/v1/pools", get(pools::<P>))
        .route("/v1/pools/{pool}", get(pool::<P>))
        .route("/v1/pools/{pool}/tasks", post(submit::<P>))
        .route("/v1/pools/{pool}/tasks/{id}", get(task::<P>).delete(cancel::<P>))
        .route("/v1/pools/{pool}/tasks/{id}/events", get(events::<P>))
        .route("/v1/pools/{pool}/dead", get(dead::<P>))
        .route("/v1/pools/{pool}/dead/{id}", get(dead_task::<P>).delete(drop_dead::<P>))
        .route("/v1/pools/{pool}/dead/{id}/retry", post(retry_dead::<P>))
}

type To<P> = State<Arc<P>>;

async fn pools<P: Pools>(State(pools): To<P>) -> Json<Vec<PoolStatus>> {
    Json(pools.pools())
}

async fn pool<P: Pools>(State(pools): To<P>, Path(pool): Path<String>) -> Result<Json<PoolStatus>, Fault> {
    pools.pool(&pool).map(Json)
}

async fn submit<P: Pools>(
    State(pools): To<P>,
    Path(pool): Path<String>,
    (uri, headers): (Uri, HeaderMap),
    input: Bytes,
) -> Result<Response, Response> {
    let streams = accepts_events(&headers);
    let TaskQuery { wait, id, key, priority, timeout, retries, durable } =
        TaskQuery::read(&uri).map_err(refuse)?;
    let (wait, priority) = (wait.unwrap_or(true), priority.unwrap_or(0));
    let request = TaskRequest { input, id, key, priority, timeout, retries, durable, wait };
    if streams {
        return Ok(sse::answer(pools.submit_and_watch(&pool, request).await.map_err(refuse)?));
    }
    Ok(told(&pool, pools.submit(&pool, request).await.map_err(refuse)?))
}

fn accepts_events(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    accepted.any(|accept| accept.contains("text/event-stream"))
}

/// A task as the answer to whoever gave it: what it was when it was accepted, or how it ended.
fn told(pool: &str, task: TaskStatus) -> Response {
    let status = match task.state {
        TaskState::Done => StatusCode::OK,
        TaskState::Queued | TaskState::Running => StatusCode::ACCEPTED,
        TaskState::Failed | TaskState::Poison | TaskState::Cancelled => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let place = (status == StatusCode::ACCEPTED)
        .then(|| format!("/v1/pools/{}/tasks/{}", escape(pool), escape(&task.id)));
    let mut response = (status, Json(task)).into_response();
    if let Some(place) = place.and_then(|place| place.parse().ok()) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

/// A pool that is full may have room soon, which is another thing than a sender that is too quick.
fn refuse(fault: Fault) -> Response {
    if fault.code == "full" {
        let headers = [(header::RETRY_AFTER, RETRY_AFTER)];
        return (StatusCode::SERVICE_UNAVAILABLE, headers, Json(json!({ "error": fault }))).into_response();
    }
    fault.into_response()
}

async fn task<P: Pools>(
    State(pools): To<P>,
    Path((pool, id)): Path<(String, String)>,
) -> Result<Json<TaskStatus>, Fault> {
    pools.task(&pool, &id).map(Json)
}

async fn cancel<P: Pools>(
    State(pools): To<P>,
    Path((pool, id)): Path<(String, String)>,
) -> Result<Json<TaskStatus>, Fault> {
    pools.cancel(&pool, &id).await.map(Json)
}

async fn events<P: Pools>(
    State(pools): To<P>,
    Path((pool, id)): Path<(String, String)>,
) -> Result<Response, Fault> {
    pools.watch(&pool, &id).map(sse::answer)
}

async fn dead<P: Pools>(State(pools): To<P>, Path(pool): Path<String>) -> Result<Json<Vec<DeadTask>>, Fault> {
    pools.dead(&pool).map(Json)
}

async fn dead_task<P: Pools>(
    State(pools): To<P>,
    Path((pool, id)): Path<(String, String)>,
) -> Result<Json<DeadTask>, Fault> {
    pools.dead_task(&pool, &id).map(Json)
}

async fn retry_dead<P: Pools>(
    State(pools): To<P>,
    Path((pool, id)): Path<(String, String)>,
) -> Result<Response, Fault> {
    pools.retry_dead(&pool, &id).map(|task| told(&pool, task))
}

async fn drop_dead<P: Pools>(
    State(pools): To<P>,
    Path((pool, id)): Path<(String, String)>,
) -> Result<Response, Fault> {
    pools.drop_dead(&pool, &id).map(|()| Json(json!({})).into_response())
}

impl sse::Named for TaskEvent {
    fn name(&self) -> &'static str {
        match self {
            TaskEvent::Progress(_) => "progress",
            TaskEvent::Part(_) => "part",
            TaskEvent::End(task) => task.state.as_str(),
        }
    }

    fn data(&self) -> String {
        match self {
            TaskEvent::Progress(data) | TaskEvent::Part(data) => data.get().to_owned(),
            TaskEvent::End(task) => sse::json(task),
        }
    }

    fn is_last(&self) -> bool {
        matches!(self, TaskEvent::End(_))
    }
}
