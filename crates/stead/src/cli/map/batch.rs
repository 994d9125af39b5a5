//! The driver of a batch: lines in, results out, and in between the pool's machine.
//!
//! One loop waits for whatever comes next: lines, answers, deaths, room in the output, signals. It decides only how much is read ahead;
//! who gets what, and what is tried again, is the pool's.

use std::collections::{HashMap, VecDeque};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use bytes::Bytes;
use stead_jobs::{Action, Input, NewTask, Phase, Pool, TaskId};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::Receiver;

use super::Heard;
use super::crew::Crew;
use super::ended::End;
use super::failures::{Failure, Failures};
use super::input::{Line, Lines};
use super::progress::{Progress, Tally};
use super::protocol::{Format, is_json};
use super::results::{Results, Writer};
use super::resume::{self, Resumption, Stored};
use crate::cli::Report;
use crate::cli::exit_code::ExitCode;
use crate::cli::output::Output;

/// Results that wait to be written, or for earlier ones: with more than this nothing more is read.
const RESULT_BYTES_MAX: usize = 16 << 20;

/// Results that wait for an earlier one: with more than this nothing more is read.
const RESULTS_WAITING_MAX: usize = 100_000;

/// Tasks that wait for a worker: no more are read ahead.
const TASKS_WAITING_MAX: usize = 4096;

/// Their bytes.
const TASK_BYTES_MAX: usize = 16 << 20;

/// How much is dealt with before the next look at what is to be given and written.
const EVENTS_MAX: usize = 256;

/// How often the line on a terminal is drawn; and how often one is printed where there is none.
const LIVE_INTERVAL: Duration = Duration::from_millis(200);
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// How long workers may take to end when there is nothing more to do.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// A program that has answered nothing for so long may be waiting with its output: that is worth a word.
const SILENCE: Duration = Duration::from_secs(10);

/// All parts of a batch.
pub(super) struct Batch<'a> {
    /// Dropped first: the journal's thread may wait for room in it, and is waited for when the journal is dropped.
    pub(super) heard: Receiver<Heard>,
    pub(super) output: &'a mut Output,
    pub(super) quiet: bool,
    pub(super) pool: Pool,
    pub(super) crew: Crew,
    pub(super) lines: Lines,
    /// Bytes of the whole input, if that is known.
    pub(super) input_bytes: Option<u64>,
    /// Found out by the first line if neither an option nor the journal says it.
    pub(super) format: Option<Format>,
    pub(super) results: Results,
    pub(super) writer: Writer,
    pub(super) failures: Failures,
    pub(super) book: Option<Book>,
    pub(super) state: State,
}

/// What a batch knows about itself.
pub(super) struct State {
    pub(super) progress: Progress,
    pub(super) tally: Tally,
    next_task: u64,
    /// The lines of tasks that have not ended.
    pub(super) line_numbers: HashMap<TaskId, u64>,
    /// Results that go to the output with the next flush.
    pub(super) out: Vec<u8>,
    stopping: bool,
    /// Nobody reads the output any more.
    unread: bool,
    warned: bool,
}

/// The journal of a batch.
pub(super) struct Book {
    pub(super) writer: stead_jobs::journal::Writer,
    pub(super) stored: Stored,
    pub(super) resumption: Resumption,
    /// What it tells of the lines.
    pub(super) format: Option<Format>,
    /// Up to where tasks of earlier runs have come by.
    pub(super) cursor: usize,
    /// Ends that are not on the disk yet.
    pub(super) pending: VecDeque<(u64, End)>,
}

impl State {
    pub(super) fn new(now: Instant) -> State {
        State {
            progress: Progress::new(now),
            tally: Tally::default(),
            next_task: 0,
            line_numbers: HashMap::new(),
            out: Vec::new(),
            stopping: false,
            unread: false,
            warned: false,
        }
    }
}

