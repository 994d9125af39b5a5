//! What of a schedule outlives everything: a file in Stead's home, whole or not at all, on the disk before a run begins.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stead_control::{ScheduleOutcome, ScheduleRun};
use tokio::sync::{mpsc, oneshot};

use crate::config::ScheduleSettings;

/// One schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// For which expression and zone it holds: with another one, nothing was missed before it was there.
    rule: String,
    /// All times up to here are dealt with, in seconds since 1970.
    until: i64,
    last: Option<ScheduleRun>,
}

impl Record {
    pub(super) fn new(settings: &ScheduleSettings, until: Timestamp, last: Option<&ScheduleRun>) -> Self {
        Self { rule: rule(settings), until: until.as_second(), last: last.cloned() }
    }

    /// What was written, if it is of this schedule. A run of which no end is known will not have one.
    pub(super) fn load(path: &Path, settings: &ScheduleSettings) -> Option<(Timestamp, Option<ScheduleRun>)> {
        let record: Record = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let until = Timestamp::from_second(record.until).ok().filter(|_| record.rule == rule(settings))?;
        let lost = |run: ScheduleRun| match run.outcome {
            ScheduleOutcome::Running => ScheduleRun { outcome: ScheduleOutcome::Lost, ..run },
            ScheduleOutcome::Succeeded | ScheduleOutcome::Failed | ScheduleOutcome::Lost => run,
        };
        Some((until, record.last.map(lost)))
    }

    fn store(&self, path: &Path) -> io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let beside = path.with_extension("json.new");
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(directory)?.sync_all()
    }
}

fn rule(settings: &ScheduleSettings) -> String {
    format!("{} {}", settings.cron, settings.time_zone.as_deref().unwrap_or("local"))
}

fn forget_others(directory: &Path, wanted: &[String]) {
    // Before the first record there is no directory.
    let files = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
        let name = file.file_stem().and_then(|stem| stem.to_str());
        if !name.is_some_and(|name| wanted.iter().any(|wanted| wanted == name)) {
            // One that stays is at worst made up for.
            drop(fs::remove_file(file));
        }
    }
}

/// The records of an app. What is asked of it is done one after the other, and holds nobody up.
pub(super) struct Store {
    directory: PathBuf,
    work: mpsc::UnboundedSender<Work>,
}

type Work = Box<dyn FnOnce() + Send>;

impl Store {
    /// In this directory, which is made when it is needed.
    pub(super) fn open(directory: PathBuf) -> Self {
        let (work, mut waiting) = mpsc::unbounded_channel::<Work>();
        tokio::spawn(async move {
            while let Some(work) = waiting.recv().await {
                // None of it can panic.
                drop(tokio::task::spawn_blocking(work).await);
            }
        });
        Self { directory, work }
    }

    /// Where a schedule is kept.
    pub(super) fn path(&self, schedule: &str) -> PathBuf {
        self.directory.join(format!("{schedule}.json"))
    }

    /// Tells when it is on the disk.
    pub(super) fn write(&self, schedule: &str, record: Record) -> oneshot::Receiver<io::Result<()>> {
        let (done, written) = oneshot::channel();
        let path = self.path(schedule);
        // Whoever does not wait for it does not care.
        self.then(move || drop(done.send(record.store(&path))));
        written
    }

    /// Forgets all but these: those that come back are new.
    pub(super) fn retain(&self, wanted: Vec<String>) {
        let directory = self.directory.clone();
        self.then(move || forget_others(&directory, &wanted));
    }

    /// Forgets all, once everything is done that was asked before.
    pub(super) async fn clear(&self) {
        let (done, cleared) = oneshot::channel();
        let directory = self.directory.clone();
        // Most apps have nothing there, and what stays is at worst made up for.
        self.then(move || drop(done.send(fs::remove_dir_all(&directory))));
        drop(cleared.await);
    }

    fn then(&self, work: impl FnOnce() + Send + 'static) {
        // The task ends with its store.
        drop(self.work.send(Box::new(work)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CatchUp, Overlap, ScheduledWork};
    use std::time::{Duration, SystemTime};

    #[tokio::test]
    async fn nothing_is_left_of_an_app_that_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("schedules/shop"));
        let record = Record { rule: "@hourly local".to_owned(), until: 1_800_000_000, last: None };
        let written = store.write("s", record);
        store.clear().await;
        written.await.unwrap().unwrap();
        assert!(!store.path("s").exists(), "it was written before, and not after");
    }

    #[test]
    fn a_record_is_of_one_rule_and_knows_of_runs_that_nobody_saw_end() {
        let settings = |cron: &str| ScheduleSettings {
            name: "s".to_owned(),
            cron: cron.to_owned(),
            time_zone: None,
            jitter: Duration::ZERO,
            work: ScheduledWork::Command("true".to_owned()),
            overlap: Overlap::Skip,
            catch_up: CatchUp::One,
            timeout: Duration::from_secs(1),
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schedules/shop/s.json");
        let (hourly, until) = (settings("@hourly"), Timestamp::from_second(1_800_000_000).unwrap());
        assert_eq!(Record::load(&path, &hourly), None);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_001);
        let run =
            ScheduleRun { due: now, began: now, took: None, outcome: ScheduleOutcome::Running, reason: None };
        Record::new(&hourly, until, Some(&run)).store(&path).unwrap();
        let lost = ScheduleRun { outcome: ScheduleOutcome::Lost, ..run };
        assert_eq!(Record::load(&path, &hourly), Some((until, Some(lost))));
        assert_eq!(Record::load(&path, &settings("@daily")), None);
        fs::write(&path, "{").unwrap();
        assert_eq!(Record::load(&path, &hourly), None);
    }
}
