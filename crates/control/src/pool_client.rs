//! The other end of the paths of pools, for the command line.

use crate::client::{collect, escape, read};
use crate::messenger::Fault;
use crate::pools::{DeadTask, TaskEvent, TaskRequest, TaskStatus};
use crate::sse::Parser;
use crate::{Client, ClientError, Refusal, RefusalKind};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

impl Client {
    /// Gives a task to a pool that nobody waits for; returns when it is safe.
    ///
    /// # Errors
    /// See [`ClientError`]; the same for all methods.
    pub async fn give_task(&self, pool: &str, task: &TaskRequest) -> Result<TaskStatus, ClientError> {
        let path = format!("{}?{}", tasks(pool), query(task));
        read(self.ask((Method::POST, &path), "application/json", task.input.clone()).await?).await
    }

    /// Gives a task to a pool, and tells what happens to it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn run_task(&self, pool: &str, task: &TaskRequest) -> Result<TaskStream, ClientError> {
        let path = format!("{}?{}", tasks(pool), query(task));
        let answer = self.ask((Method::POST, &path), "text/event-stream", task.input.clone()).await?;
        Ok(TaskStream { body: answer.into_body(), parser: Parser::default() })
    }

    /// Tells what happens from now on to a task that was given before.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn watch_task(&self, pool: &str, id: &str) -> Result<TaskStream, ClientError> {
        let path = format!("{}/{}/events", tasks(pool), escape(id));
        let answer = self.ask((Method::GET, &path), "text/event-stream", Bytes::new()).await?;
        Ok(TaskStream { body: answer.into_body(), parser: Parser::default() })
    }

    /// The tasks of a pool that were set aside.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn dead_tasks(&self, pool: &str) -> Result<Vec<DeadTask>, ClientError> {
        self.get_dead(&dead(pool, None)).await
    }

    /// One of them with its input.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn dead_task(&self, pool: &str, id: &str) -> Result<DeadTask, ClientError> {
        self.get_dead(&dead(pool, Some(id))).await
    }

    /// Gives it to the workers again.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn retry_dead_task(&self, pool: &str, id: &str) -> Result<(), ClientError> {
        let path = format!("{}/retry", dead(pool, Some(id)));
        self.ask((Method::POST, &path), "application/json", Bytes::new()).await.map(|_| ())
    }

    /// Forgets it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn drop_dead_task(&self, pool: &str, id: &str) -> Result<(), ClientError> {
        let path = dead(pool, Some(id));
        self.ask((Method::DELETE, &path), "application/json", Bytes::new()).await.map(|_| ())
    }

    async fn get_dead<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        read(self.ask((Method::GET, path), "application/json", Bytes::new()).await?).await
    }

    async fn ask(
        &self,
        (method, path): (Method, &str),
        accept: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "stead")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, accept)
            .body(Full::new(body))
            .expect("a path of this file is a URI: names are escaped");
        let answer = self.request(request).await?;
        // A task that has failed is told as one that is done.
        if answer.status().is_success() || answer.status() == StatusCode::UNPROCESSABLE_ENTITY {
            return Ok(answer);
        }
        Err(refused(answer).await?)
    }
}

/// Events of a task, up to its end.
#[derive(Debug)]
pub struct TaskStream {
    body: Incoming,
    parser: Parser,
}

impl TaskStream {
    /// What happens next; nothing if the stream ended before the task.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn next(&mut self) -> Result<Option<TaskEvent>, ClientError> {
        loop {
            if let Some((name, data)) = self.parser.next_named() {
                let event = event(&name, &data);
                return event.map(Some).map_err(|source| ClientError::NotUnderstood { status: 200, source });
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::Broken(error)),
                Some(Ok(frame)) => frame.data_ref().into_iter().for_each(|data| self.parser.push(data)),
            }
        }
    }
}

fn event(name: &str, data: &str) -> serde_json::Result<TaskEvent> {
    Ok(match name {
        "progress" => TaskEvent::Progress(serde_json::from_str(data)?),
        "part" => TaskEvent::Part(serde_json::from_str(data)?),
        _ => TaskEvent::End(serde_json::from_str(data)?),
    })
}

/// What a pool says when it says no; or anybody else on the way to it.
async fn refused(answer: Response<Incoming>) -> Result<ClientError, ClientError> {
    #[derive(Deserialize)]
    struct Refused {
        error: Fault,
    }
    #[derive(Deserialize)]
    struct Failure {
        error: Refusal,
    }
    let status = answer.status().as_u16();
    let body = collect(answer).await?;
    let refusal = match serde_json::from_slice::<Refused>(&body) {
        Ok(Refused { error: Fault { code, message, hint } }) => {
            let kind = match code.as_str() {
                "unknown_pool" | "unknown_task" => RefusalKind::NoSuchApp,
                "bad_message" | "too_large" => RefusalKind::Invalid,
                _ => RefusalKind::Failed,
            };
            let refusal = Refusal::new(kind, message);
            hint.into_iter().fold(refusal, Refusal::with_hint)
        }
        Err(_) => {
            serde_json::from_slice::<Failure>(&body)
                .map_err(|source| ClientError::NotUnderstood { status, source })?
                .error
        }
    };
    Ok(ClientError::Refused(refusal))
}

fn tasks(pool: &str) -> String {
    format!("/v1/pools/{}/tasks", escape(pool))
}

fn dead(pool: &str, id: Option<&str>) -> String {
    let id = id.map(|id| format!("/{}", escape(id))).unwrap_or_default();
    format!("/v1/pools/{}/dead{id}", escape(pool))
}

fn query(task: &TaskRequest) -> String {
    let mut terms = vec![format!("wait={}", task.wait), format!("priority={}", task.priority)];
    let texts = [("id", &task.id), ("key", &task.key)];
    terms
        .extend(texts.iter().filter_map(|(name, text)| Some(format!("{name}={}", escape(text.as_deref()?)))));
    terms.extend(task.timeout.map(|timeout| format!("timeout={}", timeout.as_millis())));
    terms.extend(task.retries.map(|retries| format!("retries={retries}")));
    terms.extend(task.durable.map(|durable| format!("durable={durable}")));
    terms.join("&")
}
