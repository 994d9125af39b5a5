//! "I watch my service on one screen while it works, dies and comes back, and my terminal is mine again afterwards."

use std::time::Duration;

use rustix::process::Signal;

use crate::support::background::Background;
use crate::support::ports::free_port;
use crate::support::processes::{self, kill};
use crate::support::terminal::Terminal;
use crate::support::{Stead, beside, get, node, soon};

const LIMIT: Duration = Duration::from_secs(30);
const USUAL: (u16, u16) = (80, 24);

fn watched() -> (Stead, Terminal) {
    let stead = Stead::script(node("executions.js")).instances(2).start();
    let terminal = Terminal::open(stead.path(), USUAL);
    terminal.type_line("$stead monit");
    terminal.wait("the board is there", |screen| screen.contains("2/2 workers ready"));
    (stead, terminal)
}

/// Process numbers of the running `stead monit`.
fn monitors(stead: &Stead) -> Vec<u32> {
    let socket = stead.path().join("tmux.socket").display().to_string();
    let servers = processes::with_argument(&socket);
    let shells = servers.iter().flat_map(|server| processes::children(*server));
    shells.flat_map(|shell| processes::children(shell.pid)).map(|process| process.pid).collect()
}

#[test]
fn workers_requests_and_crashes_are_seen() {
    let _turn = beside();
    let (stead, terminal) = watched();
    let pids = stead.status().ready_pids();
    let screen = terminal
        .wait("both workers are there", |screen| pids.iter().all(|pid| screen.contains(&pid.to_string())));
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    assert!(screen.contains("q quit") && screen.contains("live"), "{screen}");
    for _ in 0..20 {
        assert_eq!(get(stead.port, "/").status, 200);
    }
    terminal.wait("requests have a latency", |screen| {
        let app = screen.lines().find(|line| line.starts_with('>'));
        app.is_some_and(|app| app.contains(" ms") || app.contains(" µs"))
    });
    terminal.keys(&["e"]);
    kill(pids[0]);
    terminal.wait("the death is told", |screen| screen.contains("SIGKILL"));
    terminal.wait("its replacement is ready", |screen| screen.contains("is ready (pid"));
    terminal.keys(&["?"]);
    terminal.wait("keys are explained", |screen| screen.contains("any key goes back"));
    terminal.keys(&["x", "/"]);
    terminal.keys(&["S", "I", "G", "K"]);
    terminal.wait("only the death is left", |screen| {
        screen.contains("events, with `SIGK`") && !screen.contains("is ready (pid")
    });
    // Letters of a filter are no commands; then they are again.
    terminal.keys(&["q", "BSpace", "Enter", "q"]);
    terminal.assert_given_back();
}

#[test]
fn what_workers_print_is_seen_as_it_is_printed() {
    let _turn = beside();
    let port = free_port();
    let user = Background::new().env("PORT", port);
    let script = "console.log('first words'); console.error('\\x1b[31mred words');
        require('http').createServer((q, a) => { console.log('asked for ' + q.url); a.end() }).listen(process.env.PORT)";
    user.write("talk.js", script);
    user.done(&["start", "talk.js"]);
    let terminal = Terminal::open(user.path(), USUAL);
    terminal.type_line("$stead monit talk");
    terminal.wait("what was printed before is there", |screen| {
        screen.contains("first words") && screen.contains("talk.0 red words")
    });
    get(port, "/now");
    terminal.wait("what is printed now is there", |screen| screen.contains("asked for /now"));
    terminal.keys(&["q"]);
    terminal.assert_given_back();
}

#[test]
fn a_daemon_that_dies_and_an_instance_that_ends_are_told() {
    let _turn = beside();
    let (mut stead, terminal) = watched();
    terminal.keys(&["e"]);
    let daemon = stead.status().daemon_pid();
    kill(daemon);
    terminal.wait("the new daemon is told", |screen| screen.contains("the daemon was started again"));
    terminal
        .wait("it is live again", |screen| screen.contains("live") && screen.contains("2/2 workers ready"));
    stead.signal(Signal::TERM);
    assert_eq!(stead.wait_exit(LIMIT).code(), Some(0));
    terminal.wait("the end is told", |screen| screen.contains("NO ANSWER"));
    terminal.keys(&["C-c"]);
    terminal.assert_given_back();
    stead.assert_nothing_left();
}

#[test]
fn any_size_is_good_enough() {
    let _turn = beside();
    let (_stead, terminal) = watched();
    for size in [(140, 40), (40, 10), (20, 5), (200, 60), (3, 2), USUAL] {
        terminal.resize(size);
        let expected = match size {
            (140 | 200, _) => "connections",
            (40, _) => "log of",
            (20, _) => "too small",
            (3, _) => "too",
            _ => "q quit  up/down",
        };
        terminal.wait("the board has the new size", |screen| {
            screen.contains(expected) && screen.lines().all(|line| line.chars().count() <= size.0.into())
        });
    }
    terminal.keys(&["q"]);
    terminal.assert_given_back();
}

#[test]
fn the_terminal_is_given_back_when_it_is_told_to_end() {
    let _turn = beside();
    let (stead, terminal) = watched();
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let monitors = monitors(&stead);
        assert_eq!(monitors.len(), 1, "{signal:?}");
        processes::signal(monitors[0], signal);
        soon("it ends", || processes::living(monitors[0]).is_none());
        terminal.assert_given_back();
        terminal.type_line("$stead monit");
        terminal.wait("the board is there", |screen| screen.contains("2/2 workers ready"));
    }
    // Ctrl-Z and back.
    terminal.keys(&["C-z"]);
    terminal.wait("the shell is back", |screen| screen.contains("Stopped"));
    terminal.type_line("fg");
    terminal.wait("the board is there", |screen| screen.contains("2/2 workers ready"));
    terminal.keys(&["q"]);
    terminal.assert_given_back();
}

/// Some escape sequence on the screen asks for a colour: 30 to 38, of which 39 is none.
fn has_colours(screen: &str) -> bool {
    let sequences = screen.split("\u{1b}[").skip(1).filter_map(|text| Some(text.split_once('m')?.0));
    let mut numbers = sequences.flat_map(|sequence| sequence.split(';'));
    numbers.any(|number| number.parse().is_ok_and(|number: u32| (30..=38).contains(&number)))
}

#[test]
fn colours_are_a_matter_of_taste() {
    let _turn = beside();
    let (_stead, terminal) = watched();
    let screen = terminal.screen_with_looks();
    assert!(has_colours(&screen), "{screen:?}");
    terminal.keys(&["q"]);
    terminal.assert_given_back();
    terminal.type_line("NO_COLOR=1 $stead monit");
    terminal.wait("the board is there", |screen| screen.contains("2/2 workers ready"));
    let screen = terminal.screen_with_looks();
    assert!(!has_colours(&screen), "{screen:?}");
    terminal.keys(&["q"]);
    terminal.assert_given_back();
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let _turn = beside();
    let stead = Stead::script(node("executions.js")).start();
    let monit = stead.verb(&["monit"]);
    assert_eq!(monit.code, Some(2), "{monit:?}");
    assert!(monit.stderr.contains("needs a terminal") && monit.stderr.contains("stead list"), "{monit:?}");
}
