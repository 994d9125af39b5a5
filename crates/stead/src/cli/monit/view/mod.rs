//! The board as a screen of any size: draws, decides nothing.
//!
//! | file | holds |
//! |---|---|
//! | `plan.rs` | which part of the screen shows what |
//! | `columns.rs` | tables that lose columns before they lose their form |
//! | `tables.rs` | apps and workers |
//! | `details.rs` | the app that is looked at, with its curves |
//! | `text.rs` | header, footer, lines, help |
//! | `style.rs` | emphasis, with colours or without |
//!
//! Nothing is said by colour alone: what is chosen has a mark, states are words.

mod columns;
mod details;
mod plan;
mod style;
mod tables;
mod text;

#[cfg(test)]
mod tests;

pub(super) use style::Style;

use super::board::{Board, Mode, Topic};
use plan::plan;
use ratatui::Frame;
use text::Pane;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, board: &Board, style: Style) {
    let workers = board.app().map_or(0, |app| app.workers.len());
    let Some(plan) = plan(frame.area(), board.apps().len(), workers) else {
        return text::too_small(frame);
    };
    text::header(frame, plan.header, board, style);
    if board.mode == Mode::Help {
        text::help(frame, plan.body, style);
    } else {
        tables::apps(frame, plan.apps, board, style);
        plan.details.into_iter().for_each(|area| details::draw(frame, area, board, style));
        plan.workers.into_iter().for_each(|area| tables::workers(frame, area, board, style));
        match (plan.lines, plan.beside) {
            (Some(left), Some(right)) => {
                text::lines(frame, left, Pane { board, topic: Topic::Log }, style);
                text::lines(frame, right, Pane { board, topic: Topic::Events }, style);
            }
            (Some(only), None) => text::lines(frame, only, Pane { board, topic: board.topic }, style),
            (None, _) => (),
        }
    }
    text::footer(frame, plan.footer, board, style);
}
