//! The table of `stead status`. A narrow terminal gets fewer columns, never broken lines.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use std::time::Duration;
use stead_control::{AppStatus, ExitReport, Latency, Status, WorkerStatus};

/// A column: its head, whether it holds numbers, and how soon it is given up (higher goes first, 0 stays).
struct Column {
    head: &'static str,
    number: bool,
    expendable: u8,
}

const APP_COLUMNS: [Column; 13] = [
    words("app", 0),
    words("listens on", 0),
    words("mode", 7),
    number("ready", 0),
    number("requests", 0),
    number("in flight", 3),
    number("waiting", 5),
    number("held", 6),
    number("replayed", 4),
    number("poisoned", 8),
    number("refused", 7),
    number("failed", 0),
    number("p50 / p99", 2),
];

const WORKER_COLUMNS: [Column; 10] = [
    words("worker", 0),
    number("pid", 0),
    words("state", 0),
    number("uptime", 1),
    number("memory", 5),
    number("requests", 2),
    number("in flight", 3),
    number("replayed", 6),
    number("restarts", 0),
    words("last exit", 4),
];

const fn words(head: &'static str, expendable: u8) -> Column {
    Column { head, number: false, expendable }
}

const fn number(head: &'static str, expendable: u8) -> Column {
    Column { head, number: true, expendable }
}

/// Everything about an instance, at most this many columns wide where that is possible.
pub(super) fn draw(status: &Status, columns: u16) -> String {
    let mut text = format!("stead {}, pid {}, up {}", status.version, status.keeper_pid, age(status.uptime));
    if status.daemon_starts > 1 {
        text.push_str(&format!(", daemon started {} times", status.daemon_starts));
    }
    let apps: Vec<_> = status.apps.iter().map(app_cells).collect();
    text.push_str(&format!("\n\n{}\n", table(&APP_COLUMNS, &apps, columns)));
    for app in &status.apps {
        if let Some(reload) = app.reload {
            text.push_str(&format!(
                "\n{}: reloading, {} of {} workers replaced\n",
                app.name, reload.done, reload.of
            ));
        }
    }
    let workers: Vec<_> = status
        .apps
        .iter()
        .flat_map(|app| app.workers.iter().map(|worker| worker_cells(app, worker)))
        .collect();
    if !workers.is_empty() {
        text.push_str(&format!("\n{}\n", table(&WORKER_COLUMNS, &workers, columns)));
    }
    text
}

fn app_cells(app: &AppStatus) -> [String; 13] {
    let counters = &app.counters;
    let listens: Vec<&str> = app.listens.iter().map(|listen| listen.address.as_str()).collect();
    [
        app.name.clone(),
        if listens.is_empty() { none() } else { listens.join(", ") },
        mode(app),
        format!("{}/{}", app.instances.ready, app.instances.wanted),
        grouped(counters.requests),
        grouped(counters.in_flight),
        grouped(counters.waiting),
        grouped(counters.held),
        grouped(counters.replayed),
        grouped(counters.poisoned),
        grouped(counters.refused),
        grouped(counters.failed),
        latency(&app.latency),
    ]
}

fn worker_cells(app: &AppStatus, worker: &WorkerStatus) -> [String; 10] {
    [
        format!("{}.{}", app.name, worker.slot),
        worker.pid.map_or_else(none, |pid| pid.to_string()),
        state(worker),
        worker.uptime.map_or_else(none, age),
        worker.memory_bytes.map_or_else(none, memory),
        grouped(worker.requests),
        grouped(worker.in_flight),
        grouped(worker.replayed),
        grouped(worker.restarts),
        worker.last_exit.as_ref().map_or_else(none, exit),
    ]
}

/// Draws with all columns, then with fewer until it fits.
fn table<const N: usize>(columns: &[Column; N], rows: &[[String; N]], width: u16) -> String {
    let mut kept: Vec<usize> = (0..N).collect();
    loop {
        let text = draw_columns(columns, rows, &kept);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        let first_to_go = kept.iter().copied().max_by_key(|&index| columns[index].expendable);
        match first_to_go.filter(|&index| columns[index].expendable > 0 && widest > usize::from(width)) {
            Some(index) => kept.retain(|&other| other != index),
            None => return text,
        }
    }
}

