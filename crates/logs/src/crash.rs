//! What is kept of a worker that ended as it should not: how, what it used, and its last lines.
//!
//! One small JSON file each in `crashes/` of the log's directory; only so many of them, the oldest go first.

use crate::time::stamp;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Reports that are kept of an app.
const REPORTS_MAX: usize = 50;
/// Last lines in a report, and how long one of them may be.
const LINES_MAX: usize = 50;
const LINE_BYTES_MAX: usize = 4096;
/// A larger file is not a report.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrashReport {
    /// When, as in `2026-11-21T06:01:02.123Z`.
    pub time: String,
    /// The app.
    pub app: String,
    /// Which of its workers.
    pub instance: u32,
    /// Its process id.
    pub pid: u32,
    /// How, in words: `exited with code 1`, `was killed by SIGSEGV`.
    pub how: String,
    /// The exit code, if it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The number of the signal, if it was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// How long it had run, in seconds.
    pub uptime_seconds: f64,
    /// The most memory it had, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes_peak: Option<u64>,
    /// CPU time in its own code and in the kernel, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
    /// What it printed last, oldest first.
    pub last_lines: Vec<String>,
}

impl CrashReport {
    /// A report of what every exit has; the rest is filled in by who knows it.
    pub fn new(app: &str, instance: u32, pid: u32, how: &str) -> CrashReport {
        CrashReport {
            time: stamp(SystemTime::now()),
            app: app.to_owned(),
            instance,
            pid,
            how: how.to_owned(),
            code: None,
            signal: None,
            uptime_seconds: 0.0,
            memory_bytes_peak: None,
            cpu_seconds: None,
            last_lines: Vec::new(),
        }
    }

    /// Keeps the report small, whatever the worker printed.
    fn bounded(mut self) -> CrashReport {
        let too_many = self.last_lines.len().saturating_sub(LINES_MAX);
        self.last_lines.drain(..too_many);
        for line in &mut self.last_lines {
            line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
        }
        self
    }
}

/// The crash reports of an app.
#[derive(Debug, Clone)]
pub struct CrashReports {
    directory: PathBuf,
}

impl CrashReports {
    /// Those beside the logs in a directory.
    pub fn of(log_directory: &Path) -> CrashReports {
        CrashReports { directory: log_directory.join("crashes") }
    }

    /// Writes a report, and removes the oldest if there are too many.
    ///
    /// # Errors
    /// When it cannot be written; then nothing of it is left.
    pub fn write(&self, report: CrashReport) -> io::Result<PathBuf> {
        let report = report.bounded();
        DirBuilder::new().recursive(true).mode(0o750).create(&self.directory)?;
        let time = report.time.replace([':', '.'], "-");
        let path =
            self.directory.join(format!("{time}-{}.{}-{}.json", report.app, report.instance, report.pid));
        let unfinished = path.with_extension("part");
        let text = serde_json::to_vec_pretty(&report)?;
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&unfinished);
        let written =
            file.and_then(|mut file| file.write_all(&text)).and_then(|()| fs::rename(&unfinished, &path));
        if written.is_err() {
            // It is not there, or not worth more than the failure itself.
            let _gone = fs::remove_file(&unfinished);
        }
        written?;
        let files = self.files()?;
        for old in &files[..files.len().saturating_sub(REPORTS_MAX)] {
            fs::remove_file(old)?;
        }
        Ok(path)
    }

    /// The last reports, newest first. Files that are not reports are passed over.
    ///
    /// # Errors
    /// When the directory cannot be read. One that is not there has none.
    pub fn last(&self, reports_max: usize) -> io::Result<Vec<CrashReport>> {
        let files = self.files()?;
        Ok(files.iter().rev().filter_map(|path| read(path)).take(reports_max).collect())
    }

    /// Oldest first: the names begin with the time.
    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

fn read(path: &Path) -> Option<CrashReport> {
    let is_small = path.metadata().is_ok_and(|metadata| metadata.len() <= FILE_BYTES_MAX);
    is_small.then(|| serde_json::from_slice(&fs::read(path).ok()?).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_kept_small_and_few() {
        let folder = tempfile::tempdir().unwrap();
        let reports = CrashReports::of(folder.path());
        assert_eq!(reports.last(1).unwrap(), []);
        for pid in 0..u32::try_from(REPORTS_MAX).unwrap() + 3 {
            let mut report = CrashReport::new("shop", 1, pid, "was killed by SIGSEGV");
            report.time = format!("2026-11-21T06:01:{:02}.{:03}Z", pid / 10, pid % 10);
            report.signal = Some(11);
            report.last_lines = (0..60).map(|line| format!("{line}{}", "ä".repeat(3000))).collect();
            reports.write(report).unwrap();
        }
        let last = reports.last(2).unwrap();
        assert_eq!((last[0].pid, last[1].pid), (52, 51));
        assert_eq!(last[0].last_lines.len(), LINES_MAX);
        assert!(last[0].last_lines[0].starts_with("10ä") && last[0].last_lines[0].len() <= LINE_BYTES_MAX);
        assert_eq!(fs::read_dir(folder.path().join("crashes")).unwrap().count(), REPORTS_MAX);
        fs::write(folder.path().join("crashes/zzz.json"), "{").unwrap();
        assert_eq!(reports.last(1).unwrap()[0].pid, 52, "a damaged file is passed over");
    }
}
