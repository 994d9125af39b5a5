//! What the puppet daemon does for each command.

use std::error::Error;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stead_process::keeper::{Event, Events, Formats, Inheritance, Keeper, Signal};
use stead_process::spawn::SpawnSpec;

use crate::commands::{Command, Inherited, Report};
use crate::raw;

#[derive(Clone)]
pub(crate) struct Puppet {
    keeper: Keeper,
    pub(crate) reports: Reports,
    /// The other daemon of an upgrade.
    peer: Arc<Mutex<Option<UnixStream>>>,
}

impl Puppet {
    pub(crate) fn new(keeper: Keeper, reports: Reports) -> Self {
        Self { keeper, reports, peer: Arc::default() }
    }

    /// Reports what happens until the keeper is gone.
    pub(crate) async fn listen(self, mut events: Events) {
        loop {
            let report = match events.next().await {
                Event::Exited { child, exit } => Report::Exited { child, exit },
                Event::Signal(signal) => Report::Signal { signal },
                Event::HandOver { peer } => {
                    self.meet(Some(peer));
                    Report::HandOver
                }
                Event::UpgradeFailed { reason } => Report::UpgradeFailed { reason },
                Event::Lost => return self.reports.send(&Report::Lost),
            };
            self.reports.send(&report);
        }
    }

    pub(crate) async fn obey(&self, command: Command) -> io::Result<Report> {
        let keeper = &self.keeper;
        match command {
            Command::Spawn { spec, files } => return self.spawn(spec, open(&files)?).await,
            Command::SpawnAndForget { spec, files } => self.spawn_and_forget(spec, open(&files)?).await,
            Command::Upgrade { program, state } => {
                let formats = Formats::new("0.0.1", state);
                return Ok(match keeper.upgrade(program.as_ref(), &formats).await {
                    Ok(_) => Report::UpgradeBegun,
                    Err(error) => Report::UpgradeRefused { error: in_words(&error) },
                });
            }
            Command::HearPeer => return self.hear_peer(),
            Command::Signal { child, signal } => keeper.signal(child, signal),
            Command::Bury { child } => keeper.bury(child),
            Command::Hold { name, file } => {
                for descriptor in open(&[file])? {
                    keeper.hold(&name, descriptor.as_fd())?;
                }
            }
            Command::HoldMany { names } => {
                for name in 0..names {
                    keeper.hold(&format!("many {name}"), raw::socket())?;
                }
            }
            Command::Release { name } => keeper.release(&name),
            Command::HandedOver => keeper.handed_over(),
            Command::Serving => keeper.serving(),
            Command::Notify { state } => keeper.notify(&state),
            Command::ToPeer { byte } => self.peer().as_ref().expect("a peer").write_all(&[byte])?,
            Command::FinishAndStay { code } => keeper.finish(code),
            Command::Raw { bytes } => raw::write(&bytes)?,
            Command::Finish { .. } | Command::Exit { .. } | Command::Hang => unreachable!("ends the daemon"),
            Command::Flood { .. } | Command::TakeOver => unreachable!("done before"),
        }
        Ok(Report::Done)
    }

    async fn spawn(&self, spec: SpawnSpec, descriptors: Vec<OwnedFd>) -> io::Result<Report> {
        Ok(match self.keeper.spawn(spec, descriptors).await {
            Ok(child) => Report::Spawned { child: child.id, pid: child.pid, start_time: child.start_time },
            Err(error) => Report::NotSpawned { error: in_words(&error) },
        })
    }

    async fn spawn_and_forget(&self, spec: SpawnSpec, descriptors: Vec<OwnedFd>) {
        let mut spawning = pin!(self.keeper.spawn(spec, descriptors));
        // Polled once, so that the request is sent, and dropped, mostly before anybody could answer.
        let answer = poll_fn(|context| Poll::Ready(spawning.as_mut().poll(context))).await;
        if let Poll::Ready(Ok(child)) = answer {
            self.keeper.signal(child.id, Signal::KILL);
        }
    }

    fn hear_peer(&self) -> io::Result<Report> {
        let mut byte = [0];
        let mut peer = self.peer().take().expect("a peer");
        peer.set_nonblocking(false)?;
        peer.read_exact(&mut byte)?;
        Ok(Report::FromPeer { byte: byte[0] })
    }

    fn meet(&self, peer: Option<OwnedFd>) {
        *self.peer() = peer.map(UnixStream::from);
    }

    fn peer(&self) -> std::sync::MutexGuard<'_, Option<UnixStream>> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes over, which may wait, and reports what there was.
pub(crate) async fn take_over(puppet: Puppet) {
    // A successor that is not wanted is told by its end.
    let Ok(inheritance) = puppet.keeper.take_over().await else { return };
    let Inheritance { children, held, lost, peer } = inheritance;
    let children = children.into_iter().map(|child| Inherited {
        child: child.id,
        pid: child.pid,
        start_time: child.start_time,
        tag: child.tag,
        exit: child.exit,
        ended: child.pidfd.map(|pidfd| has_ended(&pidfd)),
    });
    let held = held.iter().map(|(name, descriptor)| (name.clone(), path_of(descriptor)));
    let report = Report::Inherited {
        children: children.collect(),
        held: held.collect(),
        lost: lost.len(),
        peer: peer.is_some(),
    };
    puppet.meet(peer);
    puppet.reports.send(&report);
}

#[derive(Clone)]
pub(crate) struct Reports(Arc<Mutex<UnixStream>>);

impl Reports {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    pub(crate) fn send(&self, report: &Report) {
        let line = serde_json::to_string(report).expect("reports are plain data") + "\n";
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The test may be over.
        let _ = stream.write_all(line.as_bytes());
    }
}

fn open(files: &[String]) -> io::Result<Vec<OwnedFd>> {
    let open = |file| File::options().read(true).write(true).create(true).truncate(false).open(file);
    files.iter().map(|file| open(file).map(OwnedFd::from)).collect()
}

fn path_of(descriptor: &OwnedFd) -> String {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
    path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
}

fn has_ended(pidfd: &OwnedFd) -> bool {
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

fn in_words(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
