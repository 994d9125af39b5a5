//! Who may hold connections to a socket, and how many. Room for thousands of questions of one process at once, each on a connection
//! of its own. It neither reads nor writes.

use crate::messenger::{Fault, Peer};
use crate::quotas::{Full, Held, Quotas};
use rustix::process::{Resource, getrlimit};
use std::sync::Arc;

/// Of a socket; each costs some 10 kB while nothing is asked.
const CONNECTIONS_MAX: usize = 16_384;
/// The other descriptors of this process are for clients and workers.
const SHARE_OF_DESCRIPTORS: usize = 4;

/// Counts the connections of a socket.
pub(crate) struct Gate {
    admits: Box<dyn Fn(Peer) -> bool + Send + Sync>,
    connections: Arc<Quotas>,
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
        Gate { admits: Box::new(admits), connections: Arc::new(Quotas::new(connections_max)) }
    }

    /// Lets a connection in as long as what this returns is kept, or says why not.
    pub(crate) fn enter(&self, peer: Peer) -> Result<Held, Fault> {
        if !(self.admits)(peer) {
            let text = format!("user {} runs no worker of this instance", peer.user);
            return Err(Fault::new("forbidden", text));
        }
        let mut connection = self.connections.held_by(peer);
        match connection.grow_to(1) {
            Ok(()) => Ok(connection),
            Err(Full { who, most }) => {
                let fault = Fault::new("full", format!("{who} has {most} connections open already"));
                Err(fault.with_hint("use one again for the next request, or close it"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_room_of_others() {
        const STRANGER: u32 = 7;
        let gate = Gate::with_connections(16, |peer| peer.user != STRANGER);
        let mut inside: Vec<Held> = Vec::new();
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
        assert!(gate.connections.is_untouched());
    }
}
