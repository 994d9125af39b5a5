//! Taps on real pipes: what is printed arrives, whatever happens to who reads it.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as tests do")]

use rustix::io::write;
use rustix::pipe::{PipeFlags, pipe_with};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use stead_logs::{Chunk, Journal, JournalSettings, Query, Reader, Sink, Source, Stream, Tap, Taps, Written};
use tokio::sync::oneshot;

const PATIENCE: Duration = Duration::from_secs(30);
const LINE_BYTES_MAX: usize = 1000;

fn source(instance: u32) -> Source {
    Source { app: "shop".to_owned(), instance: Some(instance), stream: Stream::Out }
}

/// A worker's pipe: the end for the tap, and the blocking one for the worker.
fn pipe() -> (OwnedFd, std::fs::File) {
    let (out, into) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    (out, into.into())
}

/// Keeps what it is given.
#[derive(Default)]
struct Memory {
    chunks: Mutex<Vec<(u32, Vec<u8>, bool)>>,
    changed: Condvar,
}

impl Memory {
    #[track_caller]
    fn wait(&self, until: impl Fn(&[(u32, Vec<u8>, bool)]) -> bool) -> Vec<(u32, Vec<u8>, bool)> {
        let chunks = self.chunks.lock().unwrap();
        let (chunks, waited) =
            self.changed.wait_timeout_while(chunks, PATIENCE, |chunks| !until(chunks)).unwrap();
        assert!(!waited.timed_out(), "came: {} chunks", chunks.len());
        chunks.clone()
    }

    fn text(chunks: &[(u32, Vec<u8>, bool)]) -> String {
        chunks.iter().map(|(_, text, _)| String::from_utf8_lossy(text)).collect()
    }
}

impl Sink for Memory {
    fn take(&self, source: &Source, chunk: Chunk<'_>) -> Written {
        let instance = source.instance.unwrap_or_default();
        self.chunks.lock().unwrap().push((instance, chunk.text.to_vec(), chunk.goes_on));
        self.changed.notify_all();
        Written::Now
    }

    fn line_bytes_max(&self) -> usize {
        // Whatever does not fit into a pipe is cut.
        usize::MAX
    }
}

fn end(tap: &mut Tap) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, tap.ended()).await.unwrap().unwrap() });
}

#[test]
fn later_bytes_of_a_line_wake_the_tap() {
    let (taps, memory, (out, mut worker)) = (Taps::start().unwrap(), Arc::new(Memory::default()), pipe());
    let sink: Arc<dyn Sink> = Arc::<Memory>::clone(&memory);
    let mut tap = taps.tap(out, source(0), sink);
    for round in 0..200 {
        // Half a line has been seen when the whole one before it has come.
        write!(worker, "{round} whole\n{round} ha").unwrap();
        memory.wait(|chunks| Memory::text(chunks).ends_with(&format!("{round} whole\n")));
        writeln!(worker, "lf").unwrap();
        memory.wait(|chunks| Memory::text(chunks).ends_with(&format!("{round} half\n")));
    }
    write!(worker, "no line feed").unwrap();
    drop(worker);
    end(&mut tap);
    let chunks = memory.wait(|_| true);
    assert!(Memory::text(&chunks).ends_with("199 half\nno line feed"));
    assert!(chunks.iter().all(|(_, _, goes_on)| !goes_on));
}

#[test]
fn a_line_without_end_comes_in_pieces() {
    let (taps, memory, (out, mut worker)) = (Taps::start().unwrap(), Arc::new(Memory::default()), pipe());
    let sink: Arc<dyn Sink> = Arc::<Memory>::clone(&memory);
    let mut tap = taps.tap(out, source(0), sink);
    // Far more than a pipe holds: if an unfinished line were left in it, this would wait for ever.
    // In one `write`, which waits for room many times and wakes nobody then.
    worker.write_all(&"ä€😀".repeat(300_000).into_bytes()).unwrap();
    drop(worker);
    end(&mut tap);
    let chunks = memory.wait(|_| true);
    assert_eq!(Memory::text(&chunks), "ä€😀".repeat(300_000), "no character was cut in two");
    assert!(chunks.len() > 1 && chunks[0].2);
}

