//! A thread that lasts as long as the process, for children that are to die with it.
//!
//! The kernel sends the parent-death signal when the *thread* that made a child ends. A thread of a runtime or of a pool
//! may end long before the process does; this one never ends.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

use super::minder;
use crate::spawn::{Kind, Launch, SpawnFailure, SpawnSpec, Started, start, with_signals_blocked};

type Work = Box<dyn FnOnce() + Send>;

/// To the thread, once it is there.
static THREAD: Mutex<Option<Sender<Work>>> = Mutex::new(None);

/// Like [`start`], on that thread.
pub(super) fn start_there(
    spec: &SpawnSpec,
    descriptors: &[BorrowedFd<'_>],
    kind: Kind,
    name: Option<OsString>,
) -> Result<Started, SpawnFailure> {
    let spec = spec.clone();
    let copies = descriptors.iter().map(|descriptor| descriptor.try_clone_to_owned());
    let copies: Vec<OwnedFd> =
        copies.collect::<io::Result<_>>().map_err(|error| SpawnFailure::preparing(&error))?;
    let (answer, answered) = channel();
    let work = move || {
        let descriptors: Vec<BorrowedFd<'_>> = copies.iter().map(AsFd::as_fd).collect();
        let started = start(&Launch {
            spec: &spec,
            descriptors: &descriptors,
            null: minder::null(),
            kind,
            argument_zero: name.as_deref(),
            open_files_default: None,
        });
        // Whoever asked waits below.
        let _ = answer.send(started);
    };
    give(Box::new(work)).map_err(|error| SpawnFailure::preparing(&error))?;
    answered.recv().expect("a start ends with an answer")
}

fn give(work: Work) -> io::Result<()> {
    let mut thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    let sender = match &*thread {
        Some(sender) => sender,
        None => {
            let (sender, works) = channel::<Work>();
            let thread_of_works = move || works.into_iter().for_each(|work| work());
            let name = "stead-parent".to_owned();
            with_signals_blocked(|| std::thread::Builder::new().name(name).spawn(thread_of_works))?;
            thread.insert(sender)
        }
    };
    sender.send(work).expect("the thread lasts as long as the process");
    Ok(())
}
