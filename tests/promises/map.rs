//! "A batch of tasks is done, each exactly once in the result, whatever dies meanwhile: workers, or the batch itself. What cannot be done
//! is put aside with its reason, and the exit code tells."

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::processes::{self, MARK, children, kill, marked};
use crate::support::terminal::Terminal;
use crate::support::{alone, beside, eventually, fixture, node, pause_between, soon};

const LIMIT: Duration = Duration::from_secs(60);

/// A folder with an input, and whatever comes of it.
struct Batch {
    folder: tempfile::TempDir,
    mark: String,
}

/// How a batch ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Batch {
    fn of(input: &str) -> Batch {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("tasks"), input).expect("there is room");
        let mark = folder.path().display().to_string();
        Batch { folder, mark }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stead"));
        command.arg("map").args(arguments).current_dir(self.folder.path()).env(MARK, &self.mark);
        command.stdin(File::open(self.path("tasks")).expect("it was written"));
        command
    }

    /// Runs it to its end.
    fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().expect("the binary can be started");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is UTF-8");
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Starts it, with its results at the end of a file.
    fn start(&self, arguments: &[&str], results: &str) -> Child {
        let results = OpenOptions::new().append(true).create(true).open(self.path(results)).expect("a file");
        let mut command = self.command(arguments);
        command.stdout(results).stderr(Stdio::null()).spawn().expect("the binary can be started")
    }

    /// Each failure as it was kept.
    fn failures(&self, name: &str) -> Vec<Value> {
        self.read(name).lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// Waits until no process of it is left.
    #[track_caller]
    fn is_over(&self) {
        soon("no process is left", || marked(&self.mark).is_empty());
    }
}

