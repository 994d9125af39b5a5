//! Who leads an app: one ready candidate, never two at once.
//!
//! Terms only rise. A role that goes from a living worker is given back first: the worker is told, and must say that it has let go
//! of it, or die, before anybody else is told. So two never hold it at once, however slow the first one is.
//!
//! ```text
//!             candidate is ready          it leaves or withdraws           it says so, or is dead
//! nobody -------------------------> leads --------------------> releases -----------------------> nobody
//! ```

use crate::WorkerId;

/// The machine of one app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leader {
    term: u64,
    holder: Option<Holder>,
    /// In the order in which they came.
    candidates: Vec<WorkerId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holder {
    worker: WorkerId,
    releasing: bool,
}

/// How a worker is, as far as the role is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can lead.
    Ready,
    /// It cannot begin to lead.
    NotReady,
    /// It is about to go, and must let go of the role.
    Leaving,
}

/// What a candidate is to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// It leads.
    Leads {
        /// Its number.
        term: u64,
    },
    /// It has to let go, and say so.
    Releases {
        /// Of the term that ends.
        term: u64,
    },
    /// Somebody else leads.
    Follows {
        /// The other's.
        term: u64,
        /// The other.
        who: WorkerId,
    },
}

impl Leader {
    /// Goes on where another process stopped.
    pub fn resume(&mut self, term: u64, holder: Option<(WorkerId, bool)>) {
        self.term = term;
        self.holder = holder.map(|(worker, releasing)| Holder { worker, releasing });
    }

    /// The highest term there was.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// Who has the role, and whether it is letting go of it.
    pub fn holder(&self) -> Option<(WorkerId, bool)> {
        self.holder.map(|holder| (holder.worker, holder.releasing))
    }

    /// Those who want to lead.
    pub fn candidates(&self) -> &[WorkerId] {
        &self.candidates
    }

    /// The worker wants to lead, or no longer. Returns whether that is new.
    pub fn candidate(&mut self, worker: WorkerId, candidate: bool) -> bool {
        if self.candidates.contains(&worker) == candidate {
            return false;
        }
        match candidate {
            true => self.candidates.push(worker),
            false => self.candidates.retain(|other| *other != worker),
        }
        true
    }

    /// The worker has let go of the role. One that was not asked to does not want it any more. Returns false if it does not hold
    /// it in this term.
    pub fn released(&mut self, worker: WorkerId, term: u64) -> bool {
        match self.holder {
            Some(holder) if holder.worker == worker && term == self.term => {
                if !holder.releasing {
                    self.candidate(worker, false);
                }
                self.holder = None;
                true
            }
            _ => false,
        }
    }

    /// The worker is dead.
    pub fn gone(&mut self, worker: WorkerId) {
        self.candidate(worker, false);
        self.holder = self.holder.filter(|holder| holder.worker != worker);
    }

    /// Lets follow what must follow, with every candidate's and the holder's standing. Returns whether the role has moved on.
    pub fn settle(&mut self, standing: impl Fn(WorkerId) -> Standing) -> bool {
        match &mut self.holder {
            Some(holder) if holder.releasing => false,
            Some(holder) => {
                let wants = self.candidates.contains(&holder.worker);
                holder.releasing = !wants || standing(holder.worker) == Standing::Leaving;
                holder.releasing
            }
            None => {
                // The youngest, which will be there longest: a reload, which ends old ones one by one, moves the role once.
                let ready = |worker: &WorkerId| standing(*worker) == Standing::Ready;
                let next = self.candidates.iter().copied().filter(ready).max();
                self.holder = next.map(|worker| Holder { worker, releasing: false });
                self.term += u64::from(self.holder.is_some());
                self.holder.is_some()
            }
        }
    }

    /// What this worker is to know; nothing, if it has nothing to do with it, or while nobody leads.
    pub fn view(&self, worker: WorkerId) -> Option<View> {
        let Holder { worker: who, releasing } = self.holder?;
        let term = self.term;
        match (who == worker, releasing) {
            (true, false) => Some(View::Leads { term }),
            (true, true) => Some(View::Releases { term }),
            (false, _) => self.candidates.contains(&worker).then_some(View::Follows { term, who }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_ready(_: WorkerId) -> Standing {
        Standing::Ready
    }

    #[test]
    fn the_youngest_ready_candidate_leads() {
        let mut leader = Leader::default();
        leader.candidate(1, true);
        leader.candidate(2, true);
        leader.candidate(3, true);
        assert!(!leader.settle(|_| Standing::NotReady));
        assert!(leader.settle(|worker| if worker == 2 { Standing::Ready } else { Standing::NotReady }));
        assert_eq!(leader.view(2), Some(View::Leads { term: 1 }));
        assert_eq!(leader.view(1), Some(View::Follows { term: 1, who: 2 }));
        assert_eq!(leader.view(4), None, "no candidate");
        assert!(!leader.settle(all_ready), "whoever leads goes on");
        leader.gone(2);
        assert!(leader.settle(all_ready));
        assert_eq!(leader.view(3), Some(View::Leads { term: 2 }));
    }

    #[test]
    fn a_living_worker_gives_the_role_back_before_another_gets_it() {
        let mut leader = Leader::default();
        leader.candidate(1, true);
        leader.settle(all_ready);
        leader.candidate(2, true);
        let leaving = |worker| if worker == 1 { Standing::Leaving } else { Standing::Ready };
        assert!(leader.settle(leaving));
        assert_eq!(leader.view(1), Some(View::Releases { term: 1 }));
        assert!(!leader.settle(leaving), "it takes its time");
        assert!(!leader.released(2, 1), "only the holder can");
        assert!(!leader.released(1, 0), "an answer to an older question");
        assert!(leader.released(1, 1));
        assert!(leader.settle(leaving));
        assert_eq!(leader.view(2), Some(View::Leads { term: 2 }));
    }

    #[test]
    fn death_ends_a_term_at_once() {
        let mut leader = Leader::default();
        leader.candidate(1, true);
        leader.settle(all_ready);
        leader.candidate(2, true);
        leader.gone(1);
        assert!(leader.settle(all_ready));
        assert_eq!((leader.holder(), leader.term()), (Some((2, false)), 2));
    }

    #[test]
    fn whoever_withdraws_releases_first_and_whoever_releases_unasked_withdraws() {
        let mut leader = Leader::default();
        leader.candidate(1, true);
        leader.settle(all_ready);
        leader.candidate(1, false);
        leader.settle(all_ready);
        assert_eq!(leader.view(1), Some(View::Releases { term: 1 }));
        leader.candidate(1, true);
        assert!(leader.released(1, 1));
        leader.settle(all_ready);
        assert_eq!(leader.view(1), Some(View::Leads { term: 2 }), "it had changed its mind");
        assert!(leader.released(1, 2));
        assert!(!leader.settle(all_ready));
    }
}
