//! What outlives the process that keeps the switchboard, as a list of notes: read in order they lead to the same values, roles and
//! versions. The same form serves for the whole and for each change.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{AppId, Member, WorkerId};

/// Something to remember.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// The last version of an app's values, where no value has it.
    Version {
        /// Whose.
        app: AppId,
        /// No version up to this one is given again.
        version: u64,
    },
    /// A shared value was set, or is gone.
    Value {
        /// Whose.
        app: AppId,
        /// Its name.
        name: String,
        /// Its version.
        version: u64,
        /// Nothing: it is gone. (An option in an option of JSON would lose a `null`.)
        data: Vec<Value>,
    },
    /// Who leads.
    Leader {
        /// Which app.
        app: AppId,
        /// The highest term there was.
        term: u64,
        /// Who has the role, and whether it is letting go of it.
        holder: Option<(WorkerId, bool)>,
    },
    /// Who wants to lead, or no longer.
    Candidate {
        /// The worker.
        member: Member,
        /// Whether it does.
        candidate: bool,
    },
    /// It understands envelopes: it has sent one.
    Speaks {
        /// The worker.
        member: Member,
    },
    /// A worker is gone.
    Gone {
        /// The worker.
        member: Member,
    },
    /// An app is gone, and its number is not used again.
    Forgotten {
        /// Which.
        app: AppId,
    },
    /// The process ended in order; what was under way in it.
    HandedOver {
        /// Messages that were taken and could not be delivered any more, in order.
        parked: Vec<(Member, Value)>,
        /// Questions that wait for an answer.
        requests: Vec<Waiting>,
    },
}

/// A question that waits for its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its number.
    pub token: (u32, u64),
    /// Who asked, and by what the asker knows it.
    pub asker: (Member, Value),
    /// Who was asked.
    pub receiver: Member,
    /// How many milliseconds it still has.
    pub left: u64,
}