#[test]
fn one_that_prints_without_end_does_not_starve_another() {
    let (taps, memory) = (Taps::start().unwrap(), Arc::new(Memory::default()));
    struct Only(Arc<Memory>);
    impl Sink for Only {
        fn take(&self, source: &Source, chunk: Chunk<'_>) -> Written {
            if source.instance == Some(1) { self.0.take(source, chunk) } else { Written::Now }
        }

        fn line_bytes_max(&self) -> usize {
            LINE_BYTES_MAX
        }
    }
    let sink: Arc<dyn Sink> = Arc::new(Only(Arc::clone(&memory)));
    let ((loud_out, mut loud), (quiet_out, mut quiet)) = (pipe(), pipe());
    let loud_tap = taps.tap(loud_out, source(0), Arc::clone(&sink));
    let _quiet_tap = taps.tap(quiet_out, source(1), sink);
    let shouting = std::thread::spawn(move || {
        let text = "x".repeat(99) + "\n";
        let text = text.repeat(2000);
        while loud.write_all(text.as_bytes()).is_ok() {}
    });
    let mut slowest = Duration::ZERO;
    for round in 0..100 {
        let started = Instant::now();
        writeln!(quiet, "{round}").unwrap();
        memory.wait(|chunks| chunks.len() > round);
        slowest = slowest.max(started.elapsed());
    }
    drop(loud_tap);
    shouting.join().unwrap();
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

/// A sink that answers late, so that taps are aborted at every stage.
struct Slow {
    memory: Arc<Memory>,
    asked: Mutex<std::sync::mpsc::Sender<oneshot::Sender<()>>>,
}

impl Sink for Slow {
    fn take(&self, source: &Source, chunk: Chunk<'_>) -> Written {
        let _now = self.memory.take(source, chunk);
        let (done, written) = oneshot::channel();
        match self.asked.lock().unwrap().send(done) {
            Ok(()) => Written::Later(written),
            Err(_gone) => Written::Now,
        }
    }

    fn line_bytes_max(&self) -> usize {
        LINE_BYTES_MAX
    }
}

/// A small generator: the test is the same each time it runs.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn a_tap_that_is_killed_at_any_moment_loses_no_line() {
    const LINES: usize = 20_000;
    let (taps, memory, (out, mut worker)) = (Taps::start().unwrap(), Arc::new(Memory::default()), pipe());
    let (asked, questions) = std::sync::mpsc::channel();
    let sink = Arc::new(Slow { memory: Arc::clone(&memory), asked: Mutex::new(asked) });
    let answering = std::thread::spawn(move || {
        for done in questions {
            // Whoever asked may have been killed.
            let _gone = done.send(());
        }
    });
    let writing = std::thread::spawn(move || {
        let (mut state, mut text) = (7, Vec::new());
        for line in 0..LINES {
            writeln!(text, "{line} {}", "x".repeat(random(&mut state) as usize % 300)).unwrap();
            // Pieces that end anywhere, in the middle of lines most of all.
            while text.len() > 700 {
                let bytes = 1 + random(&mut state) as usize % 700;
                worker.write_all(&text[..bytes]).unwrap();
                text.drain(..bytes);
            }
        }
        worker.write_all(&text).unwrap();
    });
    let (mut state, mut deaths) = (11, 0);
    loop {
        let seen = memory.chunks.lock().unwrap().len();
        let tap: Arc<dyn Sink> = Arc::<Slow>::clone(&sink);
        let mut tap = taps.tap(out.try_clone().unwrap(), source(0), tap);
        if writing.is_finished() {
            end(&mut tap);
            break;
        }
        // After none to three further chunks, at whatever the tap is then doing.
        let further = random(&mut state) as usize % 4;
        let chunks = memory.chunks.lock().unwrap();
        let _in_time = memory
            .changed
            .wait_timeout_while(chunks, Duration::from_millis(20), |chunks| chunks.len() < seen + further)
            .unwrap();
        drop(tap);
        deaths += 1;
    }
    writing.join().unwrap();
    drop(sink);
    answering.join().unwrap();
    assert!(deaths > 10, "only {deaths} deaths");
    no_line_is_missing(&memory.wait(|_| true), LINES);
}

/// Each line came whole, in order; only whole chunks were repeated, and only those that came last.
fn no_line_is_missing(chunks: &[(u32, Vec<u8>, bool)], lines: usize) {
    let mut next = 0;
    for (_, text, goes_on) in chunks {
        assert!(!goes_on && text.ends_with(b"\n"), "a torn line");
        let numbers: Vec<usize> = std::str::from_utf8(text)
            .unwrap()
            .lines()
            .map(|line| line.split_once(' ').unwrap().0.parse().unwrap())
            .collect();
        assert!(numbers[0] <= next, "line {next} is missing");
        for pair in numbers.windows(2) {
            assert_eq!(pair[1], pair[0] + 1);
        }
        next = next.max(numbers[numbers.len() - 1] + 1);
    }
    assert_eq!(next, lines);
}

