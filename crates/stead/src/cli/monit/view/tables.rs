//! The tables of apps and of the workers of one.

use super::super::board::{Board, Panel};
use super::columns::{Column, Fitted, fit, number, words};
use super::style::Style;
use crate::cli::format::{age, cpu, exit, grouped, memory, rate, short};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style as Look;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use stead_control::{AppStatus, WorkerStatus};

const APP_COLUMNS: [Column; 12] = [
    words("  app", 12, 0),
    number("id", 3, 6),
    words("state", 9, 0),
    number("ready", 5, 0),
    number("cpu", 5, 0),
    number("memory", 9, 3),
    number("req/s", 7, 0),
    number("p50", 7, 4),
    number("p99", 7, 2),
    number("failed", 6, 5),
    number("waiting", 7, 7),
    number("restarts", 8, 1),
];

const APP_STATE: usize = 2;

const WORKER_COLUMNS: [Column; 11] = [
    words("  worker", 12, 0),
    number("pid", 7, 1),
    words("state", 9, 0),
    number("uptime", 7, 3),
    number("cpu", 5, 0),
    number("memory", 9, 2),
    number("requests", 9, 6),
    number("in flight", 9, 7),
    number("restarts", 8, 4),
    words("health", 7, 8),
    words("last exit", 13, 5),
];

const WORKER_STATE: usize = 2;

/// Of a pool: what others count in requests.
const POOL_WORKER_COLUMNS: [Column; 11] = {
    let [name, pid, state, uptime, cpu, memory, _, _, restarts, health, last_exit] = WORKER_COLUMNS;
    let (done, running) = (number("done", 9, 6), number("running", 9, 7));
    [name, pid, state, uptime, cpu, memory, done, running, restarts, health, last_exit]
};

/// All apps, as many as fit around the one that is looked at.
pub(super) fn apps(frame: &mut Frame<'_>, area: Rect, board: &Board, style: Style) {
    let fitted = fit(&APP_COLUMNS, area.width);
    let mut lines = vec![Line::styled(fitted.head(), style.title(board.panel == Panel::Apps))];
    if board.apps().is_empty() {
        let text = match board.status {
            Some(_) => "  nothing runs: `stead start server.js` starts something",
            None => "  waiting for the instance to answer",
        };
        lines.push(Line::raw(text));
    }
    let rows = usize::from(area.height.saturating_sub(1));
    let chosen = board.index();
    let first = (chosen + 1).saturating_sub(rows);
    for (index, app) in board.apps().iter().enumerate().skip(first).take(rows) {
        let mark = if index == chosen { ">" } else { " " };
        let look = if index == chosen { style.chosen() } else { Look::new() };
        let cells = app_cells(app, mark, board, style);
        lines.push(row(&fitted, &cells, (APP_STATE, style.app(app.state))).style(look));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// The workers of the app that is looked at, from the first that was scrolled to.
pub(super) fn workers(frame: &mut Frame<'_>, area: Rect, board: &Board, style: Style) {
    let Some(app) = board.app() else { return };
    let columns = if app.tasks.is_some() { &POOL_WORKER_COLUMNS } else { &WORKER_COLUMNS };
    let fitted = fit(columns, area.width);
    let rows = usize::from(area.height.saturating_sub(2));
    let count = app.workers.len();
    let first = board.worker.min(count.saturating_sub(rows));
    let shown = (count - first).min(rows);
    let mut title = format!("workers of {}", app.name);
    if shown < count {
        title.push_str(&format!(" ({}-{} of {count})", first + 1, first + shown));
    }
    let has_keys = board.panel == Panel::Workers;
    let mut lines = vec![
        super::text::title(&title, area.width, has_keys, style),
        Line::styled(fitted.head(), style.faint()),
    ];
    for worker in app.workers.iter().skip(first).take(rows) {
        let cells = worker_cells(app, worker);
        lines.push(row(&fitted, &cells, (WORKER_STATE, style.worker(worker.state))));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// A row of which one cell has a look of its own.
fn row(fitted: &Fitted, cells: &[String], (special, look): (usize, Look)) -> Line<'static> {
    let mut spans = Vec::new();
    for (index, cell) in fitted.cells(cells) {
        if !spans.is_empty() {
            spans.push(Span::raw(" "));
        }
        spans.push(if index == special { Span::styled(cell, look) } else { Span::raw(cell) });
    }
    Line::from(spans)
}

fn app_cells(app: &AppStatus, mark: &str, board: &Board, style: Style) -> [String; 12] {
    let trend = board.trend(&app.name);
    let latency = |share| {
        trend.and_then(|trend| trend.latency(share)).map_or_else(none, |time| style.shown(short(time)))
    };
    let requests = trend.and_then(|trend| trend.rate()).unwrap_or(app.requests_per_second);
    [
        format!("{mark} {}", app.name),
        app.id.to_string(),
        app.state.as_str().to_owned(),
        format!("{}/{}", app.instances.ready, app.instances.wanted),
        cpu(app.cpu),
        memory(app.memory_bytes),
        rate(requests),
        latency(0.5),
        latency(0.99),
        grouped(app.counters.failed),
        grouped(app.counters.waiting),
        grouped(app.restarts),
    ]
}

fn worker_cells(app: &AppStatus, worker: &WorkerStatus) -> [String; 11] {
    [
        format!("  {}.{}", app.name, worker.slot),
        worker.pid.map_or_else(none, |pid| pid.to_string()),
        worker.state.as_str().to_owned(),
        match (worker.uptime, worker.retry_in) {
            (Some(uptime), _) => age(uptime),
            // Down: when it is tried again.
            (None, Some(wait)) => format!("in {}", age(wait)),
            (None, None) => none(),
        },
        cpu(worker.cpu),
        worker.memory_bytes.map_or_else(none, memory),
        grouped(worker.requests),
        grouped(worker.in_flight),
        grouped(worker.restarts),
        worker.healthy.map_or_else(none, |healthy| if healthy { "good" } else { "failing" }.to_owned()),
        worker.last_exit.as_ref().map_or_else(none, exit),
    ]
}

fn none() -> String {
    "-".to_owned()
}
