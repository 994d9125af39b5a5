//! Runs a command of the user's beside the workers, to its end: a hook, a health check. As the same user, in the same directory
//! and with the same environment as a worker. A child of the keeper's like all others, so that nothing of it can be left behind.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stead_logs::{Chunk, Sink, Source, Stream, Tap, Written};
use stead_process::keeper::{ChildId, Exit, Signal};
use stead_process::spawn::{SpawnError, SpawnSpec};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;

use super::launch;
use super::outlet::Outlet;
use super::shared::Shared;
use crate::config::AppSettings;

/// How soon after a command has ended all it had printed is read.
const OUTPUT_FOLLOWS: Duration = Duration::from_secs(1);
/// A longer line is read in pieces.
const LINE_READ_BYTES_MAX: usize = 64 * 1024;
/// Of its last line, for an error message.
const LINE_BYTES_MAX: usize = 300;

/// What is to be done.
#[derive(Clone)]
pub(super) struct Errand {
    pub(super) shared: Arc<Shared>,
    pub(super) settings: Arc<AppSettings>,
    /// A line for a shell.
    pub(super) command: String,
    pub(super) variables: Vec<(&'static str, String)>,
    /// It is killed when it takes longer.
    pub(super) timeout: Duration,
    /// Where goes what it prints; nothing: only its last line is kept, for the error.
    pub(super) outlet: Option<Arc<Outlet>>,
}

/// A command that has been started.
pub(super) struct Begun {
    shared: Arc<Shared>,
    pub(super) child: ChildId,
    exit: JoinHandle<Exit>,
    tap: Tap,
    last: Arc<LastLine>,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum ErrandError {
    #[error("it could not be started")]
    Spawn(#[from] SpawnError),
    #[error("no pipe could be made for its output")]
    Pipe(#[from] io::Error),
    #[error("{exit}{}", said(.line))]
    Failed { exit: Exit, line: String },
    #[error("it took longer than {limit:?}{}", said(.line))]
    TooLong { limit: Duration, line: String },
    #[error("it printed more than {limit} bytes")]
    TooMuch { limit: usize },
}

fn said(line: &str) -> String {
    if line.is_empty() { String::new() } else { format!(": {line}") }
}

impl Errand {
    /// Does it. Whoever gives up waiting has it killed.
    pub(super) async fn run(self) -> Result<(), ErrandError> {
        let (reader, writer) = io::pipe()?;
        let errors = writer.try_clone()?;
        self.perform(reader, [writer, errors]).await
    }

    /// Does it, and gives what it printed, which may be so many bytes.
    pub(super) async fn output(self, bytes_max: usize) -> Result<Vec<u8>, ErrandError> {
        let (output, writer) = io::pipe()?;
        let (reader, errors) = io::pipe()?;
        let printed = pipe::Receiver::from_owned_fd(output.into())?;
        let read = async {
            let mut bytes = Vec::new();
            // One more than there may be, so that too many are noticed.
            printed.take((bytes_max as u64).saturating_add(1)).read_to_end(&mut bytes).await.map(|_| bytes)
        };
        tokio::pin!(read);
        let performed = self.perform(reader, [writer, errors]);
        tokio::pin!(performed);
        let bytes = tokio::select! {
            done = &mut performed => {
                done?;
                // What it left in the background may hold its pipe open.
                let rest = tokio::time::timeout(OUTPUT_FOLLOWS, read).await;
                rest.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?
            }
            bytes = &mut read => {
                let bytes = bytes?;
                if bytes.len() <= bytes_max {
                    performed.await?;
                }
                bytes
            }
        };
        if bytes.len() > bytes_max { Err(ErrandError::TooMuch { limit: bytes_max }) } else { Ok(bytes) }
    }

    async fn perform(self, reader: PipeReader, writers: [PipeWriter; 2]) -> Result<(), ErrandError> {
        let limit = self.timeout;
        let mut begun = self.begin(reader.into(), writers).await?;
        let leash = Leash { shared: Arc::clone(&begun.shared), child: begun.child };
        let exit = tokio::time::timeout(limit, begun.exit()).await;
        drop(leash);
        let line = begun.last_line().await;
        match exit {
            Ok(exit) if exit.code == Some(0) => Ok(()),
            Ok(exit) => Err(ErrandError::Failed { exit, line }),
            Err(_) => Err(ErrandError::TooLong { limit, line }),
        }
    }

    /// Starts it, with these pipes for what it prints, of which one is read for its last line.
    pub(super) async fn begin(self, reader: OwnedFd, writers: [PipeWriter; 2]) -> Result<Begun, ErrandError> {
        let descriptors = writers.map(Into::into).into();
        let child = self.shared.keeper.spawn(self.spec(), descriptors).await?.id;
        Ok(self.attend(child, reader))
    }

    /// Sees to one that has been started, perhaps by the daemon before this one.
    pub(super) fn attend(self, child: ChildId, reader: OwnedFd) -> Begun {
        let last = Arc::new(LastLine::default());
        let sink: Arc<dyn Sink> = match &self.outlet {
            Some(outlet) => {
                Arc::new(vec![Arc::clone(outlet) as Arc<dyn Sink>, Arc::clone(&last) as Arc<dyn Sink>])
            }
            None => Arc::clone(&last) as _,
        };
        let source = Source { app: self.settings.name.clone(), instance: None, stream: Stream::Out };
        let tap = self.shared.taps.tap(reader, source, sink);
        let exit = self.shared.children.claim_errand(child);
        let shared = Arc::clone(&self.shared);
        // Even if nobody waits any more, the keeper is told to forget it.
        let exit = tokio::spawn(async move {
            let exit = exit.await.unwrap_or_default();
            shared.keeper.bury(child);
            exit
        });
        Begun { shared: self.shared, child, exit, tap, last }
    }

    fn spec(&self) -> SpawnSpec {
        let settings = &self.settings;
        SpawnSpec {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), self.command.clone().into()],
            directory: Some(settings.directory.clone()),
            environment: launch::environment(settings, &self.shared.worker_socket, &self.variables),
            descriptors: vec![1, 2],
            listen_pid: false,
            open_files_max: Some(self.shared.open_files_max),
            tag: format!("{} errand", settings.name),
            identity: super::settings::for_system(&settings.identity),
            cgroup: None,
        }
    }
}

impl Begun {
    /// Its end. Whoever stops waiting may wait again.
    pub(super) async fn exit(&mut self) -> Exit {
        (&mut self.exit).await.unwrap_or_default()
    }

