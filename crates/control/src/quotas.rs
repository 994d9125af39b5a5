//! Divides what a socket has room for among those who use it, so that no process, and no user, keeps others from theirs. It counts,
//! and neither reads nor writes.
//!
//! Shares and not one number: a worker that takes without end has used up its own, and the one beside it still gets some.

use crate::messenger::Peer;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One process may hold so much of what there is.
const SHARE_OF_PROCESS: usize = 4;

/// What there is, and who holds how much of it.
pub(crate) struct Quotas {
    most: usize,
    of_user_max: usize,
    of_process_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    of_users: HashMap<u32, usize>,
    of_processes: HashMap<u32, usize>,
}

/// What one holds; it is given back when dropped.
pub(crate) struct Held {
    quotas: Arc<Quotas>,
    peer: Peer,
    amount: usize,
}

/// Who would have had more than it may, and how much that is.
#[derive(Debug)]
pub(crate) struct Full {
    pub(crate) who: String,
    pub(crate) most: usize,
}

impl Quotas {
    /// Of so much.
    pub(crate) fn new(most: usize) -> Quotas {
        let of_process_max = (most / SHARE_OF_PROCESS).max(1);
        Quotas { most, of_user_max: most - most / 4, of_process_max, taken: Mutex::default() }
    }

    /// Nothing so far, for one at the other end of a connection.
    pub(crate) fn held_by(self: &Arc<Quotas>, peer: Peer) -> Held {
        Held { quotas: Arc::clone(self), peer, amount: 0 }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn is_untouched(&self) -> bool {
        let taken = self.taken();
        taken.all == 0 && taken.of_users.is_empty() && taken.of_processes.is_empty()
    }
}

impl Held {
    /// Takes so much in all, with what it had, or nothing more.
    ///
    /// # Errors
    /// The process, the user or all together would have too much.
    pub(crate) fn grow_to(&mut self, amount: usize) -> Result<(), Full> {
        let Quotas { most, of_user_max, of_process_max, .. } = *self.quotas;
        let Peer { pid, user } = self.peer;
        let more = amount.saturating_sub(self.amount);
        let full = |who: String, most: usize| Err(Full { who, most });
        let mut taken = self.quotas.taken();
        if let Some(pid) = pid
            && count(&taken.of_processes, pid) + more > of_process_max
        {
            return full(format!("process {pid}"), of_process_max);
        }
        if count(&taken.of_users, user) + more > of_user_max {
            return full(format!("user {user}"), of_user_max);
        }
        if taken.all + more > most {
            return full("this socket".to_owned(), most);
        }
        self.amount += more;
        taken.all += more;
        if more > 0 {
            *taken.of_users.entry(user).or_default() += more;
            pid.into_iter().for_each(|pid| *taken.of_processes.entry(pid).or_default() += more);
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut taken = self.quotas.taken();
        taken.all -= self.amount;
        give_back(&mut taken.of_users, self.peer.user, self.amount);
        if let Some(pid) = self.peer.pid {
            give_back(&mut taken.of_processes, pid, self.amount);
        }
    }
}

fn count(counts: &HashMap<u32, usize>, key: u32) -> usize {
    counts.get(&key).copied().unwrap_or(0)
}

/// Who has none is forgotten: numbers of processes never end.
fn give_back(counts: &mut HashMap<u32, usize>, key: u32, amount: usize) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= amount;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}
