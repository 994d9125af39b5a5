//! `stead map`: a batch of tasks from standard input, done by workers of its own; no daemon has a part in it.
//!
//! | file | holds |
//! |---|---|
//! | `batch.rs` | the loop that drives everything |
//! | `ended.rs` | what becomes of tasks that have ended |
//! | `files.rs` | that input, output and what is kept are files of their own |
//! | `input.rs`, `results.rs` | tasks in, results out, no more in memory than needed |
//! | `crew.rs`, `workers.rs`, `each.rs` | who does the tasks: workers that last, or a process for each |
//! | `protocol.rs` | what is said to workers and by them |
//! | `resume.rs`, `failures.rs` | what is kept for another run, and of what failed |
//! | `progress.rs` | how far it is |

mod batch;
mod crew;
mod each;
mod ended;
mod failures;
mod files;
mod input;
mod progress;
mod protocol;
mod results;
mod resume;
mod workers;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::{Args, ValueHint};
use stead_jobs::journal::{Synced, Writer as JournalWriter};
use stead_jobs::{Pool, PoolConfig, WorkerId};
use stead_process::child::Exit;
use tokio::sync::mpsc::{Sender, channel};

use self::batch::{Batch, Book, State};
use self::crew::{Crew, Kind};
use self::each::{Each, Template};
use self::failures::Failures;
use self::files::Files;
use self::input::Lines;
use self::protocol::Format;
use self::results::{Results, Writer};
use self::resume::{Earlier, OutputEnd, Stored};
use self::workers::{End, Program, Workers};
use super::output::Output;
use super::{ExitCode, Report};
use crate::config::{InstanceCount, PoolSettings, parse_duration, resolve_command};

/// A task of which so many workers died is set aside, as in a pool.
const DEATHS_MAX: u32 = 2;

/// How long a worker may take to stop a task that took too long, before it is killed.
const ABORT_GRACE: Duration = Duration::from_secs(2);

/// A worker is given as many tasks ahead as it does in about this time: more would wait behind a slow one, fewer would let it wait for us.
const AHEAD: Duration = Duration::from_millis(50);

/// Delay before the first retry, and the longest.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Events that wait to be dealt with; who tells more waits.
const EVENTS_MAX: usize = 256;

/// The arguments of `stead map`.
#[derive(Args, Clone, Debug)]
#[command(
    override_usage = "stead map [OPTIONS] -- COMMAND...",
    after_help = "Examples:\n  \
    stead map -n 8 -- node worker.js < tasks.ndjson > results.ndjson\n  \
    stead map --resume journal -- node worker.js < tasks.ndjson >> results.ndjson\n  \
    ls *.jpg | stead map -- convert {} -resize 50% small/{}\n  \
    stead map --shell -- 'wc -l < {}' < names.txt\n\n\
    A worker reads tasks and answers each: a Node.js program by process.on('message') and process.send(), any other \
    line by line on standard input and output. With {} in the command, each task is a process of its own: exit code 0 \
    is success, what it prints the result."
)]
pub struct MapArguments {
    /// How many workers: a number, or `max` for one per core
    #[arg(short = 'n', long, value_name = "N", default_value = "max", allow_negative_numbers = true)]
    pub workers: InstanceCount,

    /// Write results as they come, instead of in the order of the tasks
    #[arg(long)]
    pub unordered: bool,

    /// Write results in the order of the tasks; this is the default
    #[arg(long, conflicts_with = "unordered")]
    pub ordered: bool,

    /// How often a task that failed is tried again
    #[arg(long, value_name = "N", default_value = "0")]
    pub retries: u32,

    /// How long a task may take, as `30s`; then it has failed
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub timeout: Option<Duration>,

    /// Keep a journal in this file; with one of an earlier run, go on where that was killed
    #[arg(long, value_name = "JOURNAL", value_hint = ValueHint::FilePath)]
    pub resume: Option<PathBuf>,

    /// Write tasks that failed to this file, as lines of JSON with the input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub failures: Option<PathBuf>,

    /// Each line is a text, whatever it looks like
    #[arg(long, conflicts_with = "json")]
    pub lines: bool,

    /// Each line is JSON; without this or --lines, the first line decides
    #[arg(long)]
    pub json: bool,

    /// Run the command in a shell, where {} stands for the task
    #[arg(long)]
    pub shell: bool,

    /// Talk to the workers over a message channel, as to Node.js programs
    #[arg(long, conflicts_with = "stdio")]
    pub ipc: bool,

    /// Talk to the workers over standard input and output, Node.js programs too
    #[arg(long)]
    pub stdio: bool,

    /// Say nothing about progress
    #[arg(short, long)]
    pub quiet: bool,

    /// What a worker runs
    #[arg(value_name = "COMMAND", last = true, required = true, value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// What comes in while a batch runs.
#[derive(Debug)]
enum Heard {
    /// Whole lines for us.
    Said { worker: WorkerId, lines: Bytes },
    /// Whole lines for people.
    Printed { worker: WorkerId, lines: Bytes },
    /// A worker is dead, and all that it had said was heard.
    Gone { worker: WorkerId, end: End },
    /// A process for one task has ended.
    Ended { worker: WorkerId, exit: io::Result<Exit>, output: Vec<u8> },
    /// So many bytes are in the output.
    Wrote(io::Result<usize>),
    /// The journal is on the disk up to here.
    Synced(Synced),
}

/// Carries it out.
pub fn execute(arguments: &MapArguments) -> ExitCode {
    let mut output = Output::standard();
    let result = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(arguments, &mut output)),
        Err(error) => Err(failed("to start", &error)),
    };
    output.finish(result)
}

