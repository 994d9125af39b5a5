//! What is known and what is looked at. Pure: no clock, no terminal, no socket; `driver.rs` feeds it and `view/` draws it.

use super::super::pool_view::count_tasks;
use super::lines::{Line, Lines};
use super::trend::Trend;
use super::wording;
use std::collections::HashMap;
use std::time::Duration;
use stead_control::{AppStatus, Event, Status};

/// Lines that a page key moves.
const PAGE: isize = 10;

/// Something that happened, at a time since the beginning of watching.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// A key was pressed.
    Key(Key),
    /// The instance answered.
    Seen(Box<Status>),
    /// The instance does not answer; why.
    Lost(String),
    /// Something happened in the instance, at this time of day.
    Told(Event, String),
    /// A worker of the app that is looked at printed a line.
    Printed(Line),
    /// What is printed cannot be had; why.
    Unreadable(String),
}

/// A key that means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Tab,
    BackTab,
    Enter,
    Escape,
    Backspace,
    /// Ctrl-C.
    Interrupt,
    Character(char),
}

/// The parts of the screen that can be moved in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Panel {
    Apps,
    Workers,
    Lines,
}

/// What is in the lowest part of the screen, where there is room for one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    Log,
    Events,
}

/// What keys do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Moving,
    /// Letters go into the filter.
    Typing,
    /// The list of keys covers the screen until the next key.
    Help,
}

/// Whether the instance answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// Not asked yet.
    New,
    Live,
    Lost {
        since: Duration,
        why: String,
    },
}

/// Everything that is drawn.
#[derive(Clone, Debug)]
pub(super) struct Board {
    pub(super) now: Duration,
    pub(super) link: Link,
    pub(super) status: Option<Status>,
    pub(super) panel: Panel,
    pub(super) topic: Topic,
    pub(super) mode: Mode,
    pub(super) filter: String,
    pub(super) log: Lines,
    pub(super) events: Lines,
    /// Why there is no log, if there is none.
    pub(super) unreadable: Option<String>,
    /// First worker shown.
    pub(super) worker: usize,
    /// Name of the app that is looked at.
    app: Option<String>,
    trends: HashMap<String, Trend>,
    over: bool,
}

impl Board {
    /// A board that knows nothing yet; `app` is the one to look at.
    pub(super) fn new(app: Option<String>) -> Board {
        Board {
            now: Duration::ZERO,
            link: Link::New,
            status: None,
            panel: Panel::Apps,
            topic: Topic::Log,
            mode: Mode::Moving,
            filter: String::new(),
            log: Lines::default(),
            events: Lines::default(),
            unreadable: None,
            worker: 0,
            app,
            trends: HashMap::new(),
            over: false,
        }
    }

    /// Takes in what happened.
    pub(super) fn handle(&mut self, now: Duration, input: Input) {
        self.now = now;
        match input {
            Input::Key(key) => self.press(key),
            Input::Seen(status) => self.see(*status),
            Input::Lost(why) => self.lose(why),
            Input::Told(event, time) => {
                let (_, text, loud) = wording::event(&event);
                self.events.push(Line { origin: time, text, loud });
            }
            Input::Printed(line) => {
                self.unreadable = None;
                self.log.push(line);
            }
            Input::Unreadable(why) => self.unreadable = Some(why),
        }
    }

    /// It is to end.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// The app that is looked at.
    pub(super) fn app(&self) -> Option<&AppStatus> {
        self.apps().get(self.index())
    }

    /// All apps.
    pub(super) fn apps(&self) -> &[AppStatus] {
        self.status.as_ref().map_or(&[], |status| &status.apps)
    }

    /// Where in [`Self::apps`] the one is that is looked at.
    pub(super) fn index(&self) -> usize {
        let wanted = self.app.as_deref();
        self.apps().iter().position(|app| Some(app.name.as_str()) == wanted).unwrap_or(0)
    }

    /// What an app did lately.
    pub(super) fn trend(&self, app: &str) -> Option<&Trend> {
        self.trends.get(app)
    }

    fn press(&mut self, key: Key) {
        match (self.mode, key) {
            (_, Key::Interrupt) => self.over = true,
            (Mode::Help, _) => self.mode = Mode::Moving,
            (Mode::Typing, key) => self.type_in(key),
            (Mode::Moving, key) => self.command(key),
        }
    }

