//! The other end of the API: one connection per request, over the socket file.

mod messages;

use crate::messenger::Fault;
use crate::sse::Parser;
use crate::{
    Environment, Event, PoisonedRequest, Progress, Refusal, RenewRequest, SavedApp, ShardTable, StartAnswer,
    StartRequest, Status, StopRequest, Text,
};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::handshake;
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// For an answer to begin. The daemon answers from memory; one that does not in this time hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// For an answer that needs a configuration to be evaluated first, which may run a program.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Talks to one instance. Must be used inside a tokio runtime.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("failed to connect to `{}`", socket.display())]
    NotRunning {
        /// The socket file.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection broke; the instance may have ended or its daemon died.
    #[error("the connection to the instance broke")]
    Broken(#[source] hyper::Error),
    /// The stream ended before its last event.
    #[error("the instance ended before it was done")]
    Ended,
    /// No answer in time.
    #[error("the instance does not answer")]
    Silent,
    /// The instance says no.
    #[error(transparent)]
    Refused(Refusal),
    /// The instance is of another version, and its answer is not what this one understands.
    #[error("the instance runs version {running} of Stead, which this one ({own}) does not understand", own = env!("CARGO_PKG_VERSION"))]
    OtherVersion {
        /// Its version.
        running: String,
    },
    /// The answer is not what this version understands.
    #[error("the instance gave an answer that is not understood (status {status})")]
    NotUnderstood {
        /// HTTP status.
        status: u16,
        /// Why.
        source: serde_json::Error,
    },
}

impl Client {
    /// A client for the instance with this socket; connects with the first request.
    pub fn new(socket: impl Into<PathBuf>) -> Client {
        Client { socket: socket.into() }
    }

    /// The socket file.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The instance at this moment.
    ///
    /// # Errors
    /// See [`ClientError`]; the same for all methods.
    pub async fn status(&self) -> Result<Status, ClientError> {
        let answer = self.send(Method::GET, "/v1/status", None).await?;
        let status = answer.status().as_u16();
        let body = collect(answer).await?;
        serde_json::from_slice(&body).map_err(|source| match version(&body) {
            Some(running) if running != env!("CARGO_PKG_VERSION") => ClientError::OtherVersion { running },
            _ => ClientError::NotUnderstood { status, source },
        })
    }

    /// Adds the apps of a definition and starts them.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn start(&self, request: &StartRequest) -> Result<StartAnswer, ClientError> {
        let body = Some(json!(request));
        let answer = timeout(START_TIMEOUT, self.exchange(Method::POST, "/v1/apps", body)).await;
        read(succeeded(answer.map_err(|_| ClientError::Silent)??).await?).await
    }

    /// Starts an app that is stopped.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn start_app(&self, app: &str) -> Result<(), ClientError> {
        self.post(&path(Some(app), "start"), None).await
    }

    /// Ends the workers of an app and starts new ones.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn restart(&self, app: &str, request: &RenewRequest) -> Result<Stream<Progress>, ClientError> {
        self.stream(&path(Some(app), "restart"), json!(request)).await
    }

    /// Starts a rolling reload of one app, or of all.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn reload(
        &self,
        app: Option<&str>,
        request: &RenewRequest,
    ) -> Result<Stream<Progress>, ClientError> {
        self.stream(&path(app, "reload"), json!(request)).await
    }

    /// Stops one app, or all.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn stop(&self, request: &StopRequest) -> Result<(), ClientError> {
        self.post(&path(request.app.as_deref(), "stop"), Some(json!({ "now": request.now }))).await
    }

    /// Stops an app and forgets it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete(&self, app: &str) -> Result<(), ClientError> {
        self.send(Method::DELETE, &format!("/v1/apps/{}", escape(app)), None).await.map(|_| ())
    }

    /// Changes the number of workers of an app.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn scale(&self, app: &str, instances: u32) -> Result<(), ClientError> {
        self.post(&path(Some(app), "scale"), Some(json!({ "instances": instances }))).await
    }

    /// Sends a signal to the workers of an app, or to that of one slot; returns how many got it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn signal(&self, app: &str, slot: Option<u32>, signal: i32) -> Result<u32, ClientError> {
        let body = json!({ "signal": signal, "slot": slot });
        self.reached(&path(Some(app), "signal"), body).await
    }

    /// Sends a message to the Node.js workers of an app, or to that of one slot; returns how many got it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send_message(
        &self,
        app: &str,
        slot: Option<u32>,
        message: Value,
    ) -> Result<u32, ClientError> {
        let query = slot.map(|slot| format!("?slot={slot}")).unwrap_or_default();
        self.reached(&format!("{}{query}", path(Some(app), "messages")), message).await
    }

    /// The environment that a worker of the app is started with; nothing is masked.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn environment(&self, app: &str) -> Result<Environment, ClientError> {
        read(self.send(Method::GET, &path(Some(app), "environment"), None).await?).await
    }

    /// How the keys of an app's requests are divided among its slots, and who owns this one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn shards(&self, app: &str, key: Option<&str>) -> Result<ShardTable, ClientError> {
        let key = key.map(|key| format!("?key={}", escape(key))).unwrap_or_default();
        read(self.send(Method::GET, &format!("{}{key}", path(Some(app), "shards")), None).await?).await
    }

    /// Sets the counters of an app to zero.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn reset(&self, app: &str) -> Result<(), ClientError> {
        self.post(&path(Some(app), "reset"), None).await
    }

    /// Runs a schedule of an app now; does not wait for its end.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn run_schedule(&self, app: &str, schedule: &str) -> Result<(), ClientError> {
        self.post(&path(Some(app), &format!("schedules/{}/run", escape(schedule))), None).await
    }

    /// Empties the logs of an app.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn flush(&self, app: &str) -> Result<(), ClientError> {
        self.post(&path(Some(app), "flush"), None).await
    }

    /// Every app as it is to be kept.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn definitions(&self) -> Result<Vec<SavedApp>, ClientError> {
        read(self.send(Method::GET, "/v1/definitions", None).await?).await
    }

    /// Puts another binary in place of the running one; the path is absolute.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn upgrade(&self, binary: &Path) -> Result<Stream<Progress>, ClientError> {
        self.stream("/v1/upgrade", json!({ "binary": Text::from(binary) })).await
    }

    /// Ends all apps and the instance.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn shut_down(&self, now: bool) -> Result<(), ClientError> {
        self.post("/v1/shut-down", Some(json!({ "now": now }))).await
    }

    /// Everything that happens from now on.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn events(&self) -> Result<Stream<Event>, ClientError> {
        Ok(Stream::new(self.send(Method::GET, "/v1/events", None).await?))
    }

    /// Requests that killed workers.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn poisoned(&self) -> Result<Vec<PoisonedRequest>, ClientError> {
        read(self.send(Method::GET, "/v1/poisoned", None).await?).await
    }

    /// OpenMetrics text.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let body = collect(self.send(Method::GET, "/metrics", None).await?).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    async fn post(&self, path: &str, body: Option<Value>) -> Result<(), ClientError> {
        self.send(Method::POST, path, body).await.map(|_| ())
    }

    async fn stream(&self, path: &str, body: Value) -> Result<Stream<Progress>, ClientError> {
        let answer = timeout(START_TIMEOUT, self.exchange(Method::POST, path, Some(body))).await;
        Ok(Stream::new(succeeded(answer.map_err(|_| ClientError::Silent)??).await?))
    }

    /// How many workers were reached.
    async fn reached(&self, path: &str, body: Value) -> Result<u32, ClientError> {
        #[derive(Deserialize)]
        struct Reached {
            workers: u32,
        }
        let answer = self.send(Method::POST, path, Some(body)).await?;
        Ok(read::<Reached>(answer).await?.workers)
    }

    /// The answer, when it is not an error.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Response<Incoming>, ClientError> {
        let answer = timeout(ANSWER_TIMEOUT, self.exchange(method, path, body));
        succeeded(answer.await.map_err(|_| ClientError::Silent)??).await
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Response<Incoming>, ClientError> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "stead")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .expect("a path of this file is a URI: names are escaped");
        self.request(request).await
    }

    pub(crate) async fn request(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream =
            stream.map_err(|source| ClientError::NotRunning { socket: self.socket.clone(), source })?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(ClientError::Broken)?;
        // Its end is seen by whoever reads the answer, with the reason.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(ClientError::Broken)
    }
}

