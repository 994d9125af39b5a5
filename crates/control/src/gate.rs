//! Who may hold connections to a socket, and how many: so that no process, and no user, keeps others from theirs. It counts, and
//! neither reads nor writes.
//!
//! Shares and not one number: a worker that opens connections without end has used up its own, and the one beside it connects.

use crate::messenger::{Fault, Peer};
use rustix::process::{Resource, getrlimit};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Of a socket; each costs some 10 kB while nothing is asked.
const CONNECTIONS_MAX: usize = 16_384;
/// The other descriptors of this process are for clients and workers.
const SHARE_OF_DESCRIPTORS: usize = 4;
/// One process may hold so much of what there is: room for thousands of questions at once, each on a connection of its own.
const SHARE_OF_PROCESS: usize = 4;

/// Counts the connections of a socket.
pub(crate) struct Gate {
    connections_max: usize,
    admits: Box<dyn Fn(Peer) -> bool + Send + Sync>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    of_users: HashMap<u32, usize>,
    of_processes: HashMap<u32, usize>,
}

/// A connection that was let in, as long as it is there.
pub(crate) struct Ticket {
    gate: Arc<Gate>,
    peer: Peer,
}

impl Gate {
    /// For those whom this admits, as many as the limit of descriptors allows.
    pub(crate) fn new(admits: impl Fn(Peer) -> bool + Send + Sync + 'static) -> Gate {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let share = usize::try_from(descriptors).unwrap_or(usize::MAX) / SHARE_OF_DESCRIPTORS;
        Gate::with_connections(CONNECTIONS_MAX.min(share), admits)
    }

    fn with_connections(
        connections_max: usize,
        admits: impl Fn(Peer) -> bool + Send + Sync + 'static,
    ) -> Gate {
        Gate { connections_max, admits: Box::new(admits), open: Mutex::default() }
    }

    /// Lets a connection in, or says why not.
    pub(crate) fn enter(self: &Arc<Gate>, peer: Peer) -> Result<Ticket, Fault> {
        if !(self.admits)(peer) {
            let text = format!("user {} runs no worker of this instance", peer.user);
            return Err(Fault::new("forbidden", text));
        }
        let most = self.connections_max;
        let (of_user_max, of_process_max) = (most - most / 4, (most / SHARE_OF_PROCESS).max(1));
        let full = |who: String, most: usize| {
            let fault = Fault::new("full", format!("{who} has {most} connections open already"));
            Err(fault.with_hint("use one again for the next request, or close it"))
        };
        let mut open = self.open();
        let of_process = peer.pid.map_or(0, |pid| count(&open.of_processes, pid));
        if of_process >= of_process_max {
            return full(format!("process {}", peer.pid.unwrap_or_default()), of_process_max);
        }
        if count(&open.of_users, peer.user) >= of_user_max {
            return full(format!("user {}", peer.user), of_user_max);
        }
        if open.all >= most {
            return full("this socket".to_owned(), most);
        }
        open.all += 1;
        *open.of_users.entry(peer.user).or_default() += 1;
        if let Some(pid) = peer.pid {
            *open.of_processes.entry(pid).or_default() += 1;
        }
        drop(open);
        Ok(Ticket { gate: Arc::clone(self), peer })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut open = self.gate.open();
        open.all -= 1;
        leave(&mut open.of_users, self.peer.user);
        if let Some(pid) = self.peer.pid {
            leave(&mut open.of_processes, pid);
        }
    }
}

fn count(counts: &HashMap<u32, usize>, key: u32) -> usize {
    counts.get(&key).copied().unwrap_or(0)
}

/// Who has none is forgotten: numbers of processes never end.
fn leave(counts: &mut HashMap<u32, usize>, key: u32) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_room_of_others() {
        const STRANGER: u32 = 7;
        let gate = Arc::new(Gate::with_connections(16, |peer| peer.user != STRANGER));
        let mut inside: Vec<Ticket> = Vec::new();
        let mut check = |pid: u32, user: u32, expected: Result<(), &str>| {
            let entered = gate.enter(Peer { pid: (pid > 0).then_some(pid), user });
            let found = entered.map(|ticket| inside.push(ticket)).map_err(|fault| fault.message);
            assert_eq!(found, expected.map_err(str::to_owned), "process {pid} of user {user}");
        };
        check(1, STRANGER, Err("user 7 runs no worker of this instance"));
        for pid in [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3] {
            check(pid, 1000, Ok(()));
        }
        check(1, 1000, Err("process 1 has 4 connections open already"));
        check(7, 1000, Err("user 1000 has 12 connections open already"));
        // Processes of another namespace have no number here.
        for _ in 0..4 {
            check(0, 1001, Ok(()));
        }
        check(0, 0, Err("this socket has 16 connections open already"));

        inside.clear();
        let open = gate.open();
        assert_eq!((open.all, open.of_users.len(), open.of_processes.len()), (0, 0, 0));
    }
}
