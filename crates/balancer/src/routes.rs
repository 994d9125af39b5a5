//! Which app a request is for, where several share an address: by its host and its path.
//!
//! `pattern.rs` is a route as people write it, `table.rs` finds the one that a request is for, `path.rs` says how a path is read
//! for that, `limiter.rs` counts what clients may do. All pure; `site.rs` joins them with pools.

mod limiter;
mod path;
mod pattern;
mod table;
#[cfg(test)]
mod table_tests;

use std::sync::Arc;
use std::time::Duration;

pub use limiter::Limiter;
pub use pattern::{Pattern, PatternError};
pub use table::{Miss, Table};

/// A route and what holds for the requests that take it.
#[derive(Debug)]
pub struct Route {
    /// Which requests.
    pub pattern: Pattern,
    /// Largest request body, in bytes, instead of the app's.
    pub body_bytes_max: Option<u64>,
    /// Time from the whole request to the head of its answer, instead of the app's.
    pub answer_timeout: Option<Duration>,
    /// What each client may ask for.
    pub limit: Option<Arc<Limiter>>,
    /// Answered with 308 and this, the request's path behind it: scheme, host and perhaps a path, checked, without a `/` at the end.
    pub redirect: Option<String>,
}

impl Route {
    /// One that changes nothing.
    #[must_use]
    pub fn new(pattern: Pattern) -> Self {
        Self { pattern, body_bytes_max: None, answer_timeout: None, limit: None, redirect: None }
    }
}