async fn run(arguments: &MapArguments, output: &mut Output) -> Result<ExitCode, Report> {
    let (tell, heard) = channel(EVENTS_MAX);
    let crew = crew(arguments, &tell)?;
    let stdin = duplicate(io::stdin().as_fd(), "standard input")?;
    let stdout = duplicate(io::stdout().as_fd(), "standard output")?;
    let (journal, failures) = (arguments.resume.as_deref(), arguments.failures.as_deref());
    Files { input: &stdin, output: &stdout, journal, failures }.are_distinct()?;
    if io::stdin().is_terminal() && !arguments.quiet {
        output.note("tasks are read from this terminal, one per line; Ctrl-D ends them");
    }
    let metadata = stdin.metadata().ok().filter(std::fs::Metadata::is_file);
    let format = match (arguments.json, arguments.lines || crew.is_each()) {
        (true, _) => Some(Format::Json),
        (false, true) => Some(Format::Text),
        (false, false) => None,
    };
    let book = book(arguments, format, &stdout, &tell)?;
    let batch = Batch {
        output,
        quiet: arguments.quiet,
        pool: Pool::new(Instant::now(), config(arguments), u64::from(std::process::id())),
        crew,
        lines: Lines::of(stdin).map_err(|error| failed("to read tasks", &error))?,
        input_bytes: metadata.map(|metadata| metadata.len()),
        format: format.or_else(|| book.as_ref()?.format),
        results: Results::new(!arguments.unordered),
        writer: Writer::start(stdout, {
            let tell = tell.clone();
            // Nobody listens any more if the batch has ended.
            move |wrote| drop(tell.blocking_send(Heard::Wrote(wrote)))
        })
        .map_err(|error| failed("to write results", &error))?,
        failures: Failures::open(failures)?,
        book,
        heard,
        state: State::new(Instant::now()),
    };
    batch.run().await
}

fn crew(arguments: &MapArguments, tell: &Sender<Heard>) -> Result<Crew, Report> {
    let mut environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    let directory =
        std::env::current_dir().map_err(|error| failed("to find the current directory", &error))?;
    let places = arguments.workers.here();
    if let Some(template) = Template::of(&arguments.command, arguments.shell) {
        let each = Each::new(template, environment.into_iter().collect(), tell.clone());
        return Ok(Crew::new(Kind::Each(each), places));
    }
    let mut program = Program {
        arguments: Vec::new(),
        environment: Vec::new(),
        channel: false,
        batches: arguments.timeout.is_none(),
    };
    if arguments.shell {
        program.arguments = vec!["/bin/sh".into(), "-c".into(), arguments.command.join(" ".as_ref())];
    } else {
        let found = resolve_command(&arguments.command, &directory, &mut environment).map_err(|error| {
            let report = Report::of(ExitCode::Program, &error);
            match error.hint() {
                Some(hint) => report.hint(hint),
                None => report,
            }
        })?;
        (program.arguments, program.channel) = (found.arguments, found.is_node);
    }
    program.channel = (program.channel || arguments.ipc) && !arguments.stdio;
    program.environment = environment.into_iter().collect();
    let format = if arguments.lines { Format::Text } else { Format::Json };
    Ok(Crew::new(Kind::Lasting(Workers::new(program, format, tell.clone())), places))
}

fn book(
    arguments: &MapArguments,
    format: Option<Format>,
    stdout: &File,
    tell: &Sender<Heard>,
) -> Result<Option<Book>, Report> {
    let Some(path) = &arguments.resume else { return Ok(None) };
    let (journal, earlier) = Earlier::open(path)?;
    earlier.is_for(format)?;
    let format = earlier.format;
    let end = OutputEnd::of(stdout).map_err(|error| failed("to look at the output", &error))?;
    let resumption = earlier.resume(!arguments.unordered, end)?;
    let tell = tell.clone();
    // Nobody listens any more if the batch has ended.
    let writer = JournalWriter::start(journal, move |synced| drop(tell.blocking_send(Heard::Synced(synced))))
        .map_err(|error| failed("to write the journal", &error))?;
    writer.append(&resumption.begin_record(!arguments.unordered));
    let stored = Stored::open(path)?;
    Ok(Some(Book {
        writer,
        stored,
        resumption,
        format,
        cursor: 0,
        pending: std::collections::VecDeque::new(),
    }))
}

fn config(arguments: &MapArguments) -> PoolConfig {
    let workers = arguments.workers.here();
    PoolConfig {
        workers_min: workers,
        workers_max: workers,
        // The batch itself reads no more than it has room for.
        queue_max: usize::MAX,
        queue_bytes_max: usize::MAX,
        timeout: arguments.timeout,
        abort_grace: ABORT_GRACE,
        retries: arguments.retries,
        backoff_first: BACKOFF_FIRST,
        backoff_max: BACKOFF_MAX,
        deaths_max: DEATHS_MAX,
        kills_max: PoolSettings::KILLS_MAX,
        settled_after: PoolSettings::SETTLED_AFTER,
        ahead: AHEAD,
        kept_max: 0,
        kept_bytes_max: 0,
        kept_for: Duration::ZERO,
        dead_max: 0,
        set_aside_failed: false,
        scale_up_after: Duration::ZERO,
        scale_down_after: Duration::ZERO,
    }
}

/// A descriptor of our own for a stream, so that whoever uses it may wait in it.
fn duplicate(stream: std::os::fd::BorrowedFd<'_>, name: &str) -> Result<File, Report> {
    let copy = stream.try_clone_to_owned().map_err(|error| failed(&format!("to use {name}"), &error))?;
    Ok(File::from(copy))
}

fn failed(what: &str, error: &io::Error) -> Report {
    Report::new(ExitCode::Failure, format!("failed {what}")).cause(error.to_string())
}
