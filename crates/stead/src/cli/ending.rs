//! Waits for apps and instances to end.

use super::output::Output;
use super::{ExitCode, Report};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io;
use std::os::fd::OwnedFd;
use stead_control::{Client, ClientError, Event, Stream};
use tokio::task::spawn_blocking;

/// What happens to apps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// They stay in the list.
    Stop,
    /// They do not.
    Delete,
}

impl Ending {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Ending::Stop => ("stopping", "stopped"),
            Ending::Delete => ("deleting", "deleted"),
        }
    }

    /// The app whose end an event tells, and how many tasks were dropped with it.
    fn of(self, event: Event) -> Option<(String, u64)> {
        match (self, event) {
            (Ending::Stop, Event::AppStopped { app }) => Some((app, 0)),
            (_, Event::AppDeleted { app, tasks }) => Some((app, tasks)),
            _ => None,
        }
    }
}

/// Behind the words that a pool is deleted: how many of its tasks had not ended.
pub(super) fn with_tasks(dropped: u64) -> String {
    match dropped {
        0 => String::new(),
        1 => "; 1 task that had not ended was dropped with it".to_owned(),
        _ => format!("; {dropped} tasks that had not ended were dropped with it"),
    }
}

/// Waits until all these apps have ended. The end of the instance is the end of all.
pub(super) async fn wait_for_apps(
    events: &mut Stream<Event>,
    mut apps: Vec<String>,
    ending: Ending,
    output: &mut Output,
) {
    let (doing, done) = ending.words();
    while !apps.is_empty() {
        output.progress(&format!("{doing} {}", apps.join(", ")));
        match events.next().await {
            Ok(Some(event)) => {
                let Some((ended, tasks)) = ending.of(event) else { continue };
                if apps.contains(&ended) {
                    apps.retain(|app| *app != ended);
                    output.words(&format!("{done} {ended}{}", with_tasks(tasks)));
                }
            }
            // A newer daemon may tell of things this version does not know.
            Err(ClientError::NotUnderstood { .. }) => (),
            Ok(None) | Err(_) => apps.drain(..).for_each(|app| output.words(&format!("{done} {app}"))),
        }
    }
}

/// Ends an instance with all its apps and returns when its keeper is gone.
pub(super) async fn end_instance(client: &Client, now: bool, output: &mut Output) -> Result<(), Report> {
    let pid = client.status().await?.keeper_pid;
    let keeper = watch(pid);
    let mut events = client.events().await?;
    client.shut_down(now).await?;
    output.progress(&format!("stopping the instance with pid {pid}"));
    // The events end with the daemon, which ends before its keeper.
    loop {
        match events.next().await {
            Ok(Some(Event::AppStopped { app })) => output.progress(&format!("stopped {app}")),
            Ok(Some(_)) | Err(ClientError::NotUnderstood { .. }) => (),
            Ok(None) | Err(_) => break,
        }
    }
    if let Some(keeper) = keeper {
        wait_for_exit(keeper).await.map_err(|error| {
            Report::new(ExitCode::Failure, format!("failed to wait for pid {pid}")).cause(error.to_string())
        })?;
    }
    output.words(&format!("stopped the instance with pid {pid}"));
    Ok(())
}

/// A process to wait for; nothing when it is not in sight (it has ended, or lives in another container).
pub(super) fn watch(pid: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// A pidfd becomes readable when its process has ended.
async fn wait_for_exit(process: OwnedFd) -> io::Result<()> {
    let wait = move || loop {
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], None) {
            Err(Errno::INTR) => (),
            result => return result.map(|_| ()).map_err(io::Error::from),
        }
    };
    spawn_blocking(wait).await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))
}
