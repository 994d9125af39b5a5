//! `stead pool`: pools of workers that take tasks, tasks given by hand, and those that were set aside.

use super::fleet::{Aim, Fleet, Member};
use super::format::memory;
use super::output::Output;
use super::show::one_exit;
use super::table::{Column, draw, number, words};
use super::{ExitCode, Report, TargetArguments, pool_view, pool_wait, session, task_input};
use crate::config;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};
use stead_control::{
    AppStatus, Client, ClientError, DeadTask, RuntimeDirectory, TaskCounts, TaskEvent, TaskRequest,
    TaskState, TaskStatus,
};

/// What can follow `stead pool`.
#[derive(Subcommand, Clone, Debug)]
pub enum PoolCommand {
    /// Show all pools, and how many tasks wait
    #[command(visible_alias = "ls")]
    List(PoolListArguments),
    /// Show one pool
    Show(PoolShowArguments),
    /// Give a task to a pool, and print what comes of it
    Run(PoolRunArguments),
    /// Tasks that were set aside because workers died of them
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Dead(DeadCommand),
}

/// The arguments of `stead pool list`.
#[derive(Args, Clone, Debug, Default)]
pub struct PoolListArguments {
    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// The arguments of `stead pool show`.
#[derive(Args, Clone, Debug, Default)]
pub struct PoolShowArguments {
    /// The pool
    #[arg(value_name = "POOL")]
    pub pool: String,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// The arguments of `stead pool run`.
#[derive(Args, Clone, Debug, Default)]
#[command(
    after_help = "Examples:\n  stead pool run resize '{\"file\": \"a.png\"}'\n  stead pool run report @query.json\n  stead pool run mail --no-wait --id order-17 '{\"to\": \"me\"}'"
)]
pub struct PoolRunArguments {
    /// The pool
    #[arg(value_name = "POOL")]
    pub pool: String,

    /// What the worker gets, as JSON; `@FILE` reads it from a file, `-` from standard input
    #[arg(value_name = "JSON", allow_negative_numbers = true, default_value = "null")]
    pub input: String,

    /// Your own name for the task: the same name again is the same task
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,

    /// Tasks of one key are done one after another
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,

    /// Longest time for one try [default: `task_timeout` of the pool]
    #[arg(long, value_name = "TIME", value_parser = config::parse_duration)]
    pub timeout: Option<Duration>,

    /// Further tries after it failed [default: `retries` of the pool]
    #[arg(long, value_name = "NUMBER")]
    pub retries: Option<u32>,

    /// Higher goes first
    #[arg(long, value_name = "NUMBER", default_value_t = 0, allow_negative_numbers = true)]
    pub priority: i32,

    /// Return as soon as the task is on disk, and print its id
    #[arg(long)]
    pub no_wait: bool,

    /// Print JSON lines: everything that happens to the task
    #[arg(long)]
    pub json: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// What can follow `stead pool dead`.
#[derive(Subcommand, Clone, Debug)]
pub enum DeadCommand {
    /// Show the tasks that were set aside
    #[command(visible_alias = "ls")]
    List(DeadListArguments),
    /// Show one of them with its input
    Show(DeadShowArguments),
    /// Give them to the workers again
    Retry(DeadArguments),
    /// Forget them
    Drop(DeadArguments),
}

/// The arguments of `stead pool dead list`.
#[derive(Args, Clone, Debug, Default)]
pub struct DeadListArguments {
    /// The pool [default: all]
    #[arg(value_name = "POOL")]
    pub pool: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// The arguments of `stead pool dead show`.
#[derive(Args, Clone, Debug, Default)]
pub struct DeadShowArguments {
    /// The pool
    #[arg(value_name = "POOL")]
    pub pool: String,

    /// The task
    #[arg(value_name = "ID")]
    pub id: String,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// The arguments of `stead pool dead retry` and `drop`.
#[derive(Args, Clone, Debug, Default)]
pub struct DeadArguments {
    /// The pool
    #[arg(value_name = "POOL")]
    pub pool: String,

