//! Stays with restarts and reloads of several apps until all have ended, and tells how each goes. Two at a time, so that
//! everything is not missing at once.

use super::fleet::Aim;
use super::output::Output;
use super::{ExitCode, Report};
use std::time::Instant;
use stead_control::{Client, ClientError, Progress, RenewRequest};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Apps that are renewed at the same time.
const PARALLEL: usize = 2;

/// What is done to an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// One worker after the other, new beside old.
    Reload,
    /// Old ones first, then new ones.
    Restart,
}

impl Renewal {
    fn verb(self) -> &'static str {
        match self {
            Renewal::Reload => "reload",
            Renewal::Restart => "restart",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Renewal::Reload => "reloaded",
            Renewal::Restart => "restarted",
        }
    }

    fn failure(self) -> ExitCode {
        match self {
            Renewal::Reload => ExitCode::Reload,
            Renewal::Restart => ExitCode::Program,
        }
    }
}

/// Renews all, to the end. A failure is printed and does not keep the others from being renewed; the code of the first is
/// given back.
pub(super) async fn renew(
    aims: Vec<Aim>,
    (renewal, request): (Renewal, &RenewRequest),
    json: bool,
    output: &mut Output,
) -> ExitCode {
    let (sender, mut heard) = unbounded_channel();
    let mut waiting = aims.into_iter();
    let mut running = 0;
    let mut code = ExitCode::Ok;
    loop {
        while running < PARALLEL
            && let Some(aim) = waiting.next()
        {
            running += 1;
            tokio::spawn(follow(aim, renewal, request.clone(), sender.clone()));
        }
        if running == 0 {
            return code;
        }
        let Some((app, heard)) = heard.recv().await else { return code };
        match heard {
            Heard::Step(progress) if json => output.data(&format!("{}\n", serde_json::json!(progress))),
            Heard::Step(progress) => tell(&app, &progress, renewal, output),
            Heard::Ended(Ok(seconds)) => {
                running -= 1;
                if !json {
                    output.words(&format!("{} {app} in {seconds:.1} s", renewal.done()));
                }
            }
            Heard::Ended(Err(report)) => {
                running -= 1;
                output.report(&report);
                code = if code == ExitCode::Ok { report.code } else { code };
            }
        }
    }
}

fn tell(app: &str, progress: &Progress, renewal: Renewal, output: &mut Output) {
    match progress {
        Progress::Step { done, of, .. } => {
            let what = match renewal {
                Renewal::Reload => "replaced",
                Renewal::Restart => "restarted",
            };
            output.progress(&format!("{app}: {done} of {of} workers {what}"));
        }
        Progress::Note { text } => output.progress(&format!("{app}: {text}")),
        Progress::Done { .. } | Progress::Failed { .. } => (),
    }
}

enum Heard {
    Step(Progress),
    /// After so many seconds.
    Ended(Result<f64, Report>),
}

async fn follow(aim: Aim, renewal: Renewal, request: RenewRequest, sender: UnboundedSender<(String, Heard)>) {
    let started = Instant::now();
    let app = aim.app.name;
    let end = to_the_end(&aim.client, &app, (renewal, &request), &sender).await;
    // A receiver that is gone has been interrupted.
    drop(sender.send((app, Heard::Ended(end.map(|()| started.elapsed().as_secs_f64())))));
}

async fn to_the_end(
    client: &Client,
    app: &str,
    (renewal, request): (Renewal, &RenewRequest),
    sender: &UnboundedSender<(String, Heard)>,
) -> Result<(), Report> {
    let mut steps = match renewal {
        Renewal::Reload => client.reload(Some(app), request).await?,
        Renewal::Restart => client.restart(app, request).await?,
    };
    loop {
        let Some(step) = steps.next().await? else {
            let report = Report::from(ClientError::Ended);
            return Err(Report { code: renewal.failure(), ..report });
        };
        let end = match &step {
            Progress::Done { .. } => Some(Ok(())),
            Progress::Failed { app, reason, hint, done, of } => {
                let what = what_runs(renewal, *done, *of);
                let message = format!("failed to {} `{app}`: {what}", renewal.verb());
                let report = Report::new(renewal.failure(), message).cause(reason);
                Some(Err(Report { hint: hint.clone(), ..report }))
            }
            Progress::Step { .. } | Progress::Note { .. } => None,
        };
        drop(sender.send((app.to_owned(), Heard::Step(step))));
        if let Some(end) = end {
            return end;
        }
    }
}

fn what_runs(renewal: Renewal, done: u32, of: u32) -> String {
    match (renewal, done) {
        (Renewal::Restart, 0) => "no worker is ready".to_owned(),
        (Renewal::Restart, 1) => format!("1 of {of} workers is ready"),
        (Renewal::Restart, done) => format!("{done} of {of} workers are ready"),
        (Renewal::Reload, 0) => "all workers still run the old code".to_owned(),
        (Renewal::Reload, 1) => format!("1 of {of} workers runs the new code, the others the old"),
        (Renewal::Reload, done) => format!("{done} of {of} workers run the new code, the others the old"),
    }
}
