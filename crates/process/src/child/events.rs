//! What happens to a child, in order, for whoever asks and whenever.

use std::io;
use std::sync::Arc;

use super::Exit;
use super::state::{Cause, State};

/// Something that happened to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The program runs. (One that cannot run is an error of [`spawn`](super::Command::spawn).)
    Spawn,
    /// It is being ended by us. The exit follows.
    Error(Cause),
    /// It has ended. Its streams may still hold something.
    Exit(Exit),
    /// It has ended, and its standard output and standard error were read to their end or dropped. Those may be held
    /// open longer than it lives, by processes it has started.
    Close(Exit),
}

/// The events of one child, each once, in order, from the beginning.
///
/// They are found by looking at the child and not by being told, so that none is lost however late one looks, and it
/// costs nothing not to look. Any number of these may exist for a child.
#[derive(Debug)]
pub struct Events {
    state: Arc<State>,
    next: Next,
}

#[derive(Debug, Clone, Copy)]
enum Next {
    Spawn,
    Error,
    Exit,
    Close,
    Nothing,
}

impl Events {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state, next: Next::Spawn }
    }

    /// The next event; `None` after [`Event::Close`]. To be dropped and called again as one likes: no event is lost.
    ///
    /// # Errors
    /// As [`Child::wait`](super::Child::wait).
    ///
    /// # Panics
    /// As there.
    pub async fn next(&mut self) -> io::Result<Option<Event>> {
        let (event, next) = match self.next {
            Next::Spawn => (Event::Spawn, Next::Error),
            Next::Error => self.error_or_exit().await?,
            Next::Exit => (Event::Exit(self.state.wait().await?), Next::Close),
            Next::Close => (Event::Close(self.state.wait_closed().await?), Next::Nothing),
            Next::Nothing => return Ok(None),
        };
        self.next = next;
        Ok(Some(event))
    }

    async fn error_or_exit(&self) -> io::Result<(Event, Next)> {
        tokio::select! {
            biased;
            cause = self.state.wait_cause() => Ok((Event::Error(cause), Next::Exit)),
            exit = self.state.wait() => Ok((Event::Exit(exit?), Next::Close)),
        }
    }
}
