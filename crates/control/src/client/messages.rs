//! What workers may ask for, asked from outside: messages, requests, shared values.

use super::{ANSWER_TIMEOUT, Client, ClientError, escape, path, read, succeeded};
use crate::{Post, Posted, SharedValue};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::time::timeout;

impl Client {
    /// Sends a message to workers, or asks one and waits for the answer, at least as long as the question itself does.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post_message(&self, post: &Post) -> Result<Posted, ClientError> {
        let patience = if post.request { post.patience() } else { Some(std::time::Duration::ZERO) };
        let answer = self.exchange(Method::POST, "/v1/messages", Some(json!(post)));
        let answer = match patience {
            Some(patience) => {
                timeout(patience + ANSWER_TIMEOUT, answer).await.map_err(|_| ClientError::Silent)?
            }
            // Only the instance knows how long questions wait there.
            None => answer.await,
        };
        read(succeeded(answer?).await?).await
    }

    /// All shared values of an app.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn shared_values(&self, app: &str) -> Result<BTreeMap<String, SharedValue>, ClientError> {
        read(self.send(Method::GET, &path(Some(app), "shared"), None).await?).await
    }

    /// Sets a shared value, or forgets it; returns the new version.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn share(&self, app: &str, name: &str, value: Option<Value>) -> Result<u64, ClientError> {
        #[derive(Deserialize)]
        struct Changed {
            version: u64,
        }
        let path = format!("{}/{}", path(Some(app), "shared"), escape(name));
        let method = if value.is_some() { Method::PUT } else { Method::DELETE };
        Ok(read::<Changed>(self.send(method, &path, value).await?).await?.version)
    }
}