fn numbers(count: u32) -> String {
    (1..=count).map(|number| format!("{number}\n")).collect()
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// A worker is killed every 100 ms, however fast it goes.
#[test]
fn each_of_100_000_tasks_has_exactly_one_result_while_workers_are_killed() {
    let _turn = alone();
    let tasks = numbers(100_000);
    let batch = Batch::of(&tasks);
    let script = node("tasks.js");
    let mut map = batch.start(&["-n", "4", "--unordered", "--", "node", &script], "results");
    let mut kills = 0;
    let status = loop {
        if let Some(status) = map.try_wait().expect("it is our child") {
            break status;
        }
        pause_between(Duration::from_millis(100));
        let workers = children(map.id());
        if let Some(worker) = workers.get(kills % workers.len().max(1)) {
            kill(worker.pid);
            kills += 1;
        }
    };
    assert!(status.success(), "{status}");
    assert!(kills > 2, "{kills} workers were killed");
    let results = batch.read("results");
    let mut found: Vec<u32> = results.lines().map(|line| line.parse().expect("a number")).collect();
    found.sort_unstable();
    assert!(found.iter().copied().eq(1..=100_000), "{} results for 100000 tasks", found.len());
    batch.is_over();
}

#[test]
fn map_that_is_killed_five_times_goes_on_where_it_was() {
    let _turn = alone();
    let tasks = numbers(15_000);
    for (order, results) in [("--ordered", "in order"), ("--unordered", "as they come")] {
        let batch = Batch::of(&tasks);
        let script = node("tasks.js");
        let arguments = ["--resume", "journal", order, "-n", "2", "--", "node", &script];
        for fifth in 1..=5 {
            let mut map = batch.start(&arguments, results);
            let enough = tasks.len() as u64 * fifth / 6;
            eventually("a part of the results is there", LIMIT, || {
                (length(&batch.path(results)) >= enough).then_some(())
            });
            map.kill().expect("it runs or has ended");
            map.wait().expect("it is our child");
            batch.is_over();
        }
        let status = batch.start(&arguments, results).wait().expect("it is our child");
        assert!(status.success(), "{status}");
        check_same(&batch.read(results), &tasks, order);
        // Emptied, the output is filled again without any worker.
        fs::remove_file(batch.path(results)).expect("it is there");
        let again = ["--resume", "journal", order, "-n", "2", "--", "node", &fixture("node/double.js")];
        let status = batch.start(&again, results).wait().expect("it is our child");
        assert!(status.success(), "{status}");
        check_same(&batch.read(results), &tasks, order);
    }
}

#[track_caller]
fn check_same(results: &str, tasks: &str, order: &str) {
    if order == "--ordered" {
        return assert!(results == tasks, "the results are as if it had not been killed");
    }
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert!(sorted(results) == sorted(tasks), "each task has one result");
}

#[test]
fn poison_is_set_aside_after_two_deaths_and_failures_are_kept_with_their_input() {
    let _turn = beside();
    let tasks = "1\n\"poison\"\n\"fail\"\n{\"fail\":2}\n{\"a\":\n\n5\n";
    for concurrency in ["1", "4"] {
        let batch = Batch::of(tasks);
        let script = node("tasks.js");
        let mut command = batch.command(&[
            "--json",
            "--retries",
            "2",
            "--failures",
            "failed",
            "-n",
            "2",
            "--",
            "node",
            &script,
        ]);
        let output = command.env("CONCURRENCY", concurrency).output().expect("the binary can be started");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n{\"fail\":2}\n5\n", "in order");
        let mut failures = batch.failures("failed");
        failures.sort_by_key(|failure| failure["line"].as_u64());
        let told = |failure: &Value| format!("{} {}", failure["line"], failure["input"]);
        let told: Vec<String> = failures.iter().map(told).collect();
        assert_eq!(told, ["2 \"poison\"", "3 \"fail\"", "5 \"{\\\"a\\\":\""], "{failures:?}");
        // What was in the hands of a worker that died of something else was given once more.
        assert_eq!(failures[0]["attempts"], 2, "{failures:?}");
        assert!(failures[1]["attempts"].as_u64() >= Some(3), "{failures:?}");
        let codes = [&failures[0], &failures[2]].map(|failure| failure["error"]["code"].as_str());
        assert_eq!(codes, [Some("poison"), Some("bad_input")]);
        batch.is_over();
    }
}

/// The package takes many tasks in one message and answers so; what it dies of is one of them.
#[test]
fn tasks_that_go_together_are_told_from_the_one_that_kills() {
    let _turn = beside();
    let batch = Batch::of(&format!("{}\"poison\"\n{}", numbers(200), numbers(200)));
    let worker = format!(
        "require({:?}).worker((input) => input === 'poison' ? process.exit(7) : input);",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk/node"),
    );
    fs::write(batch.path("worker.js"), worker).expect("there is room");
    let ended = batch.run(&["-n", "2", "--failures", "failed", "--", "node", "worker.js"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stdout == numbers(200).repeat(2), "each has one result, in order");
    let failures = batch.failures("failed");
    let told: Vec<_> = failures.iter().map(|failure| (&failure["line"], &failure["error"]["code"])).collect();
    assert_eq!(told, [(&201.into(), &"poison".into())]);
    batch.is_over();
}

#[test]
fn task_that_takes_too_long_fails_whether_its_worker_listens_or_not() {
    let _turn = beside();
    let batch = Batch::of("{\"wait\":600000}\n");
    fs::write(batch.path("silent.js"), "process.on('message', () => {});").expect("there is room");
    for script in [node("tasks.js"), "silent.js".to_owned()] {
        let ended = batch.run(&["--timeout", "1s", "--failures", "failed", "--", "node", &script]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let failures = batch.failures("failed");
        assert_eq!(failures[0]["error"]["code"], "timeout", "{failures:?}");
    }
    let ended = batch.run(&["--timeout", "200ms", "--shell", "--", "sleep 600 # {}"]);
    assert!(ended.code == Some(1) && ended.stderr.contains("it took too long"), "{ended:?}");
    batch.is_over();
}

#[test]
fn any_program_can_be_a_worker() {
    let _turn = beside();
    let plain = Batch::of("1\n2\n\n3\n");
    assert_eq!(plain.run(&["--", "node", &node("double.js")]).stdout, "2\n4\n6\n");
    let words = Batch::of("one two\nthree\n");
    assert_eq!(words.run(&["--", "python3", &fixture("python/upper.py")]).stdout, "ONE TWO\nTHREE\n");
    assert_eq!(words.run(&["--", "echo", "<{}>"]).stdout, "<one two>\n<three>\n");
    assert_eq!(words.run(&["--shell", "--", "echo {} | wc -w"]).stdout, "2\n1\n");
    let nasty = Batch::of("$(echo obeyed)\n; echo obeyed\n`echo obeyed`\n\" echo obeyed\n");
    let printed = nasty.run(&["--shell", "--", "printf '%s\\n' {}"]).stdout;
    assert_eq!(printed, nasty.read("tasks"), "a shell obeys nothing in a task");
    let failing = Batch::of("1\n2\n3\n");
    let ended = failing.run(&["--shell", "--failures", "failed", "--", "test {} != 2 && echo {}"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "1\n3\n"));
    assert_eq!(failing.failures("failed")[0]["error"]["message"], "exit code 1");
}

#[test]
fn what_cannot_work_is_said_and_told_by_the_exit_code() {
    let _turn = beside();
    let batch = Batch::of("1\n2\n3\n");
    let missing = batch.run(&["--", "nodde", "x.js"]);
    assert_eq!(missing.code, Some(3), "{missing:?}");
    assert!(missing.stderr.contains("program `nodde` not found"), "{missing:?}");
    fs::write(batch.path("broken.js"), "throw new Error('no database');").expect("there is room");
    let broken = batch.run(&["-n", "2", "--", "node", "broken.js"]);
    assert_eq!(broken.code, Some(3), "{broken:?}");
    assert!(broken.stderr.contains("ended before they had answered anything"), "{broken:?}");
    assert!(broken.stderr.contains("Error: no database"), "{broken:?}");
    // A module that waits as it is loaded has its channel read, and its task with it.
    let late = "await new Promise((resolve) => setTimeout(resolve, 50)); throw new Error('no cache');";
    fs::write(batch.path("late.mjs"), late).expect("there is room");
    let late = batch.run(&["-n", "2", "--", "node", "late.mjs"]);
    assert!(late.code == Some(3) && late.stderr.contains("Error: no cache"), "{late:?}");
    let once = batch.run(&["--", "true"]);
    assert!(once.code == Some(3) && once.stderr.contains("needs `{}`"), "{once:?}");
    for (words, hint) in [
        (&["worker.js"][..], "put `--` before the command"),
        (&["-n", "2", "node", "worker.js"], "put `--` before the command"),
        (&["-j", "2", "--", "cat"], "`-n` says how many workers"),
    ] {
        let mistaken = batch.run(words);
        assert!(mistaken.code == Some(2) && mistaken.stderr.contains(hint), "{mistaken:?}");
    }
    let empty = Batch::of("\n").run(&["--", "node", &node("double.js")]);
    assert!(empty.code == Some(0) && empty.stderr.contains("no tasks"), "{empty:?}");
    let quiet = batch.run(&["--quiet", "--", "node", &node("double.js")]);
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (Some(0), "2\n4\n6\n", ""));
}

/// Their workers die at the same time: that shows bad tasks, and not yet a bad program.
#[test]
fn a_bad_task_for_each_worker_at_the_start_does_not_end_the_batch() {
    let _turn = beside();
    let batch = Batch::of(&format!("{}good\n", "bad\n".repeat(5)));
    let worker = "while read -r task; do [ $task != bad ] || exit 1; echo $task; done";
    let ended = batch.run(&["-n", "5", "--failures", "failed", "--shell", "--", worker]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "good\n"), "{ended:?}");
    assert_eq!(batch.failures("failed").len(), 5);
}

/// As the system does it when memory runs out.
#[test]
fn workers_that_are_killed_again_and_again_end_it_or_have_their_task_set_aside() {
    let _turn = beside();
    let batch = Batch::of("1\nbig\n3\n");
    let worker = "while read -r task; do [ $task != big ] || kill -9 $$; echo $task; done";
    let ended = batch.run(&["--lines", "-n", "2", "--failures", "failed", "--shell", "--", worker]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "1\n3\n"), "{ended:?}");
    let failures = batch.failures("failed");
    assert_eq!((&failures[0]["error"]["code"], &failures[0]["attempts"]), (&"poison".into(), &12.into()));
    let hopeless = batch.run(&["-n", "2", "--shell", "--", "kill -9 $$"]);
    assert_eq!(hopeless.code, Some(3), "{hopeless:?}");
    for said in ["100 workers in a row", "killed by SIGKILL", "memory"] {
        assert!(hopeless.stderr.contains(said), "{hopeless:?}");
    }
}

