//! Emphasis, with colours or without. Without, states are still words and what is chosen still has a mark.

use ratatui::style::{Color, Modifier, Style as Look};
use stead_control::{AppState, WorkerState};

/// How things stand out.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Style {
    /// Colours may be used.
    pub(in super::super) coloured: bool,
    /// Characters beyond ASCII may be drawn with: the terminal is known to show them.
    pub(in super::super) unicode: bool,
}

impl Style {
    /// A bar across the screen.
    pub(super) fn bar(self) -> Look {
        Look::new().add_modifier(Modifier::REVERSED)
    }

    /// The name of a part of the screen.
    pub(super) fn title(self, has_keys: bool) -> Look {
        let look = Look::new().add_modifier(Modifier::BOLD);
        if has_keys { look.add_modifier(Modifier::REVERSED) } else { look.add_modifier(Modifier::UNDERLINED) }
    }

    /// The heads of a table, times, and what else is beside the point.
    pub(super) fn faint(self) -> Look {
        self.in_colour(Color::DarkGray, Look::new())
    }

    /// A row that is chosen.
    pub(super) fn chosen(self) -> Look {
        Look::new().add_modifier(Modifier::BOLD)
    }

    /// What deserves a second look.
    pub(super) fn loud(self) -> Look {
        self.in_colour(Color::Red, Look::new().add_modifier(Modifier::BOLD))
    }

    pub(super) fn curve(self) -> Look {
        self.in_colour(Color::Cyan, Look::new())
    }

    pub(super) fn app(self, state: AppState) -> Look {
        match state {
            AppState::Running => self.good(),
            AppState::Starting | AppState::Reloading | AppState::Stopping | AppState::Waiting => self.busy(),
            AppState::Failed => self.loud(),
            AppState::Stopped | AppState::Finished => self.faint(),
        }
    }

    pub(super) fn worker(self, state: WorkerState) -> Look {
        match state {
            WorkerState::Ready => self.good(),
            WorkerState::Starting | WorkerState::Draining | WorkerState::Stopping => self.busy(),
            WorkerState::Failed => self.loud(),
            WorkerState::Down => self.faint(),
        }
    }

    /// A text of ours as the terminal can show it.
    pub(super) fn shown(self, text: String) -> String {
        if self.unicode { text } else { text.replace('\u{b5}', "u") }
    }

    fn good(self) -> Look {
        self.in_colour(Color::Green, Look::new())
    }

    fn busy(self) -> Look {
        self.in_colour(Color::Yellow, Look::new())
    }

    /// A colour where there are any, else another look.
    fn in_colour(self, colour: Color, otherwise: Look) -> Look {
        if self.coloured { Look::new().fg(colour) } else { otherwise }
    }
}