    fn command(&mut self, key: Key) {
        match key {
            Key::Character('q' | 'Q') => self.over = true,
            Key::Character('?' | 'h') => self.mode = Mode::Help,
            Key::Character('/') => {
                self.panel = Panel::Lines;
                self.mode = Mode::Typing;
            }
            Key::Character('l') => self.topic = Topic::Log,
            Key::Character('e') => self.topic = Topic::Events,
            Key::Character('k') => self.go(-1),
            Key::Character('j') => self.go(1),
            Key::Character('g') => self.go(isize::MIN),
            Key::Character('G') => self.go(isize::MAX),
            Key::Escape => self.set_filter(String::new()),
            Key::Tab => self.panel = self.panel.next(),
            Key::BackTab => self.panel = self.panel.next().next(),
            Key::Up => self.go(-1),
            Key::Down => self.go(1),
            Key::PageUp => self.go(-PAGE),
            Key::PageDown => self.go(PAGE),
            Key::Home => self.go(isize::MIN),
            Key::End => self.go(isize::MAX),
            Key::Enter | Key::Backspace | Key::Interrupt | Key::Character(_) => (),
        }
    }

    fn type_in(&mut self, key: Key) {
        let mut filter = self.filter.clone();
        match key {
            Key::Character(character) => filter.push(character),
            Key::Backspace => drop(filter.pop()),
            Key::Enter => return self.mode = Mode::Moving,
            Key::Escape => {
                filter.clear();
                self.mode = Mode::Moving;
            }
            _ => return,
        }
        self.set_filter(filter);
    }

    fn set_filter(&mut self, filter: String) {
        self.log.set_filter(&filter);
        self.events.set_filter(&filter);
        self.filter = filter;
    }

    /// Up (less than 0) or down in the panel that has the keys.
    fn go(&mut self, by: isize) {
        match self.panel {
            Panel::Apps => self.choose(self.index().saturating_add_signed(by)),
            Panel::Workers => {
                let last = self.app().map_or(0, |app| app.workers.len().saturating_sub(1));
                self.worker = self.worker.saturating_add_signed(by).min(last);
            }
            Panel::Lines => {
                let lines = match self.topic {
                    Topic::Log => &mut self.log,
                    Topic::Events => &mut self.events,
                };
                match by {
                    isize::MIN => lines.oldest(),
                    isize::MAX => lines.follow(),
                    by => lines.scroll(-by),
                }
            }
        }
    }

    fn choose(&mut self, index: usize) {
        let index = index.min(self.apps().len().saturating_sub(1));
        let Some(name) = self.apps().get(index).map(|app| app.name.clone()) else { return };
        if self.app.as_ref() != Some(&name) {
            self.app = Some(name);
            self.worker = 0;
            self.log.clear();
            self.unreadable = None;
        }
    }

    fn see(&mut self, mut status: Status) {
        status.apps.iter_mut().for_each(count_tasks);
        self.tell_of_return(&status);
        self.link = Link::Live;
        self.trends.retain(|name, _| status.app(name).is_some());
        for app in &status.apps {
            self.trends.entry(app.name.clone()).or_default().see(self.now, app);
        }
        self.status = Some(status);
        // The one that was looked at may be gone; then it is the first.
        self.choose(self.index());
    }

    /// Says what became of an instance that did not answer for a while, or is another than before.
    fn tell_of_return(&mut self, status: &Status) {
        let Some(before) = &self.status else { return };
        let text = if before.keeper_pid != status.keeper_pid {
            format!("connected to another instance (pid {})", status.keeper_pid)
        } else if before.daemon_pid != status.daemon_pid {
            format!("the daemon was started again (pid {}); workers went on", status.daemon_pid)
        } else if let Link::Lost { since, .. } = self.link {
            format!("the instance answers again after {} s", self.now.saturating_sub(since).as_secs())
        } else {
            return;
        };
        self.events.push(Line { origin: "stead".to_owned(), text, loud: true });
    }

    fn lose(&mut self, why: String) {
        let since = match self.link {
            Link::Lost { since, .. } => since,
            Link::New | Link::Live => self.now,
        };
        self.link = Link::Lost { since, why };
    }
}