#[test]
fn journal_belongs_to_its_input_and_its_output() {
    let _turn = beside();
    let batch = Batch::of("1\n2\n3\n");
    let script = node("double.js");
    let arguments = ["--resume", "journal", "--", "node", &script];
    batch.start(&arguments, "results").wait().expect("it is our child");
    assert_eq!(batch.read("results"), "2\n4\n6\n");
    fs::write(batch.path("results"), "2\n4\n6\n8\n").expect("there is room");
    let mut longer = batch.command(&arguments);
    longer.stdout(OpenOptions::new().append(true).open(batch.path("results")).expect("it is there"));
    let longer = longer.stderr(Stdio::piped()).output().expect("the binary can be started");
    assert_eq!(longer.status.code(), Some(2), "{longer:?}");
    assert!(String::from_utf8_lossy(&longer.stderr).contains("more than the journal knows"), "{longer:?}");
    fs::write(batch.path("tasks"), "1\n20\n3\n").expect("there is room");
    let other = batch.run(&arguments);
    assert_eq!(other.code, Some(2), "{other:?}");
    assert!(other.stderr.contains("line 2 of the input"), "{other:?}");
    for (shorter, tasks) in [("1\n2\n", 2), ("", 0)] {
        fs::write(batch.path("tasks"), shorter).expect("there is room");
        let ended = batch.run(&arguments);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let said = format!("the input ends after {tasks} tasks, the journal tells of 3");
        assert!(ended.stderr.contains(&said), "{ended:?}");
    }
    fs::write(batch.path("tasks"), "1\n2\n3\n4\n").expect("there is room");
    let grown = batch.run(&arguments);
    assert_eq!((grown.code, grown.stdout.as_str()), (Some(0), "2\n4\n6\n8\n"), "{grown:?}");
    let not_one = batch.run(&["--resume", "results", "--", "node", &script]);
    assert_eq!(not_one.code, Some(2), "{not_one:?}");
    assert!(not_one.stderr.contains("`results` is no journal of `stead map`"), "{not_one:?}");
    for option in ["--resume", "--failures"] {
        let nowhere = batch.run(&[option, "missing/file", "--", "node", &script]);
        assert_eq!(nowhere.code, Some(2), "{nowhere:?}");
    }
}

