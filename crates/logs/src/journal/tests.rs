//! A journal as its users see it: what is in the directory, and what they are told.

use super::*;
use std::fs;
use std::sync::mpsc;

fn settings(directory: &Path) -> JournalSettings {
    JournalSettings {
        directory: directory.to_owned(),
        json: false,
        foreign: false,
        rotate_bytes: 1024 * 1024,
        rotate_age: None,
        total_bytes_max: 8 * 1024 * 1024,
        compress: false,
        line_bytes_max: 1024,
    }
}

fn open(settings: JournalSettings) -> (Arc<Journal>, Receiver<Notice>) {
    let (told, notices) = mpsc::channel();
    let tell = Box::new(move |notice| told.send(notice).unwrap());
    let shared = Shared::new(settings.directory.clone(), tell, Duration::from_millis(100));
    (Journal::with("shop", settings, Arc::new(shared)).unwrap(), notices)
}

fn source(instance: u32) -> Source {
    Source { app: "shop".to_owned(), instance: Some(instance), stream: Stream::Out }
}

/// Gives lines and waits until the journal is done with them.
fn print(journal: &Journal, instance: u32, text: &str) {
    if let Written::Later(done) =
        journal.take(&source(instance), Chunk { text: text.as_bytes(), goes_on: false })
    {
        done.blocking_recv().unwrap();
    }
}

fn all(directory: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    let reader = crate::Reader::new([(directory.to_owned(), Query::default())]).unwrap();
    reader
        .all(|record| {
            texts.push(record.text);
            true
        })
        .unwrap();
    texts
}

fn size(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).unwrap();
    // Files go while they are counted.
    files.map(|file| file.unwrap().metadata().map_or(0, |metadata| metadata.len())).sum()
}

#[test]
fn lines_are_in_one_file_in_the_order_in_which_they_came() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("a/b");
    let (journal, notices) = open(settings(&directory));
    print(&journal, 0, "one\ntwo\n");
    print(&journal, 1, "three\n");
    journal.note("worker 1 exited");
    print(&journal, 0, "four");
    assert_eq!(all(&directory), ["one", "two", "three", "worker 1 exited", "four"]);
    let last: Vec<String> = journal.last_lines(0, 2).unwrap().into_iter().map(|record| record.text).collect();
    assert_eq!(last, ["two", "four"]);
    let counters = journal.counters();
    assert_eq!((counters.lines, counters.dropped_lines), (5, 0));
    assert_eq!(counters.bytes, size(&directory));
    assert!(notices.try_recv().is_err());
}

#[test]
fn workers_that_print_at_once_do_not_tear_each_others_lines() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _notices) = open(settings(folder.path()));
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let journal = &journal;
            scope.spawn(move || {
                for line in 0..200 {
                    print(journal, worker, &format!("{line} {}\n", "x".repeat(500)));
                }
            });
        }
    });
    for worker in 0..4 {
        let query = Query { instance: Some(worker), ..Query::default() };
        let reader = crate::Reader::new([(folder.path().to_owned(), query)]).unwrap();
        let texts: Vec<String> =
            reader.last(usize::MAX).unwrap().into_iter().map(|record| record.text).collect();
        let expected: Vec<String> = (0..200).map(|line| format!("{line} {}", "x".repeat(500))).collect();
        assert_eq!(texts, expected);
    }
}

#[test]
fn all_files_together_never_take_care_than_they_may() {
    for compress in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let limits = JournalSettings {
            rotate_bytes: 16 * 1024,
            total_bytes_max: 100 * 1024,
            compress,
            json: compress,
            ..settings(folder.path())
        };
        let (journal, _notices) = open(limits);
        for line in 0..2000 {
            print(&journal, 0, &format!("{line} {}\n", "x".repeat(500)));
            assert!(size(folder.path()) <= 100 * 1024);
        }
        // More at once than one file may have.
        print(&journal, 0, &format!("{}\n", "y".repeat(100)).repeat(2000));
        assert!(size(folder.path()) <= 100 * 1024);
        print(&journal, 0, "last\n");
        let texts = all(folder.path());
        assert!(texts.len() > 250, "most of what fits is kept: {}", texts.len());
        assert_eq!(texts.last().map(String::as_str), Some("last"));
        assert_eq!(journal.counters().lines, 4001);
    }
}

