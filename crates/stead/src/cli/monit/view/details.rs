//! The app that is looked at: what it runs, what became of its requests, and its curves.

use super::super::board::Board;
use super::style::Style;
use crate::cli::format::grouped;
use crate::cli::pool_view::numbers as numbers_of_tasks;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::symbols::bar;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Sparkline};
use stead_control::AppStatus;

/// Bars of a terminal that shows nothing but ASCII.
const ASCII_BARS: bar::Set<'static> = bar::Set {
    full: "#",
    seven_eighths: "#",
    three_quarters: "#",
    five_eighths: "#",
    half: ":",
    three_eighths: ":",
    one_quarter: ".",
    one_eighth: ".",
    empty: " ",
};

/// Columns of the names in front of curves.
const LABEL_COLUMNS: u16 = 12;

/// Numbers over time, oldest first.
struct Curve<'a> {
    name: &'a str,
    points: &'a [u64],
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, board: &Board, style: Style) {
    let Some(app) = board.app() else { return };
    let [head, words, curves] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(2), Constraint::Fill(1)]).areas(area);
    frame.render_widget(super::text::title(&app.name, head.width, false, style), head);
    frame.render_widget(Paragraph::new(vec![Line::raw(program(app)), Line::raw(requests(app))]), words);
    let Some(trend) = board.trend(&app.name) else { return };
    let halves = Layout::horizontal([Constraint::Fill(1), Constraint::Length(2), Constraint::Fill(1)]);
    let [left, _, right] = halves.areas(curves);
    let count = usize::from(left.width.saturating_sub(LABEL_COLUMNS));
    curve(frame, left, &Curve { name: "  req/s", points: &trend.requests(count) }, style);
    curve(frame, right, &Curve { name: "cpu (%)", points: &trend.cpu(count) }, style);
}

fn curve(frame: &mut Frame<'_>, area: Rect, of: &Curve<'_>, style: Style) {
    let Curve { name, points } = *of;
    let [label, curve] =
        Layout::horizontal([Constraint::Length(LABEL_COLUMNS), Constraint::Fill(1)]).areas(area);
    let most = points.iter().copied().max().unwrap_or(0);
    let indent = name.len() - name.trim_start().len();
    let text = vec![
        Line::raw(name.to_owned()),
        Line::styled(format!("{:indent$}max {}", "", grouped(most)), style.faint()),
    ];
    frame.render_widget(Paragraph::new(text), label);
    let bars = if style.unicode { bar::NINE_LEVELS } else { ASCII_BARS };
    frame.render_widget(Sparkline::default().data(points).bar_set(bars).style(style.curve()), curve);
}

fn program(app: &AppStatus) -> String {
    let mut text = format!("  {}", app.command);
    if !app.directory.to_string().is_empty() {
        text.push_str(&format!("   in {}", app.directory));
    }
    let listens: Vec<String> =
        app.listens.iter().map(|listen| format!("{} ({})", listen.address, listen.mode.as_str())).collect();
    if !listens.is_empty() {
        text.push_str(&format!("   on {}", listens.join(", ")));
    }
    text
}

fn requests(app: &AppStatus) -> String {
    let counters = &app.counters;
    let numbers = [
        ("requests", counters.requests),
        ("in flight", counters.in_flight),
        ("waiting", counters.waiting),
        ("held", counters.held),
        ("replayed", counters.replayed),
        ("refused", counters.refused),
        ("failed", counters.failed),
        ("poisoned", counters.poisoned),
        ("connections", counters.connections),
    ];
    let tasks = app.tasks.as_ref().map(numbers_of_tasks);
    let numbers = tasks.as_ref().map_or(numbers.as_slice(), |tasks| tasks.as_slice());
    let parts: Vec<String> =
        numbers.iter().map(|(name, number)| format!("{name} {}", grouped(*number))).collect();
    format!("  {}", parts.join("   "))
}