impl Batch<'_> {
    /// Runs it to its end.
    pub(super) async fn run(mut self) -> Result<ExitCode, Report> {
        let watched = |error: std::io::Error| {
            Report::new(ExitCode::Failure, "failed to watch for signals").cause(error.to_string())
        };
        let mut interrupts = signal(SignalKind::interrupt()).map_err(watched)?;
        let mut terminations = signal(SignalKind::terminate()).map_err(watched)?;
        let interval = if self.output.is_live() { LIVE_INTERVAL } else { PLAIN_INTERVAL };
        let mut ticks = tokio::time::interval_at((Instant::now() + interval).into(), interval);
        let mut events = Vec::with_capacity(EVENTS_MAX);
        self.write_missing()?;
        self.settle()?;
        while !self.has_ended() {
            let wants_lines = self.wants_lines() && self.lines.is_empty();
            let timeout = [self.pool.poll_timeout(), self.crew.deadline()].into_iter().flatten().min();
            tokio::select! {
                count = self.heard.recv_many(&mut events, EVENTS_MAX) => debug_assert!(count > 0, "this holds a sender"),
                read = self.lines.more(), if wants_lines => read.map_err(|error| unreadable(&error))?,
                () = sleep_until(timeout), if timeout.is_some() => self.pool.handle(Instant::now(), Input::Timeout),
                _ = ticks.tick() => self.tick(),
                () = either(&mut interrupts, &mut terminations) => {
                    if self.interrupted() {
                        break;
                    }
                }
            }
            for event in events.drain(..) {
                self.hear(event)?;
            }
            self.settle()?;
        }
        self.end().await
    }

    /// Reads, gives, starts and writes as far as that goes now.
    fn settle(&mut self) -> Result<(), Report> {
        self.feed()?;
        let now = Instant::now();
        let work = self.unended();
        while let Some(ready) = self.crew.start(now, work)? {
            self.pool.handle(now, Input::Ready(ready));
        }
        while let Some(action) = self.pool.poll_action() {
            let input = match &action {
                Action::Give { task, .. } => self.pool.input(*task).cloned(),
                _ => None,
            };
            self.crew.perform(&action, input)?;
            if let Action::Finish(finish) = action {
                self.finished(finish)?;
            }
        }
        self.crew.flush();
        self.flush();
        Ok(())
    }

    fn flush(&mut self) {
        if !self.state.out.is_empty() {
            self.writer.write(std::mem::take(&mut self.state.out));
        }
    }

    fn unended(&self) -> usize {
        let counts = self.pool.counts();
        counts.waiting + counts.delayed + counts.given
    }

    fn has_ended(&self) -> bool {
        let nothing_more = self.lines.has_ended() || self.state.stopping;
        let written = self.state.out.is_empty() && self.writer.pending_bytes() == 0;
        let noted = self.book.as_ref().is_none_or(|book| book.pending.is_empty());
        self.state.unread || (nothing_more && self.unended() == 0 && written && noted)
    }

    /// There is room for more tasks, and for what comes of them.
    fn wants_lines(&self) -> bool {
        let counts = self.pool.counts();
        let (waiting, waiting_bytes) = self.results.waiting();
        let noted = self.book.as_ref().map_or(0, |book| book.writer.pending_bytes());
        !self.state.stopping
            && !self.lines.has_ended()
            && counts.waiting + counts.delayed < TASKS_WAITING_MAX
            && counts.input_bytes < TASK_BYTES_MAX
            && waiting < RESULTS_WAITING_MAX
            && self.state.out.len() + self.writer.pending_bytes() + waiting_bytes + noted < RESULT_BYTES_MAX
    }

    fn feed(&mut self) -> Result<(), Report> {
        let now = Instant::now();
        while self.wants_lines() {
            let Some(line) = self.lines.take() else { break };
            self.submit(now, line)?;
        }
        match &self.book {
            Some(book) if self.lines.has_ended() && !self.state.stopping => {
                book.resumption.is_met(book.cursor, self.state.next_task)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn submit(&mut self, now: Instant, line: Line) -> Result<(), Report> {
        let task = self.state.next_task;
        self.state.next_task += 1;
        let format = self.format(&line.text);
        if self.has_ended_before(task, &line)? {
            return Ok(());
        }
        if format == Format::Json && !is_json(&line.text) {
            let failure = Failure::new("bad_input", "the line is not JSON", 0);
            return self.close(End { task, line: line.number, input: line.text, result: Err(failure) });
        }
        self.pool.begin_after(task);
        let submitted = self.pool.submit(now, NewTask::new(line.text));
        let id = submitted.expect("the queue of a batch has no limit of its own").id();
        assert_eq!(id, task + 1, "tasks are numbered as lines are");
        self.state.line_numbers.insert(id, line.number);
        Ok(())
    }

    fn format(&mut self, line: &[u8]) -> Format {
        let format = *self.format.get_or_insert_with(|| Format::of(line));
        if let Some(book) = &mut self.book
            && book.format.replace(format).is_none()
        {
            book.writer.append(&resume::format(format));
        }
        if let Some(workers) = self.crew.workers() {
            workers.format(format);
        }
        format
    }

    /// A task that ended in an earlier run is not done again.
    fn has_ended_before(&mut self, task: u64, line: &Line) -> Result<bool, Report> {
        let Some(book) = &mut self.book else { return Ok(false) };
        let Some(ended) = book.resumption.of(&mut book.cursor, task) else { return Ok(false) };
        if !ended.is_of(&line.text) {
            let message =
                format!("line {} of the input is not the one that the journal tells of", line.number);
            return Err(Report::new(ExitCode::Usage, message).hint(resume::OTHER_INPUT));
        }
        let (piece, failure) = (ended.piece(), ended.failure().cloned());
        self.state.tally.earlier += 1;
        if let Some(failure) = failure {
            self.state.tally.failed += 1;
            self.state.tally.earlier -= 1;
            self.report_failure(line.number, &line.text, &failure)?;
        }
        if self.results.is_ordered() {
            self.release(task, piece)?;
        }
        Ok(true)
    }

    fn hear(&mut self, event: Heard) -> Result<(), Report> {
        let now = Instant::now();
        match event {
            Heard::Said { worker, mut lines } => {
                while let Some(line) = cut_line(&mut lines) {
                    if let Some(workers) = self.crew.workers() {
                        workers.said(worker, &line, |input| self.pool.handle(now, input));
                    }
                }
            }
            Heard::Printed { worker, mut lines } => {
                while let Some(line) = cut_line(&mut lines) {
                    let line = String::from_utf8_lossy(&line);
                    self.output.words(&line);
                    if let Some(workers) = self.crew.workers() {
                        workers.printed(worker, &line);
                    }
                }
            }
            Heard::Gone { worker, end } => {
                let gone = self.crew.gone(now, worker, &end)?;
                self.pool.handle(now, gone);
                self.cancel_waiting();
            }
            Heard::Ended { worker, exit, output } => {
                if let Some(input) = self.crew.ended(worker, exit, output) {
                    self.pool.handle(now, input);
                    self.cancel_waiting();
                }
            }
            Heard::Wrote(Ok(bytes)) => self.writer.written(bytes),
            Heard::Wrote(Err(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                self.state.unread = true;
            }
            Heard::Wrote(Err(error)) => {
                let report = Report::new(ExitCode::Failure, "failed to write results");
                return Err(self.unfinished(report.cause(error.to_string())));
            }
            Heard::Synced(Ok(number)) => self.noted(number)?,
            Heard::Synced(Err(error)) => return Err(Report::of(ExitCode::Failure, &error)),
        }
        Ok(())
    }

    /// A signal to end. Tells whether it is the second.
    fn interrupted(&mut self) -> bool {
        if std::mem::replace(&mut self.state.stopping, true) {
            self.crew.kill_all();
            return true;
        }
        if !self.quiet {
            self.output
                .words("no more tasks are given; those that run are awaited (once more: they are killed)");
        }
        self.cancel_waiting();
        if let Some(workers) = self.crew.workers() {
            workers.close_silent();
        }
        false
    }

    /// When no more are to be given, what waits is left undone; a journal knows nothing of it, so it is done when that is resumed.
    fn cancel_waiting(&mut self) {
        if !self.state.stopping {
            return;
        }
        let waiting = self.pool.tasks().filter(|task| task.phase == Phase::Queued).map(|task| task.id);
        for task in waiting.collect::<Vec<_>>() {
            self.pool.handle(Instant::now(), Input::Cancel { task });
        }
    }

    fn tally(&self) -> Tally {
        let part = self.input_bytes.filter(|bytes| *bytes > 0).map(|bytes| {
            let open = self.pool.counts().input_bytes as u64;
            self.lines.taken_bytes().saturating_sub(open) as f64 / bytes as f64
        });
        Tally { part, ..self.state.tally }
    }

    fn tick(&mut self) {
        let (now, tally) = (Instant::now(), self.tally());
        // A bar would stand in the middle of the results.
        let among_results = self.output.is_live() && std::io::stdout().is_terminal();
        if !self.quiet && !among_results {
            let line = self.state.progress.line(now, tally);
            self.output.progress(&line);
        }
        let silent = tally.done + tally.failed == 0 && self.state.progress.passed(now) >= SILENCE;
        let by_lines = !self.crew.is_each() && !self.crew.speaks_json();
        if silent && by_lines && self.unended() > 0 && !std::mem::replace(&mut self.state.warned, true) {
            self.output.note(
                "no worker has answered yet; a program that answers on standard output must flush after each line \
                 (`python3 -u`, `sed -u`, `stdbuf -oL`)",
            );
        }
    }

    /// Says what became of it, when all workers have left.
    async fn end(mut self) -> Result<ExitCode, Report> {
        self.leave().await;
        self.failures.flush()?;
        let (now, tally) = (Instant::now(), self.tally());
        if !self.quiet && !self.state.unread {
            let mut summary = match self.state.next_task {
                0 => "no tasks: standard input is empty".to_owned(),
                _ => self.state.progress.summary(now, tally),
            };
            if let (Some(path), true) = (self.failures.path(), tally.failed > 0) {
                summary.push_str(&format!("; see {}", path.display()));
            }
            self.output.words(&summary);
        }
        if self.state.stopping {
            let report = Report::new(ExitCode::Failure, "interrupted before all tasks were done");
            return Err(self.unfinished(report));
        }
        Ok(if tally.failed > 0 { ExitCode::Failure } else { ExitCode::Ok })
    }

    /// Why it has ended too early, and how to go on.
    fn unfinished(&self, report: Report) -> Report {
        report.hint(match self.book {
            Some(_) => "the same command goes on where this one stopped",
            None => "with `--resume FILE` another run could go on here",
        })
    }

    async fn leave(&mut self) {
        let Some(workers) = self.crew.workers() else { return };
        if self.state.unread {
            // They are in the middle of tasks, and would complain that nobody hears them.
            workers.kill_all();
        }
        workers.close();
        let all_gone = async {
            while workers.count() > 0 {
                match self.heard.recv().await {
                    Some(Heard::Gone { worker, .. }) => drop(workers.gone(worker)),
                    Some(Heard::Printed { mut lines, .. }) => {
                        while let Some(line) = cut_line(&mut lines) {
                            self.output.words(&String::from_utf8_lossy(&line));
                        }
                    }
                    Some(_) => (),
                    None => return,
                }
            }
        };
        // Those that do not leave are killed with the runtime.
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, all_gone).await;
    }
}

/// The first line of these, without its end.
fn cut_line(lines: &mut Bytes) -> Option<Bytes> {
    if lines.is_empty() {
        return None;
    }
    let end = memchr::memchr(b'\n', lines).unwrap_or(lines.len());
    let line = lines.split_to(end);
    let _ = lines.split_to(lines.len().min(1));
    Some(line.strip_suffix(b"\r").map_or(line.clone(), |stripped| line.slice_ref(stripped)))
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => (),
        _ = other.recv() => (),
    }
}

fn unreadable(error: &std::io::Error) -> Report {
    let report = Report::new(ExitCode::Failure, "failed to read tasks from standard input");
    let report = report.cause(error.to_string());
    match error.kind() {
        std::io::ErrorKind::InvalidData => {
            report.hint("each line is a task; give workers the name of a file in the place of what is in it")
        }
        std::io::ErrorKind::IsADirectory => {
            report.hint("give a file, or `ls` of the directory: each line is a task")
        }
        _ => report,
    }
}
