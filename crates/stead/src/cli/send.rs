//! `stead send`: a message to the Node.js workers of apps (`process.on('message')`).

use super::fleet::{Aim, Fleet};
use super::output::Output;
use super::{ExitCode, Report, TargetArguments, session};
use crate::config;
use clap::Args;
use serde_json::{Value, json};
use std::time::Duration;
use stead_control::{Post, Posted, RuntimeDirectory};

/// The arguments of `stead send`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  stead send shop '{\"type\": \"clear-cache\"}'\n  stead send shop.0 '\"hello\"'\n  stead send shop 7 --request --timeout 5s"
)]
pub struct SendArguments {
    /// App whose workers get it, or one worker (`shop.1`)
    #[arg(value_name = "APP")]
    pub app: String,

    /// What they get, as JSON
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    pub message: String,

    /// What it is about; goes in an envelope, to workers of any language
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,

    /// Ask one worker, wait for its answer and print it
    #[arg(long)]
    pub request: bool,

    /// Longest wait for the answer [default: `message_timeout` of the app]
    #[arg(long, value_name = "TIME", value_parser = patience, requires = "request")]
    pub timeout: Option<Duration>,

    /// Print JSON: how many got it, or who answered what
    #[arg(long)]
    pub json: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Carries it out.
pub fn execute(arguments: &SendArguments) -> ExitCode {
    session::run(async |directory, output| send(arguments, directory, output).await)
}

pub(super) async fn send(
    arguments: &SendArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let message = parse("message", &arguments.message)?;
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    for aim in fleet.aims(std::slice::from_ref(&arguments.app))? {
        if arguments.topic.is_some() || arguments.request {
            post(arguments, &aim, message.clone(), output).await?;
            continue;
        }
        let count = aim.client.send_message(&aim.app.name, aim.slot, message.clone()).await?;
        if count == 0 {
            let message = format!("no worker of `{}` takes messages", aim.app.name);
            let hint = "only Node.js programs do, over their IPC channel; `--topic` reaches whoever listens on STEAD_SOCKET, \
                        `stead signal` every program";
            return Err(
                Report::new(ExitCode::Failure, message).hint(pool_hint(&aim).unwrap_or_else(|| hint.into()))
            );
        }
        match arguments.json {
            true => output.data(&format!("{:#}\n", json!({ "receivers": count, "dropped": 0 }))),
            false => output.words(&format!("sent to {}", aim.receivers(count))),
        }
    }
    Ok(ExitCode::Ok)
}

/// In an envelope.
async fn post(arguments: &SendArguments, aim: &Aim, data: Value, output: &mut Output) -> Result<(), Report> {
    let post = Post {
        to: match aim.slot {
            Some(slot) => json!({ "app": aim.app.name, "slot": slot }),
            None => json!({ "app": aim.app.name }),
        },
        topic: arguments.topic.clone(),
        data,
        include_self: false,
        request: arguments.request,
        timeout: arguments.timeout.map(|timeout| timeout.as_millis() as u64),
    };
    let posted = aim.client.post_message(&post).await?;
    match &posted {
        Posted::Sent { receivers: 0, .. } => {
            let message = format!("no worker of `{}` got it", aim.app.name);
            let hint =
                "Node.js programs get messages, and workers that listen over HTTP: see docs/messages.md";
            return Err(
                Report::new(ExitCode::Failure, message).hint(pool_hint(aim).unwrap_or_else(|| hint.into()))
            );
        }
        _ if arguments.json => output.data(&format!("{:#}\n", json!(posted))),
        Posted::Answered { data, .. } => output.data(&format!("{data:#}\n")),
        Posted::Sent { receivers, dropped } => {
            let lost = match dropped {
                0 => String::new(),
                dropped => format!("; {dropped} more do not read their messages"),
            };
            output.words(&format!("sent to {}{lost}", aim.receivers(*receivers as u32)));
        }
    }
    Ok(())
}

/// What to do about workers of a pool that know of nothing but tasks.
fn pool_hint(aim: &Aim) -> Option<String> {
    let name = &aim.app.name;
    aim.app.tasks.is_some().then(|| format!("it is a pool: `stead pool run {name} JSON` gives it a task"))
}

/// What somebody has typed as JSON.
pub(super) fn parse(what: &str, text: &str) -> Result<Value, Report> {
    serde_json::from_str(text).map_err(|error| {
        Report::new(ExitCode::Usage, format!("the {what} is not JSON")).cause(error.to_string()).hint(
            "a text is written with quotes inside quotes: '\"hello\"'; an object as '{\"type\": \"hello\"}'",
        )
    })
}

fn patience(text: &str) -> Result<Duration, String> {
    config::parse_duration(text)
}