impl Panel {
    fn next(self) -> Panel {
        match self {
            Panel::Apps => Panel::Workers,
            Panel::Workers => Panel::Lines,
            Panel::Lines => Panel::Apps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_support::status;

    fn seen() -> Board {
        let mut board = Board::new(None);
        board.handle(Duration::ZERO, Input::Seen(Box::new(status())));
        board
    }

    fn press(board: &mut Board, keys: &[Key]) {
        keys.iter().for_each(|key| board.handle(Duration::ZERO, Input::Key(*key)));
    }

    fn letters(board: &mut Board, text: &str) {
        text.chars().for_each(|letter| press(board, &[Key::Character(letter)]));
    }

    fn name(board: &Board) -> &str {
        board.app().map_or("", |app| &app.name)
    }

    fn last_event(board: &Board) -> String {
        board.events.page(1).first().map(|line| line.text.clone()).unwrap_or_default()
    }

    #[test]
    fn arrows_choose_an_app() {
        let mut board = seen();
        assert_eq!(name(&board), "shop");
        press(&mut board, &[Key::Up]);
        assert_eq!(name(&board), "shop");
        press(&mut board, &[Key::Down, Key::Down, Key::Character('j')]);
        assert_eq!(name(&board), "api");
        press(&mut board, &[Key::Home]);
        assert_eq!(name(&board), "shop");
        press(&mut board, &[Key::Character('G')]);
        assert_eq!(name(&board), "api");
    }

    #[test]
    fn keys_do_nothing_to_an_empty_board() {
        let mut board = Board::new(Some("shop".to_owned()));
        press(
            &mut board,
            &[Key::Down, Key::Tab, Key::End, Key::Tab, Key::PageUp, Key::Enter, Key::Backspace],
        );
        assert!(board.app().is_none() && !board.is_over());
    }

    #[test]
    fn the_chosen_app_stays_chosen_and_one_that_is_gone_does_not() {
        let mut board = Board::new(Some("api".to_owned()));
        let see = |board: &mut Board, status: Status| {
            board.handle(Duration::ZERO, Input::Seen(Box::new(status)));
        };
        see(&mut board, status());
        assert_eq!(name(&board), "api");
        board.handle(
            Duration::ZERO,
            Input::Printed(Line { origin: String::new(), text: "of api".to_owned(), loud: false }),
        );
        let mut reversed = status();
        reversed.apps.reverse();
        see(&mut board, reversed);
        assert_eq!((name(&board), board.log.is_empty()), ("api", false));
        let mut without = status();
        without.apps.truncate(1);
        see(&mut board, without);
        assert_eq!((name(&board), board.log.is_empty()), ("shop", true));
        see(&mut board, Status { apps: Vec::new(), ..status() });
        assert!(board.app().is_none());
    }

    #[test]
    fn tab_moves_the_keys_and_they_scroll_there() {
        let mut board = seen();
        press(&mut board, &[Key::Tab, Key::Down, Key::Down, Key::Down, Key::Down]);
        assert_eq!((board.panel, board.worker), (Panel::Workers, 2));
        press(&mut board, &[Key::Tab]);
        for number in 0..30 {
            let text = number.to_string();
            board.handle(Duration::ZERO, Input::Printed(Line { origin: String::new(), text, loud: false }));
        }
        press(&mut board, &[Key::PageUp, Key::Up]);
        assert_eq!(board.log.behind(), 11);
        press(&mut board, &[Key::End]);
        assert_eq!(board.log.behind(), 0);
        press(&mut board, &[Key::BackTab, Key::BackTab]);
        assert_eq!(board.panel, Panel::Apps);
    }

    #[test]
    fn a_filter_is_typed_and_letters_are_then_no_commands() {
        let mut board = seen();
        letters(&mut board, "/quit?");
        assert_eq!((board.filter.as_str(), board.is_over()), ("quit?", false));
        press(&mut board, &[Key::Backspace, Key::Enter]);
        assert_eq!((board.filter.as_str(), board.mode), ("quit", Mode::Moving));
        press(&mut board, &[Key::Escape]);
        assert_eq!(board.filter, "");
        letters(&mut board, "/x");
        press(&mut board, &[Key::Escape]);
        assert_eq!((board.filter.as_str(), board.mode), ("", Mode::Moving));
        letters(&mut board, "/q");
        press(&mut board, &[Key::Interrupt]);
        assert!(board.is_over());
    }

    #[test]
    fn help_goes_with_any_key() {
        let mut board = seen();
        letters(&mut board, "?");
        assert_eq!(board.mode, Mode::Help);
        letters(&mut board, "q");
        assert!(!board.is_over() && board.mode == Mode::Moving);
        letters(&mut board, "q");
        assert!(board.is_over());
    }

    #[test]
    fn an_instance_that_comes_back_is_told() {
        let see = |board: &mut Board, second, status: Status| {
            board.handle(Duration::from_secs(second), Input::Seen(Box::new(status)));
        };
        let lost = |board: &mut Board, second| {
            board.handle(Duration::from_secs(second), Input::Lost("it is gone".to_owned()));
        };
        let mut board = seen();
        assert!(board.events.is_empty());
        lost(&mut board, 3);
        lost(&mut board, 4);
        assert_eq!(board.link, Link::Lost { since: Duration::from_secs(3), why: "it is gone".to_owned() });
        assert_eq!(name(&board), "shop", "what was seen last stays on the screen");
        see(&mut board, 8, status());
        assert_eq!(
            (last_event(&board).as_str(), board.link.clone()),
            ("the instance answers again after 5 s", Link::Live)
        );
        see(&mut board, 9, Status { daemon_pid: 9, ..status() });
        assert_eq!(last_event(&board), "the daemon was started again (pid 9); workers went on");
        see(&mut board, 10, Status { keeper_pid: 8, daemon_pid: 10, ..status() });
        assert_eq!(last_event(&board), "connected to another instance (pid 8)");
    }
}
