//! `stead monit`: apps, workers, logs and events on the whole terminal, live.
//!
//! | file | holds |
//! |---|---|
//! | `board.rs` | what is known and what is looked at: pure, fed with inputs |
//! | `trend.rs` | rates and latencies of the last seconds, out of totals |
//! | `lines.rs` | the last lines of a log or of events, and which of them are looked at |
//! | `wording.rs` | an event in one line |
//! | `view/` | the board as a screen of any size |
//! | `driver.rs` | waits for keys, signals and news, and draws |
//! | `feed.rs` | asks the instance, and finds it again when it is gone |
//! | `follow.rs` | reads the log of the app that is looked at |
//! | `terminal.rs` | the terminal: taken over, given back however this ends |
//!
//! It only looks: nothing can be stopped by a wrong key.

mod board;
mod driver;
mod feed;
mod follow;
mod lines;
mod terminal;
mod trend;
mod view;
mod wording;

use super::{ExitCode, Report, TargetArguments, session};
use clap::Args;
use std::io::{self, IsTerminal};

/// The arguments of `stead monit`.
#[derive(Args, Clone, Debug, Default)]
pub struct MonitArguments {
    /// The app to look at first, by name or number
    #[arg(value_name = "APP")]
    pub app: Option<String>,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Carries it out.
pub fn execute(arguments: &MonitArguments) -> ExitCode {
    session::run(async |directory, _output| {
        require_terminal()?;
        driver::run(arguments, directory).await
    })
}

fn require_terminal() -> Result<(), Report> {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb {
        return Ok(());
    }
    Err(Report::new(ExitCode::Usage, "`stead monit` needs a terminal that can be drawn on")
        .hint("`stead list` prints the same once, `stead list --json` for programs"))
}