/// Values that come one after the other.
#[derive(Debug)]
pub struct Stream<T> {
    body: Incoming,
    parser: Parser,
    status: u16,
    of: PhantomData<T>,
}

impl<T: DeserializeOwned> Stream<T> {
    fn new(answer: Response<Incoming>) -> Stream<T> {
        let status = answer.status().as_u16();
        Stream { body: answer.into_body(), parser: Parser::default(), status, of: PhantomData }
    }

    /// The next value; nothing at the end.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(data) = self.parser.next() {
                let value = serde_json::from_str(&data);
                return value
                    .map(Some)
                    .map_err(|source| ClientError::NotUnderstood { status: self.status, source });
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::Broken(error)),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.parser.push(data);
                    }
                }
            }
        }
    }
}

/// The answer, when it is not an error.
async fn succeeded(answer: Response<Incoming>) -> Result<Response<Incoming>, ClientError> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    #[derive(Deserialize)]
    struct Failure {
        error: Negative,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Negative {
        Refusal(Box<Refusal>),
        Fault(Fault),
    }
    Err(ClientError::Refused(match read::<Failure>(answer).await?.error {
        Negative::Refusal(refusal) => *refusal,
        Negative::Fault(fault) => fault.into(),
    }))
}

/// Of whatever else it says, an instance says which version it is.
fn version(status: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    serde_json::from_slice::<Version>(status).ok().map(|status| status.version)
}

pub(crate) async fn read<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T, ClientError> {
    let status = answer.status().as_u16();
    let body = collect(answer).await?;
    serde_json::from_slice(&body).map_err(|source| ClientError::NotUnderstood { status, source })
}

pub(crate) async fn collect(answer: Response<Incoming>) -> Result<Bytes, ClientError> {
    let body =
        timeout(ANSWER_TIMEOUT, answer.into_body().collect()).await.map_err(|_| ClientError::Silent)?;
    Ok(body.map_err(ClientError::Broken)?.to_bytes())
}

fn path(app: Option<&str>, verb: &str) -> String {
    match app {
        Some(app) => format!("/v1/apps/{}/{verb}", escape(app)),
        None => format!("/v1/{verb}"),
    }
}

/// For one segment of a path.
pub(crate) fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_in_paths() {
        assert_eq!(path(Some("shop"), "reload"), "/v1/apps/shop/reload");
        assert_eq!(path(Some("a/b ü"), "stop"), "/v1/apps/a%2Fb%20%C3%BC/stop");
        assert_eq!(path(None, "stop"), "/v1/stop");
    }
}
