//! Waits for keys, signals and news, and draws. Decides nothing: `board.rs` does.

use super::MonitArguments;
use super::board::{Board, Input};
use super::feed;
use super::follow::Follow;
use super::terminal::{self, Said, Screen};
use super::view::{self, Style};
use crate::cli::{ExitCode, Report, output};
use rustix::process::{Signal, kill_current_process_group};
use std::io;
use std::time::Instant;
use stead_control::RuntimeDirectory;
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::mpsc;

/// News that wait while the screen is drawn; more of it makes its sender wait.
const NEWS_MAX: usize = 256;

/// Keys that wait while the screen is drawn.
const KEYS_MAX: usize = 64;

/// Shows the board until a key or a signal ends it.
pub(super) async fn run(
    arguments: &MonitArguments,
    directory: &RuntimeDirectory,
) -> Result<ExitCode, Report> {
    let (client, app) = feed::find(arguments, directory).await?;
    let (sender, news) = mpsc::channel(NEWS_MAX);
    tokio::spawn(feed::run(client, arguments.clone(), directory.clone(), sender));
    let mut board = Board::new(app);
    show(&mut board, news).await.map_err(|error| {
        Report::new(ExitCode::Failure, "failed to draw on the terminal").cause(error.to_string())
    })?;
    Ok(ExitCode::Ok)
}

async fn show(board: &mut Board, mut news: mpsc::Receiver<Input>) -> io::Result<()> {
    let style = Style { coloured: output::is_coloured(), unicode: shows_unicode() };
    let begun = Instant::now();
    // Before the terminal is taken, so that no signal can leave it behind.
    let mut ends = [
        unix::signal(SignalKind::terminate())?,
        unix::signal(SignalKind::interrupt())?,
        unix::signal(SignalKind::hangup())?,
    ];
    let [terminate, interrupt, hangup] = &mut ends;
    let mut screen = Screen::take()?;
    let (sender, mut keys) = mpsc::channel(KEYS_MAX);
    terminal::read(sender)?;
    let (sender, mut lines) = mpsc::channel(NEWS_MAX);
    let mut log: Option<Follow> = None;
    loop {
        if log.as_ref().zip(board.app()).is_none_or(|(log, app)| !log.is_of(app)) {
            log = board.app().map(|app| Follow::start(app, sender.clone()));
        }
        screen.terminal.draw(|frame| view::draw(frame, board, style))?;
        let input = tokio::select! {
            said = keys.recv() => match said {
                Some(Said::Input(input)) => Some(input),
                Some(Said::Resized) => {
                    screen.empty()?;
                    None
                }
                Some(Said::Suspend) => {
                    screen = suspend(screen)?;
                    None
                }
                Some(Said::Gone) | None => return Ok(()),
            },
            input = news.recv() => input,
            Some(line) = lines.recv() => of_app(board, line),
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
        };
        let more = std::iter::from_fn(|| news.try_recv().ok()).take(NEWS_MAX);
        for input in input.into_iter().chain(more) {
            board.handle(begun.elapsed(), input);
        }
        for line in std::iter::from_fn(|| lines.try_recv().ok()).take(NEWS_MAX) {
            of_app(board, line).into_iter().for_each(|line| board.handle(begun.elapsed(), line));
        }
        if board.is_over() {
            return Ok(());
        }
    }
}

/// What was read for another app than the one that is looked at now comes too late.
fn of_app(board: &Board, (app, line): (String, Input)) -> Option<Input> {
    Some(line).filter(|_| board.app().is_some_and(|looked_at| looked_at.name == app))
}

/// Gives the terminal back, stops, and takes it again when this process is continued.
fn suspend(screen: Screen) -> io::Result<Screen> {
    drop(screen);
    kill_current_process_group(Signal::TSTP)?;
    Screen::take()
}

/// The locale says so; what cannot be shown makes a screen unreadable.
fn shows_unicode() -> bool {
    let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let name = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(set);
    let locale = name.and_then(std::env::var_os).unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
