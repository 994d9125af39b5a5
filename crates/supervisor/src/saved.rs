//! An application on paper: what one process writes down so that another can go on.
//!
//! The states of the machine themselves are written, not copies of them; whoever changes one changes the format, whose number the
//! binary keeps. Times count from the beginning of the application.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::moment::Moment;
use crate::recycle::Recycles;
use crate::reload::{Reloads, Slots};
use crate::snapshot::Phase;
use crate::turn::Memory;

/// What [`App::save`](crate::App::save) gives and [`App::resume`](crate::App::resume) takes; written and read with serde.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedApp {
    pub(crate) at: Moment,
    pub(crate) phase: Phase,
    pub(crate) slots: Slots,
    pub(crate) reloads: Reloads,
    pub(crate) recycles: Recycles,
    pub(crate) memory: Memory,
    pub(crate) untold: Vec<Event>,
}
