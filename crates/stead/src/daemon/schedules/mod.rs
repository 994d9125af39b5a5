//! What an app does by the clock, `[app.NAME.schedule.NAME]`: once for the app, while it is wanted.
//!
//! | file | does |
//! |---|---|
//! | `plan.rs` | decides when: due, missed, left out, caught up |
//! | `follow.rs` | follows the clock, performs what is decided, and tells it |
//! | `job.rs` | one run of a command, which outlives the daemon |
//! | `task.rs` | one run that is a task of a pool, which does it whatever becomes of the daemon |
//! | `record.rs` | what of a schedule outlives everything |
//! | `resume.rs` | what of it goes to the next daemon |

mod follow;
mod job;
mod plan;
mod record;
mod resume;
mod task;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use stead_control::{Home, ScheduleRun};
use tokio::task::JoinHandle;

use crate::config::ScheduleSettings;
use job::Job;
use plan::Plan;
use record::Store;
use task::PoolTask;

pub(super) use resume::SavedSchedule;

/// All of an app.
#[derive(Default)]
pub(super) struct Schedules {
    all: BTreeMap<String, Scheduled>,
    /// The app is wanted.
    on: bool,
    store: Option<Store>,
}

struct Scheduled {
    settings: ScheduleSettings,
    plan: Plan,
    last: Option<ScheduleRun>,
    run: Option<Run>,
    alarm: Option<Alarm>,
}

/// What is under way.
enum Run {
    Command(Job),
    /// A message, which waits for a worker that can take it.
    Message {
        until: Instant,
    },
    /// A task, of which a pool tells the end.
    Task(PoolTask),
}

/// Another for each daemon, so that not all machines take the same share of a jitter.
fn seed() -> u64 {
    RandomState::new().hash_one(())
}

/// Looks at a schedule again; until it is dropped.
struct Alarm(JoinHandle<()>);

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Schedules {
    /// The app is wanted.
    pub(super) fn are_followed(&self) -> bool {
        self.on
    }

    /// The app is gone for good: another one of its name has missed nothing.
    pub(super) async fn forget(&mut self, app: &str) {
        let store = self.store.take().unwrap_or_else(|| Store::open(Home::here().schedules(app)));
        store.clear().await;
    }
}
