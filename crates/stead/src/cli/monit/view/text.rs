//! Header, footer, lines of logs and events, and help.

use super::super::board::{Board, Link, Mode, Panel, Topic};
use super::columns::shorten;
use super::plan::SMALLEST;
use super::style::Style;
use crate::cli::format::age;
use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use stead_control::Status;

const KEYS: [(&str, &str); 9] = [
    ("up, down", "another app; in the other panels: scroll"),
    ("tab", "give the keys to the next panel (its title is in brackets)"),
    ("page up, page down", "ten at once"),
    ("home, end", "the first; the last, and follow"),
    ("l, e", "the log of the app; events of all apps"),
    ("/", "show only lines with a text; Enter keeps it, Esc ends it"),
    ("ctrl-l", "draw everything again"),
    ("ctrl-z", "leave for a while; `fg` comes back"),
    ("q, ctrl-c", "quit; what runs goes on"),
];

/// One line about the instance.
pub(super) fn header(frame: &mut Frame<'_>, area: Rect, board: &Board, style: Style) {
    let width = usize::from(area.width);
    let right = match &board.link {
        Link::New => "asking ".to_owned(),
        Link::Live => "live ".to_owned(),
        Link::Lost { since, why } => {
            let text = format!("NO ANSWER for {}: {why}", age(board.now.saturating_sub(*since)));
            shorten(&text, width.saturating_sub(8)) + " "
        }
    };
    let room = width.saturating_sub(Span::raw(&*right).width() + 1);
    let left = shorten(&board.status.as_ref().map_or_else(|| " stead".to_owned(), instance), room);
    let space = width.saturating_sub(Span::raw(&*left).width() + Span::raw(&*right).width());
    let line = Line::from(format!("{left}{}{right}", " ".repeat(space)));
    frame.render_widget(line.style(style.bar()), area);
}

fn instance(status: &Status) -> String {
    let ready: u32 = status.apps.iter().map(|app| app.instances.ready).sum();
    let wanted: u32 = status.apps.iter().map(|app| app.instances.wanted).sum();
    let place = if status.background { "background" } else { "terminal" };
    let mut text = format!(
        " stead {}  {place} (pid {})  up {}  {ready}/{wanted} workers ready",
        status.version,
        status.keeper_pid,
        age(status.uptime)
    );
    if status.daemon_starts > 1 {
        text.push_str(&format!("  daemon started {} times", status.daemon_starts));
    }
    text
}

/// Which keys there are, or what is being typed.
pub(super) fn footer(frame: &mut Frame<'_>, area: Rect, board: &Board, style: Style) {
    let text = match (board.mode, board.filter.as_str()) {
        (Mode::Typing, filter) => format!(" /{filter}_   Enter keeps it, Esc ends it"),
        (Mode::Help, _) => " any key goes back".to_owned(),
        (Mode::Moving, "") => " q quit  up/down app  tab panel  / filter  l log  e events  ? help".to_owned(),
        (Mode::Moving, filter) => format!(" only lines with `{filter}`: Esc shows all  q quit  ? help"),
    };
    let text = shorten(&text, area.width.into());
    let space = usize::from(area.width).saturating_sub(Span::raw(&*text).width());
    frame.render_widget(Line::from(text + &" ".repeat(space)).style(style.bar()), area);
}

/// The title of a part of the screen; in brackets when keys go there.
pub(super) fn title(text: &str, width: u16, has_keys: bool, style: Style) -> Line<'static> {
    let text = if has_keys { format!("[ {text} ]") } else { format!("  {text}") };
    let text = shorten(&text, width.into());
    let space = usize::from(width).saturating_sub(Span::raw(&*text).width());
    Line::styled(text + &" ".repeat(space), style.title(has_keys))
}

/// What there is to read: one of the topics of a board.
#[derive(Clone, Copy)]
pub(super) struct Pane<'a> {
    pub(super) board: &'a Board,
    pub(super) topic: Topic,
}

/// The log of the app, or events.
pub(super) fn lines(frame: &mut Frame<'_>, area: Rect, pane: Pane<'_>, style: Style) {
    let Pane { board, topic } = pane;
    let (name, lines) = match (topic, board.app()) {
        (Topic::Log, Some(app)) => (format!("log of {}", app.name), &board.log),
        (Topic::Log, None) => ("log".to_owned(), &board.log),
        (Topic::Events, _) => ("events".to_owned(), &board.events),
    };
    let rows = usize::from(area.height.saturating_sub(1));
    let mut heading = name;
    match (lines.behind(), board.filter.as_str()) {
        (0, "") => (),
        (0, filter) => heading.push_str(&format!(", with `{filter}`")),
        (behind, _) => heading.push_str(&format!(", {behind} newer lines below")),
    }
    let has_keys = board.panel == Panel::Lines && board.topic == topic;
    let mut text = vec![title(&heading, area.width, has_keys, style)];
    let nothing = match topic {
        Topic::Log => board.unreadable.as_deref().unwrap_or("nothing printed yet"),
        Topic::Events => "nothing happened yet",
    };
    if lines.is_empty() {
        text.push(Line::raw(format!("  {nothing}")));
    }
    for line in lines.page(rows) {
        let origin = Span::styled(format!("  {} ", line.origin), style.faint());
        let look = if line.loud { style.loud() } else { ratatui::style::Style::new() };
        text.push(Line::from(vec![origin, Span::styled(line.text.clone(), look)]));
    }
    frame.render_widget(Paragraph::new(text), area);
}

/// What each key does.
pub(super) fn help(frame: &mut Frame<'_>, area: Rect, style: Style) {
    let mut text = vec![title("keys", area.width, true, style), Line::raw("")];
    text.extend(KEYS.iter().map(|(keys, meaning)| Line::raw(format!("  {keys:<20}{meaning}"))));
    text.push(Line::raw(""));
    text.push(Line::raw(
        "  req/s, p50 and p99 are of the last ten seconds; cpu is of one core; times are UTC.",
    ));
    frame.render_widget(Paragraph::new(text), area);
}

/// What can be said where there is no room.
pub(super) fn too_small(frame: &mut Frame<'_>) {
    let (width, height) = SMALLEST;
    let text = Paragraph::new(format!("too small: needs {width} x {height}")).alignment(Alignment::Left);
    frame.render_widget(text, frame.area());
}
