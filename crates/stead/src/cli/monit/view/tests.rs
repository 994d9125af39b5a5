//! Screens as people see them, and that nothing is said by colour alone.

use super::super::board::{Board, Input, Key};
use super::super::lines::{Line, plain};
use super::{Style, draw};
use crate::cli::test_support::status;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;
use std::time::Duration;
use stead_control::{Event, ExitReport, Status};

const PLAIN: Style = Style { coloured: false, unicode: true };

fn second(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn screen(board: &Board, style: Style, (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, board, style)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let rows = buffer.content.chunks(width);
    let rows = rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>());
    rows.map(|row| row.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(name: &str, board: &Board, size: (u16, u16)) {
    insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), text(&screen(board, PLAIN, size)));
}

fn press(board: &mut Board, keys: &str) {
    for key in keys.chars() {
        let key = if key == '\t' { Key::Tab } else { Key::Character(key) };
        board.handle(board.now, Input::Key(key));
    }
}

/// An hour of work in ten seconds: requests, lines, a crash.
fn busy() -> Board {
    let mut board = Board::new(None);
    for look in 0..10 {
        let mut status = status();
        let app = &mut status.apps[0];
        app.counters.requests += look * look * 40;
        app.latency.count = look * 100;
        app.latency.buckets = [(1, 60), (5, 38), (40, 2)]
            .map(|(milliseconds, share)| stead_control::Bucket {
                up_to: Duration::from_millis(milliseconds),
                count: look * share,
            })
            .to_vec();
        board.handle(second(look), Input::Seen(Box::new(status)));
    }
    for number in 0..40 {
        let (origin, text) = (format!("06:01:{number:02} shop.1"), format!("GET /cart/{number} 200 in 3 ms"));
        board.handle(second(10), Input::Printed(Line { origin, text, loud: number % 13 == 5 }));
    }
    let colourful = plain("\u{1b}[31mTypeError\u{1b}[0m: cart is undefined");
    let line = Line { origin: "06:01:41 shop.1".to_owned(), text: colourful, loud: true };
    board.handle(second(10), Input::Printed(line));
    let exit = ExitReport { code: Some(1), signal: None, out_of_memory: false, expected: false };
    let app = || "shop".to_owned();
    for event in [
        Event::Listening { app: app(), address: "[::]:8080".to_owned() },
        Event::WorkerExited {
            app: app(),
            worker: 6,
            slot: 1,
            pid: 4999,
            exit,
            restart_in: Some(Duration::ZERO),
            failed: false,
        },
        Event::WorkerReady { app: app(), worker: 8, slot: 1, pid: 5001 },
    ] {
        board.handle(second(10), Input::Told(event, "06:01:42".to_owned()));
    }
    board
}

#[test]
fn everything_important_is_on_the_smallest_usual_screen() {
    let mut board = busy();
    check("log", &board, (80, 24));
    press(&mut board, "e\t");
    check("events", &board, (80, 24));
}

#[test]
fn a_large_screen_shows_more() {
    check("log", &busy(), (140, 40));
}

#[test]
fn small_screens_show_less() {
    let board = busy();
    for size in [(40, 10), (32, 6), (20, 3)] {
        check("log", &board, size);
    }
}

#[test]
fn no_size_and_no_state_is_too_much() {
    let mut empty = Board::new(None);
    empty.handle(second(1), Input::Lost("gone".to_owned()));
    let mut help = busy();
    press(&mut help, "?");
    let mut no_apps = Board::new(None);
    no_apps.handle(second(1), Input::Seen(Box::new(Status { apps: Vec::new(), ..status() })));
    for board in [&busy(), &empty, &help, &no_apps, &Board::new(None)] {
        for width in [0, 1, 2, 31, 32, 33, 79, 80, 119, 120, 300] {
            for height in [0, 1, 2, 5, 6, 7, 8, 9, 24, 31, 32, 33, 100] {
                screen(board, PLAIN, (width, height));
            }
        }
    }
}

#[test]
fn an_instance_that_is_gone_is_told_and_the_last_state_stays() {
    let mut board = busy();
    board.handle(second(14), Input::Lost("failed to connect to `/run/stead/4242.sock`".to_owned()));
    board.handle(second(17), Input::Lost("failed to connect to `/run/stead/4242.sock`".to_owned()));
    check("lost", &board, (80, 24));
    board.handle(second(18), Input::Seen(Box::new(Status { daemon_pid: 9, daemon_starts: 3, ..status() })));
    press(&mut board, "e");
    check("back", &board, (80, 24));
}

#[test]
fn what_is_missing_is_explained() {
    let mut board = Board::new(None);
    check("nothing_known", &board, (80, 12));
    board.handle(second(1), Input::Seen(Box::new(Status { apps: Vec::new(), ..status() })));
    check("no_apps", &board, (80, 12));
    board.handle(second(1), Input::Seen(Box::new(status())));
    board.handle(second(1), Input::Unreadable("its output goes to the terminal it runs on".to_owned()));
    check("no_log", &board, (80, 16));
}

#[test]
fn keys_filters_and_scrolling_are_seen() {
    let mut board = busy();
    press(&mut board, "?");
    check("help", &board, (80, 24));
    press(&mut board, "x/cart/1");
    check("typing", &board, (80, 24));
    board.handle(second(10), Input::Key(Key::Escape));
    board.handle(second(10), Input::Key(Key::PageUp));
    check("scrolled", &board, (80, 24));
}

#[test]
fn many_apps_and_workers_are_scrolled_through() {
    let mut status = status();
    let app = status.apps[0].clone();
    status.apps.clear();
    for id in 0..30 {
        let name = format!("app-with-a-long-name-{id}");
        status.apps.push(stead_control::AppStatus { id, name, ..app.clone() });
    }
    let worker = app.workers[0].clone();
    status.apps[20].workers =
        (0..64).map(|slot| stead_control::WorkerStatus { slot, ..worker.clone() }).collect();
    let mut board = Board::new(Some("app-with-a-long-name-20".to_owned()));
    board.handle(second(1), Input::Seen(Box::new(status)));
    press(&mut board, "\tjjj");
    check("many", &board, (80, 24));
}

#[test]
fn without_colours_there_are_none_and_ascii_is_enough() {
    let mut board = busy();
    for keys in ["", "e", "?"] {
        press(&mut board, keys);
        let buffer = screen(&board, PLAIN, (140, 40));
        let coloured = buffer.content.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
        assert!(!coloured, "{}", text(&buffer));
    }
    press(&mut board, "x");
    let ascii = screen(&board, Style { coloured: true, unicode: false }, (140, 40));
    let strange: String = text(&ascii).chars().filter(|character| !character.is_ascii()).collect();
    assert_eq!(strange, "");
    assert!(ascii.content.iter().any(|cell| cell.fg == Color::Green));
}
