//! What a new daemon gets from the one before.

use std::io;
use std::os::fd::OwnedFd;

use tokio::sync::oneshot;

use super::exit::Exit;
use super::protocol::{ChildId, ChildRecord};
use crate::descriptors::DescriptorsLost;

/// Everything that outlived the daemon before.
#[derive(Debug, Default)]
pub struct Inheritance {
    /// All children, by age; also those that died meanwhile.
    pub children: Vec<Inherited>,
    /// What was given to [`Keeper::hold`](super::Keeper::hold), by name, and sockets of the service manager as `systemd <address>`.
    pub held: Vec<(String, OwnedFd)>,
    /// Names of what is held and could not be handed over, because this process may not have so many descriptors.
    pub lost: Vec<String>,
    /// The connection to the daemon that handed over; `None` when it is dead or there was none.
    pub peer: Option<OwnedFd>,
}

/// A child that an earlier daemon asked for.
#[derive(Debug)]
pub struct Inherited {
    /// What the keeper calls it.
    pub id: ChildId,
    /// What the system calls it, or called it while it lived.
    pub pid: u32,
    /// Means this very process for ever; `None` only if this process may not have so many descriptors.
    pub pidfd: Option<OwnedFd>,
    /// When it was started, in clock ticks since the machine was.
    pub start_time: u64,
    /// As it was asked for.
    pub tag: String,
    /// How it ended, if it has. Say [`Keeper::bury`](super::Keeper::bury) once that is dealt with.
    pub exit: Option<Exit>,
}

/// An inheritance on its way.
#[derive(Debug)]
pub(super) struct Taking {
    inheritance: Inheritance,
    done: oneshot::Sender<Inheritance>,
}

type Descriptors = Result<Vec<OwnedFd>, DescriptorsLost>;

impl Taking {
    pub(super) fn new() -> (Self, oneshot::Receiver<Inheritance>) {
        let (done, inheritance) = oneshot::channel();
        (Self { inheritance: Inheritance::default(), done }, inheritance)
    }

    pub(super) fn add_children(&mut self, children: Vec<ChildRecord>, pidfds: Descriptors) {
        let mut pidfds = pidfds.unwrap_or_default().into_iter();
        self.inheritance.children.extend(children.into_iter().map(|child| Inherited {
            id: child.child,
            pid: child.pid,
            pidfd: pidfds.next(),
            start_time: child.start_time,
            tag: child.tag,
            exit: child.exit,
        }));
    }

    pub(super) fn add_held(&mut self, names: Vec<String>, descriptors: Descriptors) {
        match descriptors {
            Ok(descriptors) => self.inheritance.held.extend(names.into_iter().zip(descriptors)),
            Err(_lost) => self.inheritance.lost.extend(names),
        }
    }

    /// Children that have not ended yet.
    pub(super) fn living(&self) -> impl Iterator<Item = (ChildId, u32)> {
        let living = self.inheritance.children.iter().filter(|child| child.exit.is_none());
        living.map(|child| (child.id, child.pid))
    }

    /// Everything is there.
    pub(super) fn finish(mut self, peer: Descriptors) {
        self.inheritance.peer = peer.ok().and_then(|mut peer| peer.pop());
        // Whoever asked for it may have given up; then it is closed again.
        let _ = self.done.send(self.inheritance);
    }
}

/// Waits for what [`Taking::finish`] gives.
pub(super) async fn arrived(inheritance: oneshot::Receiver<Inheritance>) -> io::Result<Inheritance> {
    inheritance.await.map_err(|_keeper_gone| io::ErrorKind::BrokenPipe.into())
}