    /// The last it printed, after its end.
    pub(super) async fn last_line(mut self) -> String {
        // What it left in the background may hold its pipe open.
        let _read = tokio::time::timeout(OUTPUT_FOLLOWS, self.tap.ended()).await;
        self.last.take()
    }

    /// It goes on under another daemon, which reads what it prints from here on.
    pub(super) async fn let_go(self) {
        self.exit.abort();
        self.tap.stop().await;
    }
}

/// Kills what is at its end when it is let go of.
struct Leash {
    shared: Arc<Shared>,
    child: ChildId,
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.shared.keeper.signal(self.child, Signal::KILL);
    }
}

/// Keeps the last line that is not empty.
#[derive(Default)]
struct LastLine(Mutex<String>);

impl LastLine {
    fn take(&self) -> String {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sink for LastLine {
    fn take(&self, _source: &Source, chunk: Chunk<'_>) -> Written {
        let lines = chunk.lines().map(|(line, _)| line.trim_ascii());
        if let Some(line) = lines.filter(|line| !line.is_empty()).last() {
            let line = String::from_utf8_lossy(&line[..line.len().min(LINE_BYTES_MAX)]).into_owned();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = line;
        }
        Written::Now
    }

    fn line_bytes_max(&self) -> usize {
        LINE_READ_BYTES_MAX
    }
}
