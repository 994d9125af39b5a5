//! Carries out a [`Command`]: makes the pipes, starts the process, and puts together what is known of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

use super::command::Command;
use super::handle::Child;
use super::state::State;
use super::stdio::Stdio;
use super::streams::{ChildStderr, ChildStdin, ChildStdout};
use super::{lasting, minder};
use crate::spawn::{Kind, Launch, SpawnError, SpawnFailure, SpawnSpec, Started, Step, start};

/// What a child's standard streams are where nothing was said about them.
pub(super) type Streams = &'static [Stdio; 3];

const INHERITED: Streams = &[Stdio::Inherit, Stdio::Inherit, Stdio::Inherit];

/// Both sides of a child's descriptors.
struct Ends<'a> {
    /// The numbers in the child.
    numbers: Vec<i32>,
    /// What the child gets there.
    theirs: Vec<Theirs<'a>>,
    /// What is at the other end of a pipe, with the child's number.
    ours: Vec<(i32, OwnedFd)>,
}

enum Theirs<'a> {
    Lent(BorrowedFd<'a>),
    Made(OwnedFd),
}

pub(super) fn spawn(command: &mut Command) -> Result<Child, SpawnError> {
    spawn_with(command, INHERITED)
}

pub(super) fn spawn_with(command: &mut Command, default: Streams) -> Result<Child, SpawnError> {
    let (started, ours) = try_spawn(command, default)
        .map_err(|failure| failure.into_error(command.name(), command.spec.context()))?;
    // The child has them now. Kept open here they would keep the readers of pipes from seeing an end.
    for stdio in command.streams.values_mut().filter(|stdio| matches!(stdio, Stdio::Descriptor(_))) {
        *stdio = Stdio::Used;
    }
    Ok(child(command, started, ours))
}

fn try_spawn(command: &Command, default: Streams) -> Result<(Started, Vec<(i32, OwnedFd)>), SpawnFailure> {
    if command.cancel.as_ref().is_some_and(|token| token.is_cancelled()) {
        return Err(SpawnFailure { step: Step::Preparing, errno: libc::ECANCELED });
    }
    minder::begin().map_err(|error| SpawnFailure::preparing(&error))?;
    let ends = ends(command, default)
        .map_err(|error| SpawnFailure { step: Step::Descriptors, ..SpawnFailure::preparing(&error) })?;
    let environment = command.resolved_environment();
    let spec = SpawnSpec { descriptors: ends.numbers, environment, ..command.spec.clone() };
    let theirs: Vec<BorrowedFd<'_>> = ends.theirs.iter().map(Theirs::as_fd).collect();
    let kind = Kind::Child { group: command.group, dies_with_parent: command.kill_with_parent };
    let started = if command.kill_with_parent {
        lasting::start_there(&spec, &theirs, kind, command.arg0.clone())
    } else {
        start(&Launch {
            spec: &spec,
            descriptors: &theirs,
            null: minder::null(),
            kind,
            argument_zero: command.arg0.as_deref(),
            open_files_default: None,
        })
    }?;
    Ok((started, ends.ours))
}

fn ends(command: &Command, default: Streams) -> io::Result<Ends<'_>> {
    let mut ends = Ends { numbers: Vec::new(), theirs: Vec::new(), ours: Vec::new() };
    for (number, default) in (0..).zip(default) {
        ends.add(number, command.streams.get(&number).unwrap_or(default))?;
    }
    for (number, stdio) in command.streams.iter().filter(|(number, _)| !(0..=2).contains(*number)) {
        ends.add(*number, stdio)?;
    }
    Ok(ends)
}

impl<'a> Ends<'a> {
    fn add(&mut self, number: i32, stdio: &'a Stdio) -> io::Result<()> {
        let theirs = match (stdio, number) {
            // The start gives it itself.
            (Stdio::Null, 0..=2) => return Ok(()),
            (Stdio::Null, _) => Theirs::Lent(minder::null()),
            (Stdio::Inherit, 0) => Theirs::Lent(rustix::stdio::stdin()),
            (Stdio::Inherit, 1) => Theirs::Lent(rustix::stdio::stdout()),
            (Stdio::Inherit, 2) => Theirs::Lent(rustix::stdio::stderr()),
            (Stdio::Inherit, _) | (Stdio::Used, _) => return Err(rustix::io::Errno::BADF.into()),
            (Stdio::Descriptor(descriptor), _) => Theirs::Lent(descriptor.as_fd()),
            (Stdio::Piped, _) => {
                let (ours, theirs) = pipe(number)?;
                self.ours.push((number, ours));
                Theirs::Made(theirs)
            }
        };
        self.numbers.push(number);
        self.theirs.push(theirs);
        Ok(())
    }
}

/// Our end and the child's.
fn pipe(number: i32) -> io::Result<(OwnedFd, OwnedFd)> {
    match number {
        0 => io::pipe().map(|(reader, writer)| (writer.into(), reader.into())),
        1 | 2 => io::pipe().map(|(reader, writer)| (reader.into(), writer.into())),
        _ => UnixStream::pair().map(|(ours, theirs)| (ours.into(), theirs.into())),
    }
}

impl Theirs<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Lent(descriptor) => *descriptor,
            Self::Made(descriptor) => descriptor.as_fd(),
        }
    }
}

fn child(command: &Command, started: Started, ours: Vec<(i32, OwnedFd)>) -> Child {
    let mut child = Child::new(Arc::new(State::new(started, command)));
    for (number, descriptor) in ours {
        match number {
            0 => child.stdin = Some(ChildStdin::new(descriptor)),
            1 => child.stdout = Some(ChildStdout::new(descriptor, child.state())),
            2 => child.stderr = Some(ChildStderr::new(descriptor, child.state())),
            _ => child.pipes.push((number, descriptor.into())),
        }
    }
    if let Some(at) = command.timeout.and_then(|timeout| Instant::now().checked_add(timeout)) {
        child.state().set_deadline(at);
    }
    if let Some(token) = &command.cancel {
        token.watch(child.state());
    }
    child
}
