//! Children as any program has them: they run as asked, are heard, and leave nothing behind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ending;
mod events;
mod options;
mod output;
mod pipelines;
