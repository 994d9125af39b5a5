//! What goes into the fleet and what comes out of it.

use std::fmt;

use super::plan::Condition;

/// What happened. Words about applications that are not in the plan are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// It shall run from now on, and what it needs too; or it shall not, which does not touch what needs it. What runs already, or
    /// has completed and is only needed, is left alone; what has ended is started again.
    Wanted {
        /// Which.
        app: String,
        /// Whether it shall run.
        wanted: bool,
    },
    /// It was started before this fleet knew of it, and is wanted; `Ready` and the others follow.
    Found {
        /// Which.
        app: String,
    },
    /// It has a ready worker.
    Ready {
        /// Which.
        app: String,
    },
    /// Its health check has passed; it is ready, too.
    Healthy {
        /// Which.
        app: String,
    },
    /// It has no ready worker any more, but is to have one again.
    Unready {
        /// Which.
        app: String,
    },
    /// It has ended by itself as it should, and will not come back.
    Completed {
        /// Which.
        app: String,
    },
    /// Nothing of it runs any more: it was told to stop, or was given up.
    Down {
        /// Which.
        app: String,
    },
    /// A worker of it died that nobody had told to. Comes after `Unready` or `Down`, if that is so now.
    Crashed {
        /// Which.
        app: String,
    },
}

impl Input {
    pub(super) fn app(&self) -> &str {
        match self {
            Self::Wanted { app, .. }
            | Self::Found { app }
            | Self::Ready { app }
            | Self::Healthy { app }
            | Self::Unready { app }
            | Self::Completed { app }
            | Self::Down { app }
            | Self::Crashed { app } => app,
        }
    }
}

/// What the driver has to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start it: everything that it needs is there.
    Start {
        /// Which.
        app: String,
    },
    /// Stop it and answer with [`Input::Down`]: nothing that needs it and is to stop, too, runs any more.
    Stop {
        /// Which.
        app: String,
    },
    /// Restart it, because another of its group has crashed.
    Restart {
        /// Which.
        app: String,
        /// Who crashed.
        because: String,
    },
    /// Tell that it is wanted and cannot start yet. Told whenever the reasons change.
    Blocked {
        /// Which.
        app: String,
        /// What it waits for; never empty.
        on: Vec<Obstacle>,
    },
}

/// Something that an application waits for. Printed, a sentence without its end: "`db` is not ready yet".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// Who has to be there.
    pub app: String,
    /// How far it has to be.
    pub condition: Condition,
    /// Why it is not.
    pub why: Why,
}

/// Why an application is not as far as another needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is on its way, or waits itself.
    NotYet,
    /// It was stopped and nobody has started it since.
    NotWanted,
    /// It is stopping.
    Stopping,
    /// It has ended by itself, or was given up.
    Ended,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { app, condition, why } = self;
        match (why, condition) {
            (Why::NotYet, Condition::Completed) => write!(f, "`{app}` has not completed yet"),
            (Why::NotYet, Condition::Ready | Condition::Healthy) => {
                write!(f, "`{app}` is not {condition} yet")
            }
            (Why::NotWanted, _) => write!(f, "`{app}` is not started"),
            (Why::Stopping, _) => write!(f, "`{app}` is stopping"),
            (Why::Ended, Condition::Completed) => write!(f, "`{app}` has ended without success"),
            (Why::Ended, Condition::Ready | Condition::Healthy) => write!(f, "`{app}` has ended"),
        }
    }
}