#[test]
fn journal_of_json_is_not_gone_on_with_as_text() {
    let _turn = beside();
    let batch = Batch::of("{}\n");
    let upper = fixture("python/upper.py");
    let run = |option: &'static [&str]| {
        batch.run(&[&["--resume", "journal"], option, &["--", "python3", &upper]].concat())
    };
    assert_eq!(run(&[]).stdout, "{}\n");
    let other = run(&["--lines"]);
    assert!(other.code == Some(2) && other.stderr.contains("go on with `--json`"), "{other:?}");
    for option in [&[][..], &["--json"]] {
        let same = run(option);
        assert_eq!((same.code, same.stdout.as_str()), (Some(0), "{}\n"), "{same:?}");
    }
}

#[test]
fn files_that_are_the_same_are_refused_before_anything_is_written() {
    let _turn = beside();
    let batch = Batch::of("1\n2\n");
    fs::write(batch.path("o"), "kept\n").expect("there is room");
    for (options, names) in [
        (&["--resume", "new", "--failures", "./new"][..], ["`--resume new`", "`--failures ./new`"]),
        (&["--failures", "tasks"], ["standard input", "`--failures tasks`"]),
        (&["--failures", "o"], ["standard output", "`--failures o`"]),
        (&["--resume", "./o"], ["standard output", "`--resume ./o`"]),
    ] {
        let mut command = batch.command(&[options, &["--", "echo", "{}"]].concat());
        command.stdout(OpenOptions::new().append(true).open(batch.path("o")).expect("it is there"));
        let ended = command.stderr(Stdio::piped()).output().expect("the binary can be started");
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(&format!("{} and {} are the same file", names[0], names[1])), "{stderr}");
    }
    assert_eq!((batch.read("tasks"), batch.read("o")), ("1\n2\n".to_owned(), "kept\n".to_owned()));
    assert!(!batch.path("new").exists());
    let ended = batch.run(&["--resume", "j", "--failures", "f", "--", "echo", "{}"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "1\n2\n"), "{ended:?}");
}

