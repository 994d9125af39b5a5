//! `fork`: a child with a message channel to it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::{Child, Command, Event, Events};
use crate::channel::{Channel, Message, RecvError, Serialization, blocking};
use crate::node::environment;
use crate::spawn::SpawnError;

/// A child could not be started with a channel. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    /// It could not be started at all.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// There are no descriptors for the channel.
    #[error("message channel could not be made")]
    Channel(#[source] io::Error),
}

/// A child and the channel to it. Take them apart to use them apart.
///
/// Dropping the channel ends it; a Node.js program that has nothing else to do then exits.
#[derive(Debug)]
pub struct Forked<C = Channel> {
    /// The child, as from [`Command::spawn`].
    pub child: Child,
    /// What it says and is told.
    pub channel: C,
}

/// Something that happened to a child with a channel.
#[derive(Debug)]
#[non_exhaustive]
pub enum ForkEvent {
    /// What can happen to any child.
    Child(Event),
    /// It sent a message.
    Message(Message),
    /// A message did not come or did not arrive; the channel goes on.
    MessageError(RecvError),
    /// Its channel has ended, by its doing or ours. It may live on.
    Disconnect,
}

/// All that happens to a child with a channel, from its start on: none is lost however late one looks, and messages wait
/// in the channel, so that at last the child does. A [`Stream`] as well:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::TryStreamExt;
/// use stead_process::child::{Command, ForkEvent};
///
/// let script = "process.send('one'); process.send('two')";
/// let mut child = Command::new("node").args(["-e", script]).fork()?;
/// let messages = child.events().try_filter_map(async |event| {
///     Ok(if let ForkEvent::Message(message) = event { Some(message) } else { None })
/// });
/// let messages: Vec<_> = messages.try_collect().await?;
/// assert_eq!(messages[1].value()?, "two");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ForkEvents<'a> {
    events: Option<Events>,
    channel: Option<&'a mut Channel>,
}

impl Command {
    /// Starts the child with a message channel, as `child_process.fork` of Node.js: a Node.js program has it as
    /// `process.send` and `process.on('message')`, a Rust program gets it by
    /// [`Channel::from_env`], any other reads and writes lines of JSON at the descriptor whose number is in
    /// `NODE_CHANNEL_FD`. Streams that nothing was said about are inherited.
    ///
    /// Must be called inside a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use stead_process::Command;
    ///
    /// let script = "process.on('message', ({ count }) => process.send({ count: count + 1 }))";
    /// let mut counter = Command::new("node").args(["-e", script]).fork()?;
    /// counter.channel.send(&serde_json::json!({ "count": 41 })).await?;
    /// let answer = counter.channel.recv().await.expect("it answers")?;
    /// assert_eq!(answer.value()?["count"], 42);
    ///
    /// // Nothing keeps the program but its channel.
    /// counter.channel.disconnect().await;
    /// assert_eq!(counter.child.wait().await?.code, Some(0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ForkError`]; nothing is left of the child then.
    pub fn fork(&mut self) -> Result<Forked, ForkError> {
        self.fork_with(Serialization::Json)
    }

    /// [`Self::fork`] with another serialization. In `advanced`, Node.js programs can send dates, maps, sets, big integers
    /// and bytes; see [`Message::structured`]. Programs in other languages want JSON.
    ///
    /// # Errors
    /// As [`Self::fork`].
    pub fn fork_with(&mut self, serialization: Serialization) -> Result<Forked, ForkError> {
        self.fork_over(serialization, Channel::open)
    }

    /// [`Self::fork`] for programs without a runtime: messages are sent and received on the calling thread.
    ///
    /// # Errors
    /// As [`Self::fork`].
    pub fn fork_blocking(
        &mut self,
        serialization: Serialization,
    ) -> Result<Forked<blocking::Channel>, ForkError> {
        self.fork_over(serialization, blocking::Channel::open)
    }

    fn fork_over<C>(
        &mut self,
        serialization: Serialization,
        open: impl FnOnce(OwnedFd, Serialization) -> io::Result<C>,
    ) -> Result<Forked<C>, ForkError> {
        // The child's end is a blocking one, as simple programs expect.
        let (ours, theirs) = UnixStream::pair().map_err(ForkError::Channel)?;
        let channel = open(ours.into(), serialization).map_err(ForkError::Channel)?;
        let number = (3..).find(|number| !self.streams.contains_key(number)).expect("numbers do not end");
        self.descriptor(number, theirs);
        let mut variables = Vec::new();
        environment::add_channel(&mut variables, number, serialization);
        self.envs(variables);
        let child = self.spawn();
        self.streams.remove(&number);
        for name in environment::SCRUBBED {
            self.env_remove(name);
        }
        Ok(Forked { child: child?, channel })
    }
}

impl Forked {
    /// All that happens to the child and is said by it, from its start on.
    pub fn events(&mut self) -> ForkEvents<'_> {
        ForkEvents { events: Some(self.child.events()), channel: Some(&mut self.channel) }
    }
}

impl ForkEvents<'_> {
    /// The next event; `None` when the child is closed and the channel has ended. The end of the channel comes behind all
    /// messages; whether it comes before the exit or after is chance. May be cancelled without loss.
    ///
    /// # Errors
    /// As [`Child::wait`].
    ///
    /// # Panics
    /// As there.
    pub async fn next(&mut self) -> io::Result<Option<ForkEvent>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await.transpose()
    }
}

/// What [`ForkEvents::next`] says.
impl Stream for ForkEvents<'_> {
    type Item = io::Result<ForkEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(events) = &mut self.events
            && let Poll::Ready(event) = Pin::new(events).poll_next(context)
        {
            match event {
                Some(event) => return Poll::Ready(Some(event.map(ForkEvent::Child))),
                None => self.events = None,
            }
        }
        if let Some(channel) = &mut self.channel
            && let Poll::Ready(message) = channel.receiver.poll_recv(context)
        {
            return Poll::Ready(Some(Ok(match message {
                Some(Ok(message)) => ForkEvent::Message(message),
                Some(Err(error)) => ForkEvent::MessageError(error),
                None => {
                    self.channel = None;
                    ForkEvent::Disconnect
                }
            })));
        }
        if self.events.is_none() && self.channel.is_none() { Poll::Ready(None) } else { Poll::Pending }
    }
}
