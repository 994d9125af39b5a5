//! What happens to a child, in order, for whoever asks and whenever.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

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
///
/// It is a [`Stream`] too, for whoever has several children to hear or likes combinators:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::{StreamExt, TryStreamExt, stream::select_all};
/// use stead_process::child::{Command, Event};
///
/// let children = [3, 5].map(|code| Command::shell(format!("exit {code}")).spawn());
/// let children = children.into_iter().collect::<Result<Vec<_>, _>>()?;
/// let exits = select_all(children.iter().map(|child| child.events()))
///     .try_filter_map(async |event| Ok(if let Event::Exit(exit) = event { exit.code } else { None }));
/// let codes: Vec<i32> = exits.try_collect().await?;
/// // In the order in which they ended.
/// assert_eq!(codes.iter().sum::<i32>(), 8);
///
/// // Nobody listened; the story is told all the same.
/// assert_eq!(children[0].events().count().await, 3);
/// # Ok(())
/// # }
/// ```
pub struct Events {
    state: Arc<State>,
    next: Next,
    /// What a stream waits for; whoever awaits [`Self::next`] waits for it anew.
    waiting: Option<Waiting>,
}

type Waiting = Pin<Box<dyn Future<Output = io::Result<Option<(Event, Next)>>> + Send + Sync>>;

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
        Self { state, next: Next::Spawn, waiting: None }
    }

    /// The next event; `None` after [`Event::Close`]. To be dropped and called again as one likes: no event is lost.
    ///
    /// # Errors
    /// As [`Child::wait`](super::Child::wait).
    ///
    /// # Panics
    /// As there.
    pub async fn next(&mut self) -> io::Result<Option<Event>> {
        self.waiting = None;
        let found = find(&self.state, self.next).await?;
        Ok(self.told(found))
    }

    fn told(&mut self, found: Option<(Event, Next)>) -> Option<Event> {
        let (event, next) = found?;
        self.next = next;
        Some(event)
    }
}

/// Ends behind [`Event::Close`]. An error, of which [`Events::next`] speaks, comes in the place of an event, and the event
/// the next time.
impl Stream for Events {
    type Item = io::Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut waiting = self.waiting.take().unwrap_or_else(|| {
            let (state, next) = (Arc::clone(&self.state), self.next);
            Box::pin(async move { find(&state, next).await })
        });
        match waiting.as_mut().poll(context) {
            Poll::Ready(found) => Poll::Ready(found.map(|found| self.told(found)).transpose()),
            Poll::Pending => {
                self.waiting = Some(waiting);
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("state", &self.state).field("next", &self.next).finish_non_exhaustive()
    }
}

/// The event that is next, and which one is behind it.
async fn find(state: &State, next: Next) -> io::Result<Option<(Event, Next)>> {
    Ok(Some(match next {
        Next::Spawn => (Event::Spawn, Next::Error),
        Next::Error => error_or_exit(state).await?,
        Next::Exit => (Event::Exit(state.wait().await?), Next::Close),
        Next::Close => (Event::Close(state.wait_closed().await?), Next::Nothing),
        Next::Nothing => return Ok(None),
    }))
}

async fn error_or_exit(state: &State) -> io::Result<(Event, Next)> {
    tokio::select! {
        biased;
        cause = state.wait_cause() => Ok((Event::Error(cause), Next::Exit)),
        exit = state.wait() => Ok((Event::Exit(exit?), Next::Close)),
    }
}
