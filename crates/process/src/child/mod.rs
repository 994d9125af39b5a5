//! Child processes for any Rust program: what Node.js's `child_process` gives, typed.
//!
//! Everything has an async form, for tokio, and a blocking one, for which nothing needs to be known of tokio. What starts
//! is a [`Command`], what runs a [`Child`]. Linux only (5.4 or later): children are held by pidfds.
//!
//! # A program and its output
//!
//! [`exec_file`] runs a program to its end and hands over what it wrote. No shell takes part, so arguments mean what they
//! say.
//!
//! ```
//! use stead_process::child::{ExecError, exec_file};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), ExecError> {
//! let output = exec_file("pwd", ["-P"]).await?;
//! assert_eq!(output.stdout_text().trim(), std::env::current_dir().unwrap().to_str().unwrap());
//!
//! let error = exec_file("find", ["/no/such/folder"]).await.unwrap_err();
//! assert_eq!(error.to_string(), "`find` failed (exit code 1)");
//! assert!(error.output().unwrap().stderr_text().contains("No such file or directory"));
//! # Ok(())
//! # }
//! ```
//!
//! Or, where nothing else has to happen meanwhile:
//!
//! ```
//! use stead_process::child::blocking::exec_file;
//!
//! let output = exec_file("find", ["src/child", "-name", "mod.rs"])?;
//! assert_eq!(output.stdout, b"src/child/mod.rs\n");
//! # Ok::<(), stead_process::child::ExecError>(())
//! ```
//!
//! [`Command`] has all that can be said about a child: environment, directory, user, limits, time-out, cancellation.
//!
//! # A program to talk with
//!
//! [`Command::spawn`] starts one and returns at once. Its streams are inherited if nothing else is said. Here `wc` counts
//! what we write to it:
//!
//! ```
//! use stead_process::child::{Command, Event, Stdio};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut wc = Command::new("wc").arg("-w").stdin(Stdio::Piped).stdout(Stdio::Piped).spawn()?;
//!
//! let mut stdin = wc.stdin.take().unwrap();
//! stdin.write_all(b"one two three").await?;
//! // wc counts until its input ends.
//! drop(stdin);
//!
//! let mut text = String::new();
//! wc.stdout.take().unwrap().read_to_string(&mut text).await?;
//! assert_eq!(text, "3\n");
//!
//! // What happened is told in order, also to those who come late.
//! let mut events = wc.events();
//! assert_eq!(events.next().await?, Some(Event::Spawn));
//! let Some(Event::Exit(exit)) = events.next().await? else { panic!("it was not ended by us") };
//! assert_eq!(exit.code, Some(0));
//! assert_eq!(events.next().await?, Some(Event::Close(exit)));
//! # Ok(())
//! # }
//! ```
//!
//! The same without a runtime, by the standard library's own streams:
//!
//! ```
//! use std::io::{Read, Write};
//! use stead_process::child::{Command, Stdio};
//!
//! let mut wc = Command::new("wc").arg("-w").stdin(Stdio::Piped).stdout(Stdio::Piped).spawn()?;
//! wc.stdin.take().unwrap().into_std()?.write_all(b"one two three")?;
//! let mut text = String::new();
//! wc.stdout.take().unwrap().into_std()?.read_to_string(&mut text)?;
//! assert_eq!((text.as_str(), wc.wait_blocking()?.success()), ("3\n", true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Programs in a row
//!
//! `find | wc`: the second reads what the first writes, and nothing of it passes through us. A [`Pipeline`] has the exit
//! of each.
//!
//! ```
//! use stead_process::child::Command;
//!
//! let find_and_count = Command::new("find").args(["src/child", "-name", "m*.rs"]).pipe(Command::new("wc").arg("-l"));
//! let output = find_and_count.output_blocking()?;
//! assert_eq!(output.stdout, b"2\n");
//! assert!(output.exits.iter().all(|exit| exit.success()));
//! # Ok::<(), stead_process::child::ExecError>(())
//! ```
//!
//! # A line for the shell
//!
//! [`exec`] gives a line to `/bin/sh`, with pipes and all. Never build such a line from what a stranger says.
//!
//! ```
//! use std::time::Duration;
//! use stead_process::child::{Cause, Command, ExecError, exec};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), ExecError> {
//! let output = exec("find src/child -name 'm*.rs' | wc -l").await?;
//! assert_eq!(output.stdout_text().trim(), "2");
//!
//! // One that says too much, or takes too long, is ended with all that it has started.
//! let result = Command::shell("yes | cat").max_buffer(4).exec().await;
//! let Err(ExecError::Ended { cause: Cause::MaxBuffer, output, .. }) = result else { panic!("{result:?}") };
//! assert_eq!(output.stdout, b"y\ny\n");
//! let result = Command::shell("sleep 1000").timeout(Duration::from_millis(1)).exec().await;
//! assert!(matches!(result, Err(ExecError::Ended { cause: Cause::Timeout, .. })));
//! # Ok(())
//! # }
//! ```
//!
//! # A program that outlives us
//!
//! A timer that goes on when this program is done: in a session of its own, with streams that need nobody, and let go.
//!
//! ```
//! use stead_process::child::{Command, Stdio};
//!
//! let mut timer = Command::new("sleep");
//! timer.arg("0.01").detached(true).stdin(Stdio::Null).stdout(Stdio::Null).stderr(Stdio::Null);
//! timer.spawn()?.unref();
//! # Ok::<(), stead_process::child::SpawnError>(())
//! ```
//!
//! # What is left behind
//!
//! - A child that is dropped goes on, or is killed ([`Command::kill_on_drop`]); in both cases it is reaped when it ends.
//!   The forms that run a program to its end kill it when they are dropped before.
//! - A child has the descriptors it was given and no others, whatever other code has left open.
//! - A failed start leaves nothing.
//! - If this process dies, its children go on, unless they were started with [`Command::kill_with_parent`].
//! - What a child has started goes on when the child is killed, unless the whole tree is ([`Child::kill_tree`], and there
//!   what it can reach; [`Command::whole_tree`]; [`Command::sweep_group`]).
//!
//! # Beside other code
//!
//! Nothing here handles SIGCHLD or waits for children it did not start, so it can live beside `std::process` and
//! `tokio::process`. Other code that waits for *any* child, or ignores SIGCHLD, takes exits away: they then read as
//! neither code nor signal. One thread in the background looks after dropped children and deadlines; no signal that is
//! meant for the program is ever delivered to it. A process that was made by a plain `fork(2)` has no such thread, and
//! must not use this module before it has executed a program.
//!
//! `NODE_CHANNEL_FD` and its kin, if this program was itself started with a channel, are not handed on.

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