#[test]
fn reader_that_has_enough_ends_it_quietly() {
    let _turn = beside();
    let batch = Batch::of(&numbers(20_000));
    // At any moment, some of these have an answer that they have not given yet.
    let late = "process.on('message', (task) => setTimeout(() => process.send(task), 3));";
    fs::write(batch.path("late.js"), late).expect("there is room");
    let stead = env!("CARGO_BIN_EXE_stead");
    for script in [node("tasks.js"), "late.js".to_owned()] {
        let line = format!("\"{stead}\" map -q -n 4 -- node \"{script}\" < tasks | head -2");
        let mut command = Command::new("sh");
        command.args(["-c", &line]).current_dir(batch.folder.path()).env(MARK, &batch.mark);
        let output = command.output().expect("there is a shell");
        let printed =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert_eq!(printed, ["1\n2\n", ""], "{script}");
        batch.is_over();
    }
}

/// Ten megabytes of tasks are offered, and of the results only the first is read: neither grows in memory.
#[test]
fn slow_reader_stops_the_batch_without_growth() {
    let _turn = beside();
    let line = format!("\"{}\"\n", "x".repeat(1000));
    let batch = Batch::of(&line.repeat(200_000));
    let mut command = batch.command(&["-q", "-n", "2", "--", "cat"]);
    let mut map = command.stdout(Stdio::piped()).spawn().expect("the binary can be started");
    let mut read = 0;
    soon("nothing more is read when enough waits", || {
        let before = std::mem::replace(&mut read, offset_of_stdin(map.id()));
        pause_between(Duration::from_millis(300));
        read > 0 && read == before
    });
    let most = processes::memory_peak_of(map.id());
    assert!(read < 60 << 20 && most < 200 << 20, "{read} bytes were read, {most} are in memory");
    map.kill().expect("it runs");
    map.wait().expect("it is our child");
    batch.is_over();
}

/// How much of its standard input, a file, a process has read.
fn offset_of_stdin(pid: u32) -> u64 {
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/0")).unwrap_or_default();
    info.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok()).unwrap_or(0)
}

#[test]
fn first_interrupt_waits_for_what_runs_and_the_second_does_not() {
    let _turn = beside();
    let batch = Batch::of("{\"wait\":1500}\n{\"wait\":600001}\n{\"wait\":600002}\n");
    let script = node("tasks.js");
    let workers = |map: &Child| {
        let pid = map.id();
        eventually("both workers are there", LIMIT, move || (children(pid).len() == 2).then_some(()));
    };
    let mut map = batch.start(&["-n", "2", "--", "node", &script], "results");
    workers(&map);
    processes::signal(map.id(), Signal::INT);
    eventually("what runs has ended", LIMIT, || (batch.read("results") == "1\n").then_some(()));
    assert_eq!(map.try_wait().expect("it is our child"), None, "the other one is awaited");
    processes::signal(map.id(), Signal::INT);
    assert_eq!(map.wait().expect("it is our child").code(), Some(1));
    batch.is_over();
}

#[test]
fn interrupted_filter_that_buffers_is_not_awaited_for_ever() {
    let _turn = beside();
    let batch = Batch::of("one\ntwo\nthree\n");
    let mut map = batch.start(&["-n", "2", "--shell", "--", "tr a-z A-Z"], "results");
    let pid = map.id();
    eventually("both workers are there", LIMIT, || (children(pid).len() == 2).then_some(()));
    processes::signal(pid, Signal::TERM);
    assert_eq!(map.wait().expect("it is our child").code(), Some(1));
    assert_eq!(batch.read("results"), "ONE\nTWO\n", "what was in their buffers is not lost");
    batch.is_over();
}

#[test]
fn terminal_shows_how_far_it_is() {
    let _turn = beside();
    let batch = Batch::of(&"{\"wait\":50}\n".repeat(100));
    let terminal = Terminal::open(batch.folder.path(), (80, 24));
    terminal.type_line(&format!("$stead map -n 2 -- node {} < tasks > results", node("tasks.js")));
    let screen = terminal.wait("there is a bar", |screen| screen.contains('%') && screen.contains("/s"));
    assert!(screen.contains('[') && screen.contains("done"), "{screen}");
    terminal.wait("there is a sum", |screen| screen.contains("100 done in"));
    assert_eq!(batch.read("results"), "1\n".repeat(100));
    terminal.type_line(&format!("clear; $stead map -n 2 -- node {} < tasks", node("tasks.js")));
    let screen = terminal.wait("all is there", |screen| screen.contains("1\n100 done in"));
    assert!(!screen.contains('%') && !screen.contains("/s,"), "no bar among results: {screen}");
}
