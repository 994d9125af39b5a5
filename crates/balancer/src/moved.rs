//! The way out of a lane that is retired: its clients go on in another process that serves the same listeners.
//!
//! A connection leaves between two requests, where nothing of it lies in anybody's hands but the bytes it has sent. It is
//! never shut down or closed on this way: the client notices nothing. What happens to it on the other side is
//! [`crate::Lanes::adopt`]; the way between is the caller's.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use tokio::sync::mpsc::UnboundedSender;

use crate::by_number::ByNumber;

/// A client's connection between two requests, to be served by another process.
#[derive(Debug)]
pub struct Moved {
    /// The listener that accepted it, as it was named to [`crate::Lanes::serve`].
    pub listener: Arc<str>,
    /// The connection itself.
    pub client: OwnedFd,
    /// What the client has sent of its next requests, in bytes as they came: no more than a head may have and what one read brings,
    /// some tens of kilobytes.
    pub input: Vec<u8>,
    /// Where the client is, if it came over TCP.
    pub address: Option<SocketAddr>,
}

/// One lane's way out.
#[derive(Default)]
pub(crate) struct WayOut {
    state: RefCell<State>,
    seats: RefCell<ByNumber<Waker>>,
    next_seat: Cell<u64>,
}

#[derive(Default)]
enum State {
    /// The lane serves; nobody leaves.
    #[default]
    Shut,
    /// Clients leave when they can.
    Open(UnboundedSender<Moved>),
    /// Nobody takes them any more. They are served here, each for one more request.
    Blocked,
}

/// Whoever holds this is woken when the way out opens.
pub(crate) struct Seat {
    way_out: Rc<WayOut>,
    number: u64,
}

impl WayOut {
    /// Lets clients leave, and wakes those that wait for a request.
    pub(crate) fn open(&self, moves: UnboundedSender<Moved>) {
        self.state.replace(State::Open(moves));
        self.seats.borrow().values().for_each(Waker::wake_by_ref);
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(*self.state.borrow(), State::Open(_))
    }

    pub(crate) fn is_blocked(&self) -> bool {
        matches!(*self.state.borrow(), State::Blocked)
    }

    /// Sends a client on its way; gives it back if nobody takes it.
    pub(crate) fn leave(&self, moved: Moved) -> Result<(), Moved> {
        let mut state = self.state.borrow_mut();
        let State::Open(moves) = &*state else { return Err(moved) };
        moves.send(moved).map_err(|returned| {
            *state = State::Blocked;
            returned.0
        })
    }

    /// A place among those that are woken. One per task and not per wait: a task's waker stays the same.
    pub(crate) fn sit(self: &Rc<Self>, waker: &Waker) -> Seat {
        let number = self.next_seat.get();
        self.next_seat.set(number + 1);
        self.seats.borrow_mut().insert(number, waker.clone());
        Seat { way_out: Rc::clone(self), number }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.way_out.seats.borrow_mut().remove(&self.number);
    }
}