#[test]
fn an_old_file_is_followed_by_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(files::current(folder.path()), "2020-01-01T00:00:00.000Z shop.0 out| old\nhalf a li").unwrap();
    let limits = JournalSettings { rotate_age: Some(Duration::from_secs(3600)), ..settings(folder.path()) };
    let (journal, _notices) = open(limits);
    print(&journal, 0, "new\n");
    print(&journal, 0, "newer\n");
    assert_eq!(files::finished(folder.path()).unwrap().len(), 1);
    assert_eq!(all(folder.path()), ["old", "new", "newer"]);
}

#[test]
fn a_full_disk_drops_lines_and_says_so_once() {
    let folder = tempfile::tempdir().unwrap();
    let current = files::current(folder.path());
    std::os::unix::fs::symlink("/dev/full", &current).unwrap();
    let (journal, notices) = open(settings(folder.path()));
    print(&journal, 0, "lost\n");
    print(&journal, 0, "lost\nas well\n");
    let Ok(Notice::Dropping { reason, .. }) = notices.recv() else { panic!("nobody was told") };
    assert!(reason.contains("No space left"), "{reason}");
    assert_eq!(journal.trouble(), Some(reason));
    assert!(notices.try_recv().is_err(), "once is enough");
    assert_eq!(journal.counters().dropped_lines, 3);
    fs::remove_file(&current).unwrap();
    print(&journal, 0, "kept\n");
    assert_eq!(
        notices.recv(),
        Ok(Notice::Recovered { directory: folder.path().to_owned(), dropped_lines: 3 })
    );
    assert_eq!(journal.trouble(), None);
    let texts = all(folder.path());
    assert_eq!(texts[0], "kept");
    assert!(texts[1].starts_with("3 lines are missing here: No space left"), "{texts:?}");
}

#[test]
fn a_directory_that_cannot_be_made_is_no_reason_not_to_run() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let (journal, notices) = open(settings(&folder.path().join("file/logs")));
    print(&journal, 0, "lost\n");
    assert!(matches!(notices.recv(), Ok(Notice::Dropping { .. })));
    assert_eq!(journal.counters().dropped_lines, 1);
}

#[test]
fn a_disk_that_does_not_answer_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    // Writing to a named pipe waits for somebody at its other end, as a dead file server does.
    let current = files::current(folder.path());
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &current,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let (journal, notices) = open(settings(folder.path()));
    let text = "x\n".repeat(100_000);
    let waiting = journal.take(&source(0), Chunk { text: text.as_bytes(), goes_on: false });
    assert!(matches!(waiting, Written::Later(_)));
    while journal.shared.stalled().is_none() {
        std::thread::yield_now();
    }
    let started = Instant::now();
    let dropped = journal.take(&source(0), Chunk { text: b"b\nc\n", goes_on: false });
    assert!(matches!(dropped, Written::Now) && started.elapsed() < STALL);
    assert!(matches!(notices.recv(), Ok(Notice::Dropping { .. })));
    assert_eq!(journal.counters().dropped_lines, 2);
}

#[test]
fn an_emptied_or_removed_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _notices) = open(settings(folder.path()));
    print(&journal, 0, "one\n");
    journal.flush_all().unwrap();
    print(&journal, 0, "two\n");
    assert_eq!(all(folder.path()), ["two"]);
    let text = fs::read(files::current(folder.path())).unwrap();
    assert!(text.starts_with(b"2"), "there is no hole at the beginning");
    fs::remove_file(files::current(folder.path())).unwrap();
    while all(folder.path()).is_empty() {
        print(&journal, 0, "three\n");
    }
}

#[test]
fn foreign_lines_stay_as_they_are_and_nothing_stands_between_them() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("access");
    let (journal, notices) = open(JournalSettings { foreign: true, ..settings(&directory) });
    fs::write(&directory, "in the way").unwrap();
    let line = "1 - - [21/Nov/2026:06:01:02 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"";
    let give = || match journal.give(format!("{line}\n").into_bytes(), 1) {
        Written::Later(done) => done.blocking_recv().unwrap(),
        Written::Now => panic!("the queue has room"),
    };
    give();
    journal.lost(2, "they came too fast");
    assert!(matches!(notices.recv(), Ok(Notice::Dropping { .. })));
    fs::remove_file(&directory).unwrap();
    give();
    let dropped_lines = 3;
    assert_eq!(notices.recv(), Ok(Notice::Recovered { directory: directory.clone(), dropped_lines }));
    assert_eq!(fs::read_to_string(directory.join("current.log")).unwrap(), format!("{line}\n"));
    assert_eq!(all(&directory), [line]);
}
