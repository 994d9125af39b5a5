//! One timer per connection, moved lazily.
//!
//! Each request sets several deadlines and meets nearly all of them. Registering a timer for each would cost more than
//! parsing the request; so the timer stays registered at the earliest time asked for since it last fired, and only when
//! it fires is it compared with the deadline that counts.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::Sleep;

/// A deadline that is cheap to move.
#[derive(Default)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    fires_at: Option<Instant>,
}

impl Alarm {
    /// Ready when `deadline` has passed.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if self.fires_at.is_none_or(|fires_at| fires_at > deadline) {
            self.set(deadline);
        }
        loop {
            let sleep = self.sleep.as_mut().expect("set above");
            match sleep.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => {
                    self.fires_at = None;
                    if Instant::now() >= deadline {
                        return Poll::Ready(());
                    }
                    self.set(deadline);
                }
            }
        }
    }

    fn set(&mut self, at: Instant) {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(at.into()),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(at.into()))),
        }
        self.fires_at = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn fires_at_the_deadline_that_counts() {
        let mut alarm = Alarm::default();
        let start = Instant::now();
        let (soon, late) = (start + Duration::from_millis(20), start + Duration::from_millis(60));
        poll_fn(|context| {
            assert!(alarm.poll(context, soon).is_pending());
            Poll::Ready(())
        })
        .await;
        poll_fn(|context| alarm.poll(context, late)).await;
        assert!(start.elapsed() >= Duration::from_millis(60), "the earlier deadline no longer counts");
        poll_fn(|context| alarm.poll(context, start)).await;
    }
}
