//! What a worker prints is kept, bounded, and hurts nobody.
//!
//! ```text
//! worker --pipe--> tap --lines--> sink: journal --thread--> current.log, 00000001-....log.gz, ...
//!   stays in the pipe until written        \--> whatever else takes lines (a terminal)
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `source.rs` | who printed something, and the trait of what takes it |
//! | `pipe.rs`, `taps.rs` | reading workers' pipes without losing what is not written yet |
//! | `access.rs` | lines about requests, which are written in a form of their own |
//! | `line.rs` | how a line stands in a file |
//! | `journal/` | the files of an app: writing, following files, compression, limits |
//! | `query.rs`, `reader.rs`, `follow.rs` | reading them again, from another process as well |
//! | `crash.rs` | what is kept of a worker that ended as it should not |
//! | `time.rs` | times as people write them |
//!
//! Knows nothing of processes, apps or daemons: a source is a name and a pipe.

mod access;
mod crash;
mod follow;
mod journal;
mod line;
mod pipe;
mod query;
mod reader;
mod source;
mod taps;
mod time;

pub use access::access_directory;
pub use crash::{CrashReport, CrashReports};
pub use follow::Follower;
pub use journal::{Counters, Journal, JournalSettings, Notice, Tell, flush};
pub use line::Record;
pub use query::{Matcher, Query};
pub use reader::Reader;
pub use source::{Chunk, Sink, Source, Stream, Written};
pub use taps::{Tap, Taps, WRITE_WAIT_MAX};
pub use time::{parse_since, stamp};
