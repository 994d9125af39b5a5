//! Another program run to its end, within a time. Its output is kept; its input is empty.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// For a program that only has to say something.
pub(in super::super) const SHORT: Duration = Duration::from_secs(5);

/// For a program that has to do something.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// Runs it; one that takes longer is killed and an error.
///
/// # Errors
/// When it cannot be run, or takes too long.
pub(in super::super) fn run(command: &mut Command, limit: Duration) -> io::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    // Held before it is waited for, so that the number cannot be another's by the time it is killed.
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let process = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || drop(sender.send(child.wait_with_output())));
    match receiver.recv_timeout(limit) {
        Ok(output) => output,
        Err(RecvTimeoutError::Disconnected) => Err(io::ErrorKind::Interrupted.into()),
        Err(RecvTimeoutError::Timeout) => {
            if let Some(Ok(process)) = process {
                pidfd_send_signal(process, Signal::KILL)?;
            }
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("it took longer than {} s", limit.as_secs())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_heard_and_bounded() {
        let output =
            run(Command::new("sh").args(["-c", "cat; echo out; echo err >&2; exit 3"]), SHORT).unwrap();
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
        assert_eq!(output.status.code(), Some(3));
        let error = run(Command::new("sleep").arg("60"), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(
            run(&mut Command::new("/nonexistent"), SHORT).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