    /// The tasks
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub ids: Vec<String>,

    /// All that were set aside
    #[arg(long)]
    pub all: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Carries it out.
pub fn execute(command: &PoolCommand) -> ExitCode {
    session::run(async |directory, output| carry_out(command, directory, output).await)
}

async fn carry_out(
    command: &PoolCommand,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    match command {
        PoolCommand::List(arguments) => list(arguments, directory, output).await,
        PoolCommand::Show(arguments) => {
            let (_, app, tasks) = find(&arguments.pool, &arguments.target, directory, output).await?;
            let shown =
                if arguments.json { pretty(&json(&app, tasks)) } else { table(&[(app, tasks)], output) };
            output.data(&shown);
            Ok(ExitCode::Ok)
        }
        PoolCommand::Run(arguments) => run(arguments, directory, output).await,
        PoolCommand::Dead(command) => dead(command, directory, output).await,
    }
}

async fn list(
    arguments: &PoolListArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    let apps = fleet.members.iter().flat_map(|member| &member.status.apps);
    let pools: Vec<(AppStatus, TaskCounts)> =
        apps.filter_map(|app| Some((app.clone(), app.tasks?))).collect();
    if arguments.json {
        let all: Vec<Value> = pools.iter().map(|(app, tasks)| json(app, *tasks)).collect();
        output.data(&pretty(&all.into()));
    } else if pools.is_empty() {
        output.words(
            "no pools; `stead start worker.js --pool` starts one, and so does [pool.NAME] in stead.toml",
        );
    } else {
        output.data(&table(&pools, output));
    }
    Ok(ExitCode::Ok)
}

/// The pool that a word means.
async fn find(
    word: &str,
    target: &TargetArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<(Aim, AppStatus, TaskCounts), Report> {
    let fleet = Fleet::running(target, directory, output).await?;
    let aim = fleet.one_app(word).map_err(|report| match report.code {
        ExitCode::NotRunning => no_pool(word, &fleet),
        _ => report,
    })?;
    let app = aim.app.clone();
    match app.tasks {
        Some(tasks) => Ok((aim, app, tasks)),
        None => {
            let report = Report::new(ExitCode::Usage, format!("`{}` is an app, and no pool", app.name));
            Err(report.hint("`stead pool list` shows the pools"))
        }
    }
}

fn no_pool(word: &str, fleet: &Fleet) -> Report {
    let apps = fleet.members.iter().flat_map(|member| &member.status.apps);
    let pools: Vec<String> =
        apps.filter(|app| app.tasks.is_some()).map(|app| format!("`{}`", app.name)).collect();
    let report = Report::new(ExitCode::NotRunning, format!("there is no pool `{word}`"));
    match pools.is_empty() {
        true => {
            report.hint("`stead start worker.js --pool` starts one, and so does [pool.NAME] in stead.toml")
        }
        false => report.hint(format!("there are: {}", pools.join(", "))),
    }
}

fn json(app: &AppStatus, tasks: TaskCounts) -> Value {
    let mut pool = json!({ "name": app.name, "state": app.state, "workers": app.instances });
    if let (Value::Object(pool), Value::Object(tasks)) = (&mut pool, json!(tasks)) {
        pool.extend(tasks);
    }
    pool
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn table(pools: &[(AppStatus, TaskCounts)], output: &Output) -> String {
    format!("{}\n", pool_view::table(pools.iter().map(|(app, _)| app), output.columns()))
}

async fn run(
    arguments: &PoolRunArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let (aim, app, _) = find(&arguments.pool, &arguments.target, directory, output).await?;
    let task = TaskRequest {
        input: task_input::read(&arguments.input, output)?.into(),
        id: arguments.id.clone(),
        key: arguments.key.clone(),
        priority: arguments.priority,
        timeout: arguments.timeout,
        retries: arguments.retries,
        wait: !arguments.no_wait,
        ..TaskRequest::default()
    };
    if arguments.no_wait {
        let status = aim.client.give_task(&app.name, &task).await?;
        let shown = if arguments.json { json!(status).to_string() } else { status.id };
        output.data(&format!("{shown}\n"));
        return Ok(ExitCode::Ok);
    }
    let tell = |event: &TaskEvent| tell(event, &app.name, arguments.json, output);
    pool_wait::run(&aim.client, &app.name, &task, tell).await
}

/// Prints what happens to a task; says how the command ends when it has ended.
fn tell(
    event: &TaskEvent,
    pool: &str,
    as_json: bool,
    output: &mut Output,
) -> Result<Option<ExitCode>, Report> {
    match event {
        TaskEvent::Progress(data) if as_json => output.data(&format!("{{\"progress\":{data}}}\n")),
        TaskEvent::Progress(data) => output.words(&format!("progress: {data}")),
        TaskEvent::Part(data) if as_json => output.data(&format!("{{\"part\":{data}}}\n")),
        TaskEvent::Part(data) => output.data(&format!("{data}\n")),
        TaskEvent::End(task) if as_json => {
            output.data(&format!("{}\n", json!(task)));
            let done = task.state == TaskState::Done;
            return Ok(Some(if done { ExitCode::Ok } else { ExitCode::Failure }));
        }
        TaskEvent::End(task) if task.state == TaskState::Done => {
            let result = task.result.as_ref().map_or("null", |result| result.get());
            output.data(&format!("{result}\n"));
            return Ok(Some(ExitCode::Ok));
        }
        TaskEvent::End(task) => return Err(failed(task, pool)),
    }
    Ok(None)
}

fn failed(task: &TaskStatus, pool: &str) -> Report {
    let error: Value =
        task.error.as_ref().and_then(|error| serde_json::from_str(error.get()).ok()).unwrap_or_default();
    let report =
        Report::new(ExitCode::Failure, format!("task `{}` ended as {}", task.id, task.state.as_str()));
    let report = match error["message"].as_str() {
        Some(message) => report.cause(message),
        None => report,
    };
    match task.state {
        TaskState::Poison => report.hint(format!(
            "when its cause is repaired, `stead pool dead retry {pool} {}` tries it once more",
            task.id
        )),
        _ => report.hint(format!("`stead logs {pool}` may say more")),
    }
}

async fn dead(
    command: &DeadCommand,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    match command {
        DeadCommand::List(arguments) => dead_list(arguments, directory, output).await?,
        DeadCommand::Show(arguments) => {
            let (aim, app, _) = find(&arguments.pool, &arguments.target, directory, output).await?;
            let task = aim.client.dead_task(&app.name, &arguments.id).await?;
            if arguments.json {
                output.data(&pretty(&json!(task)));
            } else {
                output.words(&dead_words(&app.name, &task, SystemTime::now()));
                output.data(&format!("{}\n", task.input.as_ref().map_or("null", |input| input.get())));
            }
        }
        DeadCommand::Retry(arguments) => {
            let (aim, app, ids) = meant(arguments, directory, output).await?;
            let retry = async |id: &str| aim.client.retry_dead_task(&app, id).await;
            for_each(&ids, retry, "tried again", output).await?;
        }
        DeadCommand::Drop(arguments) => {
            let (aim, app, ids) = meant(arguments, directory, output).await?;
            let forget = async |id: &str| aim.client.drop_dead_task(&app, id).await;
            for_each(&ids, forget, "forgotten", output).await?;
        }
    }
    Ok(ExitCode::Ok)
}

async fn dead_list(
    arguments: &DeadListArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<(), Report> {
    let pools: Vec<(Client, String)> = match &arguments.pool {
        Some(word) => {
            let (aim, app, _) = find(word, &arguments.target, directory, output).await?;
            vec![(aim.client, app.name)]
        }
        None => {
            let fleet = Fleet::running(&arguments.target, directory, output).await?;
            let of = |member: Member| {
                let pools = member.status.apps.into_iter().filter(|app| app.tasks.is_some());
                pools.map(move |app| (member.client.clone(), app.name)).collect::<Vec<_>>()
            };
            fleet.members.into_iter().flat_map(of).collect()
        }
    };
    let mut all = Vec::new();
    for (client, pool) in pools {
        let tasks = client.dead_tasks(&pool).await?;
        all.extend(tasks.into_iter().map(|task| (pool.clone(), task)));
    }
    if arguments.json {
        let in_pool = |(pool, task): &(String, DeadTask)| {
            let mut task = json!(task);
            task["pool"] = pool.as_str().into();
            task
        };
        output.data(&pretty(&all.iter().map(in_pool).collect()));
    } else if all.is_empty() {
        let of = arguments.pool.as_ref().map_or_else(String::new, |pool| format!(" of `{pool}`"));
        output.words(&format!("no task{of} is set aside"));
    } else {
        output.data(&dead_table(&all, output));
    }
    Ok(())
}

/// The pool and the tasks that are named.
async fn meant(
    arguments: &DeadArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<(Aim, String, Vec<String>), Report> {
    let (aim, app, _) = find(&arguments.pool, &arguments.target, directory, output).await?;
    let ids = match arguments.all {
        true => aim.client.dead_tasks(&app.name).await?.into_iter().map(|task| task.id).collect(),
        false => arguments.ids.clone(),
    };
    Ok((aim, app.name, ids))
}

/// Does something with each task. One that is refused keeps no other from it; how many are `done` is told, and what was refused.
async fn for_each(
    ids: &[String],
    act: impl AsyncFn(&str) -> Result<(), ClientError>,
    done: &str,
    output: &mut Output,
) -> Result<(), Report> {
    let mut refused = Vec::new();
    for id in ids {
        match act(id).await {
            Err(ClientError::Refused(refusal)) => refused.push(Report::from(refusal)),
            outcome => outcome?,
        }
    }
    let count = ids.len() - refused.len();
    if count > 0 || refused.is_empty() {
        output.words(&format!("{} {done}", tasks(count)));
    }
    let Some(last) = refused.pop() else { return Ok(()) };
    refused.iter().for_each(|report| output.report(report));
    Err(last)
}

fn tasks(count: usize) -> String {
    if count == 1 { "1 task is".to_owned() } else { format!("{count} tasks are") }
}

fn why(task: &DeadTask) -> String {
    if let Some(last) = task.deaths.last() {
        return format!("its workers died, the last one: {}", last.why);
    }
    let error: Value =
        task.error.as_ref().and_then(|error| serde_json::from_str(error.get()).ok()).unwrap_or_default();
    error["message"].as_str().unwrap_or_default().to_owned()
}

/// A task that was set aside, but for its input: how often it was tried, and how its workers ended.
fn dead_words(pool: &str, task: &DeadTask, now: SystemTime) -> String {
    let times = if task.attempts == 1 { "1 try".to_owned() } else { format!("{} tries", task.attempts) };
    let head = format!("{} after {times}: {}\n", task.state.as_str(), why(task));
    let deaths = task.deaths.iter().map(|record| one_exit(pool, record, now));
    deaths.fold(head, |words, death| words + &death)
}

const DEAD_COLUMNS: [Column; 6] = [
    words("pool", 0),
    words("task", 0),
    words("state", 0),
    number("tries", 0),
    number("input", 0),
    words("why", 0),
];

fn dead_table(tasks: &[(String, DeadTask)], output: &Output) -> String {
    let row = |(pool, task): &(String, DeadTask)| {
        let (state, tries) = (task.state.as_str().to_owned(), task.attempts.to_string());
        [pool.clone(), task.id.clone(), state, tries, memory(task.input_bytes), why(task)]
    };
    let rows: Vec<_> = tasks.iter().map(row).collect();
    format!("{}\n", draw(&DEAD_COLUMNS, &rows, output.columns()))
}
