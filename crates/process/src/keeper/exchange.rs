//! The daemon's task that reads from the keeper, and writes what could not be written at once.
//!
//! When the keeper is gone it kills every child it knows before it says so: the kernel killed their leaders already, and
//! nobody but us still knows their groups.

use std::io;

use rustix::process::{Pid, kill_process_group};
use tokio::io::Interest;
use tokio::sync::mpsc;

use super::client::{Alive, Answer, Arrival, Child, Event, Keeper};
use super::exit::Exit;
use super::frame::{Broken, Fill, Frame, Incoming};
use super::inheritance::Taking;
use super::protocol::{ChildId, ToDaemon, ToKeeper};
use super::signal::Signal;
use crate::spawn::{SpawnFailure, Step};

impl Keeper {
    pub(super) async fn drive(self, mut incoming: Incoming, events: mpsc::Sender<Event>) {
        // Whatever the reason, the connection is of no use any more, and the keeper will see it closed.
        let _reason = self.exchange(&mut incoming, &events).await;
        let alive = {
            let mut state = self.lock();
            state.lost = true;
            state.waiting.clear();
            state.taking = None;
            std::mem::take(&mut state.alive)
        };
        for Alive { group, .. } in alive.into_values() {
            // ESRCH: nothing but the leader was in it, and that is dead.
            let _ = kill_process_group(group, rustix::process::Signal::KILL);
        }
        // The daemon may be ending and not listen any more.
        let _ = events.send(Event::Lost).await;
    }

    async fn exchange(&self, incoming: &mut Incoming, events: &mpsc::Sender<Event>) -> Result<(), Broken> {
        loop {
            while let Some(frame) = incoming.next()? {
                if let Some(event) = self.handle(frame) {
                    // The daemon may be ending and not listen any more.
                    let _ = events.send(event).await;
                }
            }
            tokio::select! {
                ready = self.shared.socket.readable() => {
                    ready?;
                    if self.fill(incoming)? == Fill::End {
                        return Ok(());
                    }
                }
                flushed = self.flush() => flushed?,
            }
        }
    }

    fn fill(&self, incoming: &mut Incoming) -> Result<Fill, Broken> {
        let socket = &self.shared.socket;
        let filled = socket.try_io(Interest::READABLE, || match incoming.fill(socket) {
            // Said in the runtime's words, so that it waits for more.
            Ok(Fill::Nothing) => Err(io::ErrorKind::WouldBlock.into()),
            other => Ok(other),
        });
        match filled {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Fill::Nothing),
            filled => filled?,
        }
    }

    /// Writes what is queued, now or when something is.
    async fn flush(&self) -> Result<(), Broken> {
        if self.lock().outgoing.is_empty() {
            self.shared.queued.notified().await;
        }
        let socket = &self.shared.socket;
        socket.writable().await?;
        let flushed = socket.try_io(Interest::WRITABLE, || match self.lock().outgoing.flush(socket)? {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        });
        match flushed {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            flushed => Ok(flushed?),
        }
    }

    fn handle(&self, frame: Frame) -> Option<Event> {
        let message = serde_json::from_slice(&frame.body).ok()?;
        let descriptors = frame.descriptors;
        match message {
            ToDaemon::Welcome { .. } => None,
            ToDaemon::Children { children } => {
                self.take(|taking| taking.add_children(children, descriptors));
                None
            }
            ToDaemon::Held { names } => {
                self.take(|taking| taking.add_held(names, descriptors));
                None
            }
            ToDaemon::Begin => {
                if let Some(taking) = self.begin() {
                    taking.finish(descriptors);
                }
                None
            }
            ToDaemon::Spawned { request, child: id, pid, start_time } => {
                let pidfd = descriptors.ok().and_then(|mut descriptors| descriptors.pop());
                let child = pidfd.map(|pidfd| Child { id, pid, pidfd, start_time });
                self.arrive(request, id, child);
                None
            }
            ToDaemon::NotSpawned { request, failure } => {
                self.answer(request, Err(failure));
                None
            }
            ToDaemon::Exited { child, exit } => self.exited(child, exit),
            ToDaemon::Signal { signal } => Some(Event::Signal(signal)),
            ToDaemon::HandOver => {
                let peer = descriptors.ok().and_then(|mut descriptors| descriptors.pop());
                // Without it there is nothing to do but to wait until the keeper gives up.
                peer.map(|peer| Event::HandOver { peer })
            }
            ToDaemon::UpgradeFailed { reason } => {
                // Too late: this process is not the one that goes on.
                (!self.lock().handed_over).then_some(Event::UpgradeFailed { reason })
            }
            ToDaemon::Ping => {
                // A keeper that is gone does not wait for it.
                let _ = self.send(&ToKeeper::Pong, Vec::new());
                None
            }
        }
    }

    /// Adds a part of the inheritance and asks for the next.
    fn take(&self, add: impl FnOnce(&mut Taking)) {
        if let Some(taking) = &mut self.lock().taking {
            add(taking);
        }
        // A keeper that is gone has no more.
        let _ = self.send(&ToKeeper::More, Vec::new());
    }

    fn begin(&self) -> Option<Taking> {
        let mut state = self.lock();
        let taking = state.taking.take()?;
        for (id, pid) in taking.living() {
            if let Some(group) = Pid::from_raw(pid.cast_signed()) {
                state.alive.insert(id, Alive { group, quiet: false });
            }
        }
        Some(taking)
    }

    fn exited(&self, child: ChildId, exit: Exit) -> Option<Event> {
        let known = self.lock().alive.remove(&child);
        if known.is_some_and(|alive| !alive.quiet) {
            return Some(Event::Exited { child, exit });
        }
        self.bury(child);
        None
    }

    fn arrive(&self, request: u64, id: ChildId, child: Option<Child>) {
        let group = child.as_ref().and_then(|child| Pid::from_raw(child.pid.cast_signed()));
        // Without its pidfd: this process has too many descriptors open to be given one more.
        let (Some(group), Some(child)) = (group, child) else {
            self.signal(id, Signal::KILL);
            return self.answer(request, Err(SpawnFailure { step: Step::Preparing, errno: libc::EMFILE }));
        };
        {
            let mut state = self.lock();
            let quiet = state.waiting.get(&request).is_some_and(|waiting| waiting.quiet);
            state.alive.insert(id, Alive { group, quiet });
        }
        self.answer(request, Ok(Arrival { child: Some(child), keeper: self.clone() }));
    }

    fn answer(&self, request: u64, answer: Answer) {
        let waiting = self.lock().waiting.remove(&request);
        // What nobody waits for any more is dropped, which kills it; not while the state is locked.
        drop(waiting.map(|waiting| waiting.answer.send(answer)));
    }
}
