//! Which part of the screen shows what. A small screen shows less, never something unreadable.

use ratatui::layout::{Constraint, Layout, Rect};

/// Fewer columns or rows than this are not drawn on.
pub(super) const SMALLEST: (u16, u16) = (32, 6);

/// From so many columns on, log and events stand side by side.
const BESIDE_COLUMNS: u16 = 120;

/// From so many rows on there is room for details.
const DETAILS_FROM_ROWS: u16 = 32;
const DETAILS_ROWS: u16 = 6;

/// The parts of a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) header: Rect,
    /// Between header and footer.
    pub(super) body: Rect,
    pub(super) apps: Rect,
    pub(super) details: Option<Rect>,
    pub(super) workers: Option<Rect>,
    pub(super) lines: Option<Rect>,
    /// Right of `lines`, on a wide screen.
    pub(super) beside: Option<Rect>,
    pub(super) footer: Rect,
}

/// Divides a screen; nothing when it is too small.
pub(super) fn plan(area: Rect, apps: usize, workers: usize) -> Option<Plan> {
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return None;
    }
    let [header, body, footer] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)]).areas(area);
    // A head above the rows, and a third of the screen at most.
    let apps_rows = rows(apps.max(1)).saturating_add(1).min((body.height / 3).max(2));
    let mut left = body.height - apps_rows;
    let details_rows = if area.height >= DETAILS_FROM_ROWS { DETAILS_ROWS.min(left) } else { 0 };
    left -= details_rows;
    // A title, a head and a row, and something left for the lines; else the lines alone.
    let workers_rows = if left >= 6 { rows(workers.max(1)).saturating_add(2).min(left / 2) } else { 0 };
    let lines_rows = left - workers_rows;
    let [apps, details, workers, lines] = Layout::vertical([
        Constraint::Length(apps_rows),
        Constraint::Length(details_rows),
        Constraint::Length(workers_rows),
        Constraint::Length(lines_rows),
    ])
    .areas(body);
    let some = |area: Rect| (area.height > 0).then_some(area);
    let (lines, beside) = match some(lines) {
        Some(area) if area.width >= BESIDE_COLUMNS => {
            let [left, _, right] =
                Layout::horizontal([Constraint::Fill(3), Constraint::Length(2), Constraint::Fill(2)])
                    .areas(area);
            (Some(left), Some(right))
        }
        lines => (lines, None),
    };
    Some(Plan { header, body, apps, details: some(details), workers: some(workers), lines, beside, footer })
}

fn rows(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_divided_without_gaps() {
        let check = |(width, height), apps, workers, expected: [u16; 4]| {
            let plan = plan(Rect::new(0, 0, width, height), apps, workers).unwrap();
            let height_of = |area: Option<Rect>| area.map_or(0, |area| area.height);
            let rows =
                [plan.apps.height, height_of(plan.details), height_of(plan.workers), height_of(plan.lines)];
            assert_eq!(rows, expected, "{width}x{height}, {apps} apps, {workers} workers");
            assert_eq!(rows.iter().sum::<u16>() + 2, height);
            assert_eq!(plan.beside.is_some(), width >= BESIDE_COLUMNS);
        };
        check((80, 24), 2, 4, [3, 0, 6, 13]);
        check((80, 24), 0, 0, [2, 0, 3, 17]);
        check((80, 24), 500, 500, [7, 0, 7, 8]);
        check((140, 40), 3, 8, [4, 6, 10, 18]);
        check((40, 10), 2, 2, [2, 0, 3, 3]);
        check((32, 6), 2, 2, [2, 0, 0, 2]);
    }

    #[test]
    fn a_tiny_screen_is_not_divided() {
        for (width, height) in [(31, 24), (80, 5), (0, 0), (1, 1)] {
            assert_eq!(plan(Rect::new(0, 0, width, height), 1, 1), None);
        }
    }
}