#[test]
fn a_tap_that_is_stopped_leaves_the_rest_for_the_next_and_repeats_nothing() {
    let (taps, memory, (out, mut worker)) = (Taps::start().unwrap(), Arc::new(Memory::default()), pipe());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sink = || -> Arc<dyn Sink> { Arc::<Memory>::clone(&memory) };
    for round in 0..50 {
        write!(worker, "{round} a\n{round} b").unwrap();
        let tap = taps.tap(out.try_clone().unwrap(), source(0), sink());
        memory.wait(|chunks| Memory::text(chunks).ends_with(&format!("{round} a\n")));
        runtime.block_on(tap.stop());
        writeln!(worker).unwrap();
    }
    drop(worker);
    end(&mut taps.tap(out, source(0), sink()));
    let expected: String = (0..50).map(|round| format!("{round} a\n{round} b\n")).collect();
    assert_eq!(Memory::text(&memory.wait(|_| true)), expected);
}

#[test]
fn what_was_printed_is_followed_across_rotation_and_compression() {
    const LINES: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let settings = JournalSettings {
        directory: folder.path().to_owned(),
        json: false,
        foreign: false,
        rotate_bytes: 100 * 1024,
        rotate_age: None,
        total_bytes_max: 100 * 1024 * 1024,
        compress: true,
        line_bytes_max: LINE_BYTES_MAX,
    };
    let journal = Journal::open("shop", settings, Box::new(|_| ())).unwrap();
    let (taps, (out, mut worker)) = (Taps::start().unwrap(), pipe());
    let sink: Arc<dyn Sink> = Arc::<Journal>::clone(&journal);
    let mut tap = taps.tap(out, source(0), sink);
    let logs = || [(folder.path().to_owned(), Query::default())];
    let mut follower = Reader::new(logs()).unwrap().follow();
    let writing = std::thread::spawn(move || {
        for line in 0..LINES {
            writeln!(worker, "{line} {}", "x".repeat(100)).unwrap();
        }
    });
    let (mut texts, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while texts.len() < LINES && Instant::now() < deadline {
        texts.extend(follower.further().unwrap().into_iter().map(|record| record.text));
    }
    writing.join().unwrap();
    end(&mut tap);
    let numbers = |texts: &[String]| -> Vec<usize> {
        texts.iter().map(|text| text.split_once(' ').unwrap().0.parse().unwrap()).collect()
    };
    assert_eq!(numbers(&texts), (0..LINES).collect::<Vec<_>>(), "followed");
    let last: Vec<String> =
        Reader::new(logs()).unwrap().last(15_000).unwrap().into_iter().map(|record| record.text).collect();
    assert_eq!(numbers(&last), (LINES - 15_000..LINES).collect::<Vec<_>>(), "read backwards");
    let mut all = Vec::new();
    let each = |record: stead_logs::Record| {
        all.push(record.text);
        true
    };
    Reader::new(logs()).unwrap().all(each).unwrap();
    assert_eq!(numbers(&all), (0..LINES).collect::<Vec<_>>(), "read forwards");
}

#[test]
fn binary_output_becomes_text() {
    let folder = tempfile::tempdir().unwrap();
    let settings = JournalSettings {
        directory: folder.path().to_owned(),
        json: false,
        foreign: false,
        rotate_bytes: 64 * 1024 * 1024,
        rotate_age: None,
        total_bytes_max: 1024 * 1024 * 1024,
        compress: false,
        line_bytes_max: LINE_BYTES_MAX,
    };
    let journal = Journal::open("shop", settings, Box::new(|_| ())).unwrap();
    let (taps, (out, worker)) = (Taps::start().unwrap(), pipe());
    let sink: Arc<dyn Sink> = Arc::<Journal>::clone(&journal);
    let mut tap = taps.tap(out, source(0), sink);
    let mut state = 3;
    for _ in 0..200 {
        let bytes: Vec<u8> = (0..1024).map(|_| random(&mut state).to_le_bytes()[0]).collect();
        write(&worker, &bytes).unwrap();
    }
    drop(worker);
    end(&mut tap);
    let text = std::fs::read_to_string(folder.path().join("current.log")).expect("a log is text");
    assert_eq!(text.lines().count() as u64, journal.counters().lines);
    assert!(text.lines().all(|line| stead_logs::Record::parse(line.as_bytes()).is_some()));
    assert!(!text.contains(|c: char| c.is_control() && !['\n', '\t', '\x1b'].contains(&c) && c.is_ascii()));
}
