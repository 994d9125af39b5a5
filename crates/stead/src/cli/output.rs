//! The only place that prints: data to standard output, words to standard error.
//!
//! A reader that is gone (`stead status | head -1`) is not an error worth telling anybody.

use super::{ExitCode, Report};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, IsTerminal, Write};

/// Columns when nobody can be asked.
const COLUMNS: u16 = 100;

/// Fewer columns than this are not a terminal to draw a table on.
const COLUMNS_MIN: u16 = 40;

/// Where a verb prints.
pub(super) struct Output {
    data: Box<dyn Write>,
    words: Box<dyn Write>,
    /// Lines for people may be drawn over.
    live: bool,
    /// A line that may be drawn over is on the screen.
    open: bool,
    /// The last line of progress, which is not said twice.
    last: String,
    columns: u16,
    /// Data goes to a terminal that shows colours.
    coloured: bool,
    /// Why data could not be written, unless nobody reads it any more.
    lost: Option<io::Error>,
}

impl Output {
    /// This process's own streams.
    pub(super) fn standard() -> Output {
        Output {
            data: Box::new(io::stdout()),
            words: Box::new(io::stderr()),
            live: io::stderr().is_terminal(),
            open: false,
            last: String::new(),
            columns: columns(),
            coloured: io::stdout().is_terminal() && shows_colours(),
            lost: None,
        }
    }

    #[cfg(test)]
    pub(super) fn to(data: Box<dyn Write>, words: Box<dyn Write>, live: bool) -> Output {
        Output {
            data,
            words,
            live,
            open: false,
            last: String::new(),
            columns: 80,
            coloured: live,
            lost: None,
        }
    }

    /// How wide a table may be.
    pub(super) fn columns(&self) -> u16 {
        self.columns
    }

    /// Text for programs and people, as it is.
    pub(super) fn data(&mut self, text: &str) {
        self.stream(text);
    }

    /// The same for what may have no end; says whether anybody still reads it.
    pub(super) fn stream(&mut self, text: &str) -> bool {
        let written = self.data.write_all(text.as_bytes()).and_then(|()| self.data.flush());
        let is_read = written.is_ok();
        if let Err(error) = written
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            self.lost.get_or_insert(error);
        }
        is_read
    }

    /// What a verb came to: its failure is printed, and data that was lost is one.
    pub(super) fn finish(&mut self, result: Result<ExitCode, Report>) -> ExitCode {
        let report = match (result, self.lost.take()) {
            (Ok(code), None) => return code,
            (Ok(_), Some(error)) => {
                Report::new(ExitCode::Failure, "failed to write to standard output").cause(error.to_string())
            }
            (Err(report), _) => report,
        };
        self.report(&report);
        report.code
    }

    /// Whether anybody still reads the data, as far as can be told without giving any.
    pub(super) fn is_read(&self) -> bool {
        let stdout = io::stdout();
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        let _ = poll(&mut fds, Some(&Timespec::default()));
        !fds[0].revents().contains(PollFlags::ERR)
    }

    /// A line for people.
    pub(super) fn words(&mut self, line: &str) {
        self.close();
        let _ = writeln!(self.words, "{line}");
    }

    /// Something worth knowing that is neither data nor a failure.
    pub(super) fn note(&mut self, text: &str) {
        self.words(&format!("note: {text}"));
    }

    /// Whether data may have colours.
    pub(super) fn is_coloured(&self) -> bool {
        self.coloured
    }

    /// Whether lines for people may be drawn over.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// A line for people that the next one replaces, on a terminal.
    pub(super) fn progress(&mut self, line: &str) {
        if self.last == line {
            return;
        }
        line.clone_into(&mut self.last);
        if !self.live {
            return self.words(line);
        }
        // Back to the margin, the text, and nothing of a longer line before it.
        let _ = write!(self.words, "\r{line}\x1b[K").and_then(|()| self.words.flush());
        self.open = true;
    }

    /// A failure.
    pub(super) fn report(&mut self, report: &Report) {
        if self.open {
            let _ = writeln!(self.words);
            self.open = false;
        }
        let _ = write!(self.words, "{report}");
    }

    fn close(&mut self) {
        if self.open {
            let _ = write!(self.words, "\r\x1b[K");
            self.open = false;
        }
    }
}

/// Prints a failure; gives back the code to end with.
pub fn error(report: &Report) -> ExitCode {
    Output::standard().report(report);
    report.code
}

/// Prints something worth knowing that is neither data nor a failure.
pub(super) fn note(text: &str) {
    Output::standard().note(text);
}

/// Prints text for programs and people, as it is.
pub fn data(text: &str) -> ExitCode {
    let mut output = Output::standard();
    output.data(text);
    output.finish(Ok(ExitCode::Ok))
}

/// Prints help, the version, or what is wrong with the command line.
pub(super) fn usage(error: &clap::Error) {
    let _ = error.print();
}

/// What is wrong with words, in one line.
pub(super) fn complaint(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}

/// One of this process's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Data.
    Stdout,
    /// Words.
    Stderr,
}

/// Prints bytes as they are.
pub fn raw(to: To, bytes: &[u8]) {
    let _ = match to {
        To::Stdout => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        }
        To::Stderr => io::stderr().lock().write_all(bytes),
    };
}

/// Whether people look at it, on a terminal that shows colours (no-color.org).
pub fn is_coloured() -> bool {
    io::stdout().is_terminal() && io::stderr().is_terminal() && shows_colours()
}

fn shows_colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

fn columns() -> u16 {
    let asked = rustix::termios::tcgetwinsize(io::stdout()).map(|size| size.ws_col).ok();
    let told = || std::env::var("COLUMNS").ok()?.parse().ok();
    asked.filter(|columns| *columns >= COLUMNS_MIN).or_else(told).unwrap_or(COLUMNS).max(COLUMNS_MIN)
}
