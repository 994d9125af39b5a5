//! Signals as something to poll.
//!
//! A signal that was ignored when the keeper started stays ignored: `nohup` means it.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::signal::Signal;

const FORWARDED: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::USR2];

/// The signals the keeper waits for: those it forwards, and SIGCHLD, which only wakes it.
#[derive(Debug)]
pub(super) struct Signals {
    wakes: UnixStream,
    seen: Vec<(Signal, Arc<AtomicBool>)>,
    pub(super) had_terminal: bool,
}

impl Signals {
    /// Begins to listen. `had_terminal` is known already to a keeper that was another binary before.
    pub(super) fn listen(had_terminal: Option<bool>) -> io::Result<Self> {
        let (wakes, wake) = UnixStream::pair()?;
        wakes.set_nonblocking(true)?;
        let mut seen = Vec::new();
        for signal in FORWARDED {
            if is_ignored(signal) {
                continue;
            }
            let flag = Arc::new(AtomicBool::new(false));
            // Registered before the pipe, so that a wake-up always finds the flag set.
            signal_hook::flag::register(signal.number(), Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(signal.number(), wake.try_clone()?)?;
            seen.push((signal, flag));
        }
        signal_hook::low_level::pipe::register(libc::SIGCHLD, wake)?;
        let has_terminal = || io::stdin().is_terminal() || io::stdout().is_terminal();
        let had_terminal = had_terminal.unwrap_or_else(has_terminal);
        Ok(Self { wakes, seen, had_terminal })
    }

    /// Whether anything arrived since the last call of [`Self::take`].
    pub(super) fn any(&self) -> bool {
        self.seen.iter().any(|(_, flag)| flag.load(Ordering::SeqCst))
    }

    /// What arrived since the last call.
    pub(super) fn take(&mut self) -> Vec<Signal> {
        let mut buffer = [0; 64];
        // Ends with WouldBlock; this end is never closed while handlers hold the other.
        while matches!(self.wakes.read(&mut buffer), Ok(1..)) {}
        let arrived = self.seen.iter().filter(|(_, flag)| flag.swap(false, Ordering::SeqCst));
        arrived.map(|&(signal, _)| self.meaning(signal)).collect()
    }

    /// A closed terminal window sends the same signal as "read the configuration again", but the user has gone.
    fn meaning(&self, signal: Signal) -> Signal {
        if signal == Signal::HUP && self.had_terminal && !has_terminal() { Signal::TERM } else { signal }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wakes.as_fd()
    }
}

fn has_terminal() -> bool {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open("/dev/tty");
    // Too many open files says nothing about the terminal.
    opened.map_or_else(|error| matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)), |_| true)
}

#[expect(unsafe_code, reason = "no library tells a disposition without changing it")]
fn is_ignored(signal: Signal) -> bool {
    // SAFETY: a plain structure for which all zeros is valid.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: sets nothing, and writes to a structure we own.
    let known = unsafe { libc::sigaction(signal.number(), std::ptr::null(), &raw mut action) } == 0;
    known && action.sa_sigaction == libc::SIG_IGN
}
