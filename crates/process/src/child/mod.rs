//! Child processes for any Rust program: what Node.js's `child_process` gives, typed.

mod cancel;
mod command;
mod events;
mod fork;
mod handle;
mod lasting;
mod minder;
mod start;
mod state;
mod stdio;
mod streams;
mod tree;

pub use cancel::CancelToken;
pub use command::{Command, KILL_GRACE_DEFAULT, MAX_BUFFER_DEFAULT};
pub use events::{Event, Events};
pub use fork::{ForkError, ForkEvent, ForkEvents, Forked};
pub use handle::{Child, Handle};
pub use state::Cause;
pub use stdio::Stdio;
pub use streams::{ChildStderr, ChildStdin, ChildStdout};

pub use crate::keeper::{Exit, ResourceUse, Signal};
pub use crate::spawn::{Identity, ResourceName, SpawnError};
