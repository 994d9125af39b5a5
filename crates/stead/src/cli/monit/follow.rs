//! Reads the log of the app that is looked at, from its last lines on, in a thread: reading files blocks.

use super::board::Input;
use super::lines::{Line, plain};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use stead_control::AppStatus;
use stead_logs::{Query, Reader, Record, Stream};
use tokio::sync::mpsc;

/// Lines from before that are shown at once.
const LINES_BEFORE: usize = 200;

/// Reads one log; stops within a second when it is dropped.
pub(super) struct Follow {
    place: Place,
    over: Arc<AtomicBool>,
}

/// Whose log, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    app: String,
    directory: Option<PathBuf>,
}

impl Place {
    fn of(app: &AppStatus) -> Place {
        Place { app: app.name.clone(), directory: app.logs.as_ref().map(|logs| logs.as_path().to_owned()) }
    }
}

impl Follow {
    /// It reads the log of this app.
    pub(super) fn is_of(&self, app: &AppStatus) -> bool {
        self.place == Place::of(app)
    }

    /// Begins to read. Each input comes with the name of its app, because another may be looked at by then.
    pub(super) fn start(app: &AppStatus, inputs: mpsc::Sender<(String, Input)>) -> Follow {
        let place = Place::of(app);
        let over = Arc::new(AtomicBool::new(false));
        let (theirs, reading) = (place.clone(), over.clone());
        let thread = std::thread::Builder::new().name("log".to_owned());
        if let Err(error) = thread.spawn(move || read(&theirs, &inputs, &reading)) {
            // It is tried again with the next app; meanwhile the board stays without a log.
            over.store(true, Ordering::Relaxed);
            drop(error);
        }
        Follow { place, over }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn read(place: &Place, inputs: &mpsc::Sender<(String, Input)>, over: &AtomicBool) {
    let send = |input| inputs.blocking_send((place.app.clone(), input)).is_ok();
    let Some(directory) = &place.directory else {
        send(Input::Unreadable("its output goes to where it was started, and is not kept".to_owned()));
        return;
    };
    let all = |records: Vec<Record>| {
        let mut lines = records.into_iter().map(|record| Input::Printed(line(&record)));
        lines.all(|line| !over.load(Ordering::Relaxed) && send(line))
    };
    let result = Reader::new([(directory.clone(), Query::default())]).and_then(|reader| {
        if !all(reader.last(LINES_BEFORE)?) {
            return Ok(());
        }
        let mut follower = reader.follow();
        while !over.load(Ordering::Relaxed) && all(follower.further()?) {}
        Ok(())
    });
    if let Err(error) = result {
        send(Input::Unreadable(format!("its log cannot be read: {error}")));
    }
}

fn line(record: &Record) -> Line {
    // The day is not what one looks for in a log that runs by.
    let time = record.time.get(11..19).unwrap_or(&record.time);
    let origin = format!("{time} {}", record.source);
    Line { origin, text: plain(&record.text), loud: record.source.stream == Stream::Err }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_support::status;
    use std::io::Write;
    use std::time::Duration;
    use stead_control::Text;

    fn app(directory: Option<&std::path::Path>) -> AppStatus {
        AppStatus { logs: directory.map(Text::from), ..status().apps.swap_remove(0) }
    }

    async fn next(inputs: &mut mpsc::Receiver<(String, Input)>) -> String {
        let input = tokio::time::timeout(Duration::from_secs(20), inputs.recv()).await;
        match input.expect("in time") {
            Some((app, Input::Printed(line))) => {
                format!("{app}: {}|{}{}", line.origin, line.text, if line.loud { "!" } else { "" })
            }
            other => format!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_log_is_read_from_its_last_lines_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("current.log");
        std::fs::write(&path, "2026-11-21T06:01:02.123Z shop.0 out| hello\n").unwrap();
        let (sender, mut inputs) = mpsc::channel(8);
        let app = app(Some(folder.path()));
        let follow = Follow::start(&app, sender);
        assert!(follow.is_of(&app) && !follow.is_of(&self::app(None)));
        assert_eq!(next(&mut inputs).await, "shop: 06:01:02 shop.0|hello");
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"2026-11-21T06:01:03.123Z shop.1 err| \x1b[31mred\n").unwrap();
        assert_eq!(next(&mut inputs).await, "shop: 06:01:03 shop.1|red!");
        drop(follow);
        let end = tokio::time::timeout(Duration::from_secs(20), inputs.recv()).await.expect("it ends");
        assert!(end.is_none(), "{end:?}");
    }

    #[tokio::test]
    async fn an_app_without_a_log_says_so() {
        let (sender, mut inputs) = mpsc::channel(8);
        let _follow = Follow::start(&app(None), sender);
        let said = next(&mut inputs).await;
        assert!(said.contains("is not kept"), "{said}");
    }
}
