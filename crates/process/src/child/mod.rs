//! Child processes for any Rust program: what Node.js's `child_process` gives, typed.

pub mod blocking;
mod cancel;
mod collect;
mod command;
mod events;
mod exec;
mod fork;
mod handle;
mod lasting;
mod minder;
mod pipeline;
mod start;
mod state;
mod stdio;
mod streams;
mod tree;

pub use cancel::CancelToken;
pub use command::{Command, KILL_GRACE_DEFAULT, MAX_BUFFER_DEFAULT};
pub use events::{Event, Events};
pub use exec::{ExecError, Output, exec, exec_file};
pub use fork::{ForkError, ForkEvent, ForkEvents, Forked};
pub use handle::{Child, Handle};
pub use pipeline::{Pipeline, PipelineOutput};
pub use state::Cause;
pub use stdio::Stdio;
pub use streams::{ChildStderr, ChildStdin, ChildStdout};

pub use crate::keeper::{Exit, ResourceUse, Signal};
pub use crate::spawn::{Identity, ResourceName, SpawnError};