fn draw_columns<const N: usize>(columns: &[Column; N], rows: &[[String; N]], kept: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(kept.iter().map(|&index| columns[index].head));
    for row in rows {
        table.add_row(kept.iter().map(|&index| &row[index]));
    }
    for (column, &index) in table.column_iter_mut().zip(kept) {
        let alignment = if columns[index].number { CellAlignment::Right } else { CellAlignment::Left };
        column.set_padding((0, 2)).set_cell_alignment(alignment);
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn none() -> String {
    "-".to_owned()
}

/// What is really done with connections, when all ports agree; else what is configured.
fn mode(app: &AppStatus) -> String {
    let first = app.listens.first().map_or(app.mode, |listen| listen.mode);
    let mode = if app.listens.iter().all(|listen| listen.mode == first) { first } else { app.mode };
    mode.as_str().to_owned()
}

fn state(worker: &WorkerStatus) -> String {
    match worker.retry_in {
        Some(wait) => format!("{}, retry in {}", worker.state.as_str(), age(wait)),
        None => worker.state.as_str().to_owned(),
    }
}

fn exit(exit: &ExitReport) -> String {
    match (exit.expected, exit.out_of_memory, exit.code, exit.signal) {
        (true, ..) => "as asked".to_owned(),
        (_, true, ..) => "out of memory".to_owned(),
        (_, _, Some(code), _) => format!("code {code}"),
        (_, _, None, Some(signal)) => {
            signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned)
        }
        (_, _, None, None) => "unknown".to_owned(),
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    const NAMES: [(i32, &str); 12] = [
        (1, "SIGHUP"),
        (2, "SIGINT"),
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (6, "SIGABRT"),
        (7, "SIGBUS"),
        (8, "SIGFPE"),
        (9, "SIGKILL"),
        (11, "SIGSEGV"),
        (13, "SIGPIPE"),
        (14, "SIGALRM"),
        (15, "SIGTERM"),
    ];
    NAMES.iter().find(|(number, _)| *number == signal).map(|(_, name)| *name)
}

fn latency(latency: &Latency) -> String {
    match (latency.p50, latency.p99) {
        (Some(p50), Some(p99)) => format!("{} / {}", short(p50), short(p99)),
        _ => none(),
    }
}

/// Three digits are enough: `850 µs`, `1.23 ms`, `12.3 ms`, `1.50 s`.
fn short(duration: Duration) -> String {
    let (value, unit) = match duration.as_secs_f64() {
        seconds if seconds < 0.001 => (seconds * 1e6, "µs"),
        seconds if seconds < 1.0 => (seconds * 1e3, "ms"),
        seconds => (seconds, "s"),
    };
    let digits = match value {
        _ if unit == "µs" => 0,
        value if value < 10.0 => 2,
        value if value < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

/// The two largest units: `45s`, `3m 12s`, `2h 5m`, `12d 3h`.
fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

fn memory(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes < 1024.0 { format!("{mebibytes:.1} MiB") } else { format!("{:.2} GiB", mebibytes / 1024.0) }
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_support::status;

    #[test]
    fn the_table_fits_the_terminal() {
        for columns in [80, 140] {
            let text = draw(&status(), columns);
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(columns)), "{text}");
            insta::assert_snapshot!(format!("status_{columns}"), text);
        }
    }

    #[test]
    fn numbers_are_written_for_people() {
        let check = |actual: String, expected: &str| assert_eq!(actual, expected);
        check(grouped(0), "0");
        check(grouped(999), "999");
        check(grouped(1_234_567), "1,234,567");
        check(age(Duration::from_secs(59)), "59s");
        check(age(Duration::from_secs(3_725)), "1h 2m");
        check(age(Duration::from_secs(90_000)), "1d 1h");
        check(short(Duration::from_micros(850)), "850 µs");
        check(short(Duration::from_micros(1_234)), "1.23 ms");
        check(short(Duration::from_micros(12_345)), "12.3 ms");
        check(short(Duration::from_millis(1_500)), "1.50 s");
        check(memory(52_428_800), "50.0 MiB");
        check(memory(3 << 30), "3.00 GiB");
    }

    #[test]
    fn exits_are_named() {
        let check = |exit: ExitReport, expected: &str| assert_eq!(super::exit(&exit), expected);
        let none = ExitReport { code: None, signal: None, out_of_memory: false, expected: false };
        check(ExitReport { code: Some(1), ..none }, "code 1");
        check(ExitReport { signal: Some(9), ..none }, "SIGKILL");
        check(ExitReport { signal: Some(9), out_of_memory: true, ..none }, "out of memory");
        check(ExitReport { signal: Some(35), ..none }, "signal 35");
        check(ExitReport { code: Some(0), expected: true, ..none }, "as asked");
        check(none, "unknown");
    }
}
