//! `stead reload`: replaces workers one by one and shows how far it is; ends when all run the new code, or with an error.

use super::output::Output;
use super::{ExitCode, Report, TargetArguments, session, target};
use clap::Args;
use std::time::Instant;
use stead_control::{Client, ClientError, Progress, RenewRequest, RuntimeDirectory};

/// The arguments of `stead reload`.
#[derive(Args, Clone, Debug, Default)]
pub struct ReloadArguments {
    /// Apps to reload [default: all of the instance]
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,

    /// Print each step as a JSON line
    #[arg(long)]
    pub json: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Carries it out.
pub fn execute(arguments: &ReloadArguments) -> ExitCode {
    session::run(async |directory, output| reload(arguments, directory, output).await)
}

pub(super) async fn reload(
    arguments: &ReloadArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let client = target::find(&arguments.target, &arguments.apps, directory).await?;
    if arguments.apps.is_empty() {
        follow(&client, None, arguments.json, output).await?;
    }
    for app in &arguments.apps {
        follow(&client, Some(app), arguments.json, output).await?;
    }
    Ok(ExitCode::Ok)
}

/// Starts one reload and stays with it to its end.
async fn follow(client: &Client, app: Option<&str>, json: bool, output: &mut Output) -> Result<(), Report> {
    let started = Instant::now();
    let mut steps = client.reload(app, &RenewRequest::default()).await?;
    loop {
        let step = match steps.next().await? {
            Some(step) => step,
            None => return Err(Report { code: ExitCode::Reload, ..Report::from(ClientError::Ended) }),
        };
        if json {
            output.data(&format!("{}\n", serde_json::json!(step)));
        }
        match step {
            Progress::Step { .. } | Progress::Note { .. } if json => (),
            Progress::Step { app, done, of } => {
                output.progress(&format!("{app}: {done} of {of} workers replaced"));
            }
            Progress::Note { text } => output.progress(&text),
            Progress::Done { apps } => {
                if !json {
                    output.words(&format!(
                        "reloaded {} in {:.1} s",
                        apps.join(", "),
                        started.elapsed().as_secs_f64()
                    ));
                }
                return Ok(());
            }
            Progress::Failed { app, reason, hint, done, of } => {
                let message = format!("failed to reload `{app}`: {}", what_runs(done, of));
                return Err(Report { hint, ..Report::new(ExitCode::Reload, message).cause(reason) });
            }
        }
    }
}

fn what_runs(done: u32, of: u32) -> String {
    match done {
        0 => "all workers still run the old code".to_owned(),
        1 => format!("1 of {of} workers runs the new code, the others the old"),
        done => format!("{done} of {of} workers run the new code, the others the old"),
    }
}
