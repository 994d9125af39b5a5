//! `stead stop`: lets workers finish, ends them, and returns when they have ended.

use super::output::Output;
use super::{ExitCode, Report, TargetArguments, session, target};
use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io;
use std::os::fd::OwnedFd;
use stead_control::{Client, ClientError, Event, RuntimeDirectory, StopRequest, Stream};
use tokio::task::spawn_blocking;

/// The arguments of `stead stop`.
#[derive(Args, Clone, Debug, Default)]
pub struct StopArguments {
    /// Apps to stop [default: the whole instance]
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,

    /// Do not let requests finish
    #[arg(long)]
    pub now: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Carries it out.
pub fn execute(arguments: &StopArguments) -> ExitCode {
    session::run(async |directory, output| stop(arguments, directory, output).await)
}

pub(super) async fn stop(
    arguments: &StopArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let client = target::find(&arguments.target, &arguments.apps, directory).await?;
    let now = arguments.now;
    if arguments.apps.is_empty() {
        stop_instance(&client, now, output).await?;
    }
    for app in &arguments.apps {
        // Before the request, so that its end cannot be missed.
        let mut events = client.events().await?;
        client.stop(&StopRequest { app: Some(app.clone()), now }).await?;
        output.progress(&format!("stopping {app}"));
        wait_for_app(&mut events, app).await;
        output.words(&format!("stopped {app}"));
    }
    Ok(ExitCode::Ok)
}

async fn stop_instance(client: &Client, now: bool, output: &mut Output) -> Result<(), Report> {
    let pid = client.status().await?.keeper_pid;
    let keeper = watch(pid);
    let mut events = client.events().await?;
    client.stop(&StopRequest { app: None, now }).await?;
    output.progress(&format!("stopping the instance with pid {pid}"));
    // The events end with the daemon, which ends before its keeper.
    while let Ok(Some(_)) = events.next().await {}
    if let Some(keeper) = keeper {
        wait_for_exit(keeper).await.map_err(|error| {
            Report::new(ExitCode::Failure, format!("failed to wait for pid {pid}")).cause(error.to_string())
        })?;
    }
    output.words(&format!("stopped the instance with pid {pid}"));
    Ok(())
}

/// A process to wait for; nothing when it is not in sight (it has ended, or lives in another container).
fn watch(pid: u32) -> Option<OwnedFd> {
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

/// An instance that ends meanwhile has stopped the app too.
async fn wait_for_app(events: &mut Stream<Event>, app: &str) {
    loop {
        match events.next().await {
            Ok(Some(Event::AppStopped { app: stopped })) if stopped == app => return,
            // A newer daemon may tell of things this version does not know.
            Ok(Some(_)) | Err(ClientError::NotUnderstood { .. }) => (),
            Ok(None) | Err(_) => return,
        }
    }
}
