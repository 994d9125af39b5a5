//! The keeper's few words to the user.
//!
//! The keeper has no log and no configuration, and speaks only when its daemon cannot.

use std::io::Write;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stderr;

/// Writes one message to standard error, or drops it if that would wait: a full pipe or a paused terminal must not stop
/// the parent of everything.
pub(super) fn say(message: &str) {
    let mut polled = [PollFd::from_borrowed_fd(stderr(), PollFlags::OUT)];
    let ready = poll(&mut polled, Some(&Timespec::default()));
    if ready.is_ok() && polled[0].revents().contains(PollFlags::OUT) {
        // Nobody is left to be told that standard error is closed.
        let _ = writeln!(std::io::stderr(), "{message}");
    }
}
