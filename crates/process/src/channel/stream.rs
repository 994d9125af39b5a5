//! Messages as a stream, for combinators and for whoever listens to several channels at once.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::{Message, Receiver, RecvError};

/// What [`Receiver::recv`] says. Nothing is read before it is asked for, so a stream that nobody polls makes the other side
/// wait and loses nothing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::TryStreamExt;
/// # use stead_process::channel::{Channel, Serialization};
/// # let (here, there) = stead_process::socket::pair()?;
/// # let here = Channel::open(here, Serialization::Json)?;
/// # let there = Channel::open(there, Serialization::Json)?;
///
/// for number in 1..=3u32 {
///     there.send(&number).await?;
/// }
/// there.disconnect().await;
/// let messages: Vec<_> = here.receiver.try_collect().await?;
/// assert_eq!((messages.len(), messages[2].parse::<u32>()?), (3, 3));
/// # Ok(())
/// # }
/// ```
impl Stream for Receiver {
    type Item = Result<Message, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(context)
    }
}
