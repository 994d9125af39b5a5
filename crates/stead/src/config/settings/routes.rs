//! Which requests of a shared address are for an app, and what holds for some of them.

use super::text;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use stead_balancer::{Limiter, Pattern, Route};

/// One of an app's routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSettings {
    /// Which requests.
    pub pattern: Pattern,
    /// Largest request body in bytes, instead of the app's.
    pub body_bytes_max: Option<u64>,
    /// Instead of the app's `answer_timeout`.
    pub timeout: Option<Duration>,
    /// What each client may ask for.
    pub rate_limit: Option<RateLimit>,
    /// Where its requests are sent, their path behind it: a URL without a `/` at the end.
    pub redirect: Option<String>,
    /// The directory whose files answer, absolute.
    #[serde(with = "text")]
    pub files: Option<PathBuf>,
}

/// So many requests at once, and as many again in each period. Neither is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Requests.
    pub count: u32,
    /// For so many.
    pub period: Duration,
}

impl RouteSettings {
    /// One that changes nothing.
    pub fn new(pattern: Pattern) -> Self {
        Self { pattern, body_bytes_max: None, timeout: None, rate_limit: None, redirect: None, files: None }
    }

    /// Whether its requests are answered by the app's workers.
    pub fn is_for_workers(&self) -> bool {
        self.redirect.is_none() && self.files.is_none()
    }

    /// In the balancer's words. Its clients are counted from zero.
    pub fn for_balancer(&self) -> Arc<Route> {
        let limit = |limit: RateLimit| Arc::new(Limiter::new(limit.count, limit.period));
        Arc::new(Route {
            pattern: self.pattern.clone(),
            body_bytes_max: self.body_bytes_max,
            answer_timeout: self.timeout,
            limit: self.rate_limit.map(limit),
            redirect: self.redirect.clone(),
        })
    }
}
