//! What all records come to: each task as it stood when the last record was written.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::record::{BadRecord, Record};
use crate::event::TaskId;
use crate::saved::Saved;

/// The tasks that a journal tells of.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By number; with the number of its end among all ends, because ended tasks come back in that order.
    tasks: BTreeMap<TaskId, (u64, Saved)>,
    ends: u64,
    last: TaskId,
}

impl Ledger {
    /// Adds the next record.
    ///
    /// # Errors
    ///
    /// It cannot be understood.
    pub fn add(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        self.apply(Record::decode(record)?);
        Ok(())
    }

    /// Adds the next record. One about a task that is not known is without meaning: what it told of is forgotten.
    pub fn apply(&mut self, record: Record) {
        self.last = self.last.max(record.task());
        match record {
            Record::Task(saved) => {
                self.ends += 1;
                self.tasks.insert(saved.id, (self.ends, *saved));
            }
            Record::Retry(retry) => {
                if let Some((_, saved)) = self.tasks.get_mut(&retry.task) {
                    (saved.attempts, saved.failures, saved.deaths) =
                        (retry.attempts, retry.failures, retry.deaths);
                }
            }
            Record::Finished { task, outcome, set_aside } => {
                self.ends += 1;
                if let Some((end, saved)) = self.tasks.get_mut(&task) {
                    (*end, saved.outcome, saved.set_aside) = (self.ends, Some(outcome), set_aside);
                    if !set_aside {
                        saved.task.input = Bytes::new();
                    }
                }
            }
            Record::Revived(task) => {
                if let Some((_, saved)) = self.tasks.get_mut(&task) {
                    (saved.outcome, saved.set_aside, saved.failures, saved.deaths) = (None, false, 0, 0);
                }
            }
            Record::Dropped(task) => drop(self.tasks.remove(&task)),
        }
    }

    /// Number of the last task that is told of, for [`Pool::begin_after`](crate::Pool::begin_after).
    #[must_use]
    pub fn last(&self) -> TaskId {
        self.last
    }

    /// The tasks in the order in which [`Pool::restore`](crate::Pool::restore) wants them: ended ones as they ended, then the others as
    /// they were accepted.
    #[must_use]
    pub fn into_tasks(self) -> Vec<Saved> {
        let mut tasks: Vec<(u64, Saved)> = self.tasks.into_values().collect();
        tasks.sort_by_key(|(end, saved)| match saved.outcome {
            Some(_) => (0, *end),
            None => (1, saved.id),
        });
        tasks.into_iter().map(|(_, saved)| saved).collect()
    }
}
