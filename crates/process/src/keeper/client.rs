//! The daemon's side, on tokio: what the daemon can ask of its keeper.
//!
//! A call first writes directly; only what the socket does not take is left to the task in `exchange.rs`, which reads
//! and writes the socket.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::process::Pid;
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc, oneshot};

use super::connect::{ConnectError, Welcome, inherited_socket, read_welcome, wait_for};
use super::exit::Exit;
use super::formats::{FORMATS_VERB, Formats, UpgradeError};
use super::frame::{BODY_BYTES_MAX, Broken, Incoming, Outgoing};
use super::inheritance::{Inheritance, Taking, arrived};
use super::name::name_process;
use super::protocol::{ChildId, HELD_MAX, NAME_BYTES_MAX, ToKeeper};
use super::signal::Signal;
use crate::spawn::{SpawnError, SpawnFailure, SpawnSpec, Step};

/// What the keeper may leave unread; it reads at once, so this much means that it is stuck.
const UNREAD_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// Events the daemon may leave untaken before the task waits for it.
const EVENTS_MAX: usize = 1024;

/// How long the last words ([`Keeper::finish`], [`Keeper::handed_over`]) wait for the keeper to take them.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(2);

/// How long another binary may take to tell its formats, and how much it may say.
const FORMATS_WAIT: Duration = Duration::from_secs(10);
const FORMATS_BYTES_MAX: usize = 4096;

/// The connection to the keeper. Clones share it.
#[derive(Debug, Clone)]
pub struct Keeper {
    pub(super) shared: Arc<Shared>,
}

/// A running child.
#[derive(Debug)]
pub struct Child {
    /// What the keeper calls it.
    pub id: ChildId,
    /// What the system calls it, and its process group.
    pub pid: u32,
    /// Becomes readable when it dies; means this very process for ever.
    pub pidfd: OwnedFd,
    /// When it was started, in clock ticks since the machine was; with the pid this names one process.
    pub start_time: u64,
}

/// What the keeper has to tell.
#[derive(Debug)]
pub enum Event {
    /// A child and its whole group are dead. Can be seen before the call to [`Keeper::spawn`] has returned to its caller. It is told
    /// to each daemon again until one says [`Keeper::bury`].
    Exited {
        /// Which one.
        child: ChildId,
        /// How it ended.
        exit: Exit,
    },
    /// The keeper got SIGINT, SIGTERM, SIGHUP or SIGUSR2.
    Signal(Signal),
    /// The successor that [`Keeper::upgrade`] asked for is prepared. Stop accepting, hold what is to be left, and say
    /// [`Keeper::handed_over`].
    HandOver {
        /// One end of a connection to the successor, which finds the other in its [`Inheritance`].
        peer: OwnedFd,
    },
    /// There is no successor; go on. Can come after [`Event::HandOver`], but not after [`Keeper::handed_over`].
    UpgradeFailed {
        /// Why, as a fragment.
        reason: String,
    },
    /// The keeper is gone, and all children with it. Repeated for ever.
    Lost,
}

/// The one stream of events of a connection.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Event>,
}

impl Events {
    /// The next event. After [`Event::Lost`] there is nothing else.
    pub async fn next(&mut self) -> Event {
        self.receiver.recv().await.unwrap_or(Event::Lost)
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) socket: UnixStream,
    pub(super) state: Mutex<State>,
    /// Something was queued that the socket did not take at once.
    pub(super) queued: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) outgoing: Outgoing,
    next_request: u64,
    pub(super) waiting: HashMap<u64, Waiting>,
    /// Children that were handed out and have not exited.
    pub(super) alive: HashMap<ChildId, Alive>,
    held: HashSet<String>,
    pub(super) taking: Option<Taking>,
    /// Children and held descriptors are another daemon's now.
    pub(super) handed_over: bool,
    pub(super) lost: bool,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) answer: oneshot::Sender<Answer>,
    /// Its exit is nobody's business.
    pub(super) quiet: bool,
}

#[derive(Debug)]
pub(super) struct Alive {
    pub(super) group: Pid,
    pub(super) quiet: bool,
}

pub(super) type Answer = Result<Arrival, SpawnFailure>;

/// A child on its way to the caller of `spawn`. If that caller has gone, the child has nobody, and is killed.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) child: Option<Child>,
    pub(super) keeper: Keeper,
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            self.keeper.lock().alive.remove(&child.id);
            self.keeper.signal(child.id, Signal::KILL);
        }
    }
}

impl Keeper {
    /// Finds the keeper that started this process. To be called once, inside a tokio runtime, before anything starts
    /// threads or reads the environment; nothing the keeper did before is missed. Then say [`Self::take_over`].
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect() -> Result<(Self, Events, Welcome), ConnectError> {
        let socket = inherited_socket()?;
        name_process();
        let mut incoming = Incoming::default();
        let welcome = read_welcome(&socket, &mut incoming).map_err(ConnectError::Socket)?;
        let state = State {
            outgoing: Outgoing::new(UNREAD_BYTES_MAX),
            next_request: 1,
            waiting: HashMap::new(),
            alive: HashMap::new(),
            held: HashSet::new(),
            taking: None,
            handed_over: false,
            lost: false,
        };
        let socket = UnixStream::from_std(socket.into()).map_err(ConnectError::Socket)?;
        let shared = Arc::new(Shared { socket, state: Mutex::new(state), queued: Notify::new() });
        let keeper = Self { shared };
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        tokio::spawn(keeper.clone().drive(incoming, sender));
        Ok((keeper, Events { receiver }, welcome))
    }

    /// Takes what earlier daemons left. To be called once, when this daemon is prepared: a successor waits here until the
    /// old daemon has handed over. Exits of children come as events from then on.
    ///
    /// # Errors
    /// `BrokenPipe`: the keeper is gone, or this successor is not wanted any more; end.
    pub async fn take_over(&self) -> io::Result<Inheritance> {
        let (taking, inheritance) = Taking::new();
        self.lock().taking = Some(taking);
        self.send(&ToKeeper::Prepared, Vec::new()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        let inheritance = arrived(inheritance).await?;
        let mut state = self.lock();
        let held = inheritance.held.iter().map(|(name, _)| name).chain(&inheritance.lost);
        state.held.extend(held.cloned());
        Ok(inheritance)
    }

    /// Says that everything taken over works. After an upgrade the keeper now becomes the new binary itself.
    pub fn serving(&self) {
        // A keeper that is gone needs no word.
        let _ = self.send(&ToKeeper::Serving, Vec::new());
    }

    /// Starts a child with `descriptors` at the numbers that `spec.descriptors` names; they are closed here once sent.
    /// It outlives this daemon, unless that says [`Self::finish`].
    ///
    /// If the returned future is dropped, a child that was started nevertheless is killed.
    ///
    /// # Errors
    /// Every [`SpawnError`]; nothing is left running then.
    pub async fn spawn(&self, spec: SpawnSpec, descriptors: Vec<OwnedFd>) -> Result<Child, SpawnError> {
        self.spawn_as(spec, descriptors, false).await
    }

    /// Sends a signal to a child's whole process group. One that has exited is no error.
    pub fn signal(&self, child: ChildId, signal: Signal) {
        // A keeper that is gone has killed the child better than any signal.
        let _ = self.send(&ToKeeper::Signal { child, signal }, Vec::new());
    }

    /// Has the keeper forget a child whose [`Event::Exited`] (or [`Inherited::exit`](super::Inherited::exit)) is dealt with.
    pub fn bury(&self, child: ChildId) {
        // A keeper that is gone remembers nothing.
        let _ = self.send(&ToKeeper::Bury { child }, Vec::new());
    }

    /// Has the keeper keep a duplicate of `descriptor`, and hand it to the next daemon. Replaces an earlier one of the
    /// same name.
    ///
    /// # Errors
    /// `QuotaExceeded` beyond [`HELD_MAX`] descriptors, `InvalidInput` for a name of more than [`NAME_BYTES_MAX`] bytes,
    /// `BrokenPipe` when the keeper is gone, `EMFILE`.
    pub fn hold(&self, name: &str, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        if name.len() > NAME_BYTES_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let duplicate = Arc::new(descriptor.try_clone_to_owned()?);
        {
            let mut state = self.lock();
            if state.held.len() >= HELD_MAX && !state.held.contains(name) {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
            state.held.insert(name.to_owned());
        }
        let sent = self.send(&ToKeeper::Hold { name: name.to_owned() }, vec![duplicate]);
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Has the keeper close what it holds by this name.
    pub fn release(&self, name: &str) {
        self.lock().held.remove(name);
        // A keeper that is gone holds nothing.
        let _ = self.send(&ToKeeper::Release { name: name.to_owned() }, Vec::new());
    }

    /// Has the keeper tell the service manager, if there is one, in its own words: `READY=1`, `STATUS=..`.
    pub fn notify(&self, state: &str) {
        // A keeper that is gone is its service manager's affair.
        let _ = self.send(&ToKeeper::Notify { state: state.to_owned() }, Vec::new());
    }

    /// Asks for a successor from the binary `program`, after checking that it can take over from `ours`. What becomes of
    /// it is told by [`Event::HandOver`] or [`Event::UpgradeFailed`]. Returns the formats of the new program.
    ///
    /// # Errors
    /// See [`UpgradeError`]; nothing has happened then.
    pub async fn upgrade(&self, program: &Path, ours: &Formats) -> Result<Formats, UpgradeError> {
        let text = program.to_str().ok_or(UpgradeError::Path)?.to_owned();
        let formats = self.formats_of(program).await?;
        ours.check(&formats)?;
        let sent = self.send(&ToKeeper::Upgrade { program: text }, Vec::new());
        sent.map_err(|_| UpgradeError::KeeperGone)?;
        Ok(formats)
    }

    /// Says that everything the successor needs is held, and that this process will touch none of it any more, nor any
    /// child. Whatever it still says is ignored; it may take its time to end. Returns once the keeper can no longer miss
    /// it (at most 2 seconds).
    pub fn handed_over(&self) {
        // A keeper that is gone has no successor.
        let _ = self.send(&ToKeeper::HandedOver, Vec::new());
        {
            let mut state = self.lock();
            state.handed_over = true;
            state.alive.clear();
        }
        self.flush_last_words();
    }

    /// Says that this process is about to exit and is not to be started again; the keeper then ends what is left and
    /// exits with `code`. Returns once the keeper can no longer miss it (at most 2 seconds).
    pub fn finish(&self, code: u8) {
        // A keeper that is gone waits for no code.
        let _ = self.send(&ToKeeper::Finish { code }, Vec::new());
        self.flush_last_words();
    }

    fn flush_last_words(&self) {
        let deadline = Instant::now() + LAST_WORDS_WAIT;
        let socket = &self.shared.socket;
        while matches!(self.lock().outgoing.flush(socket), Ok(false)) {
            if wait_for(socket, PollFlags::OUT, deadline).is_err() {
                return;
            }
        }
    }

    async fn formats_of(&self, program: &Path) -> Result<Formats, UpgradeError> {
        let not_stead = || UpgradeError::NotStead { program: program.to_owned() };
        let (ours, theirs) = crate::socket::pair().map_err(|_| not_stead())?;
        let spec = SpawnSpec {
            arguments: vec![FORMATS_VERB.into()],
            descriptors: vec![1],
            tag: FORMATS_VERB.to_owned(),
            ..SpawnSpec::new(program)
        };
        let child = self.spawn_as(spec, vec![theirs], true).await?;
        let answer = tokio::time::timeout(FORMATS_WAIT, read_to_end(ours)).await;
        // Dead already, if it is Stead.
        self.signal(child.id, Signal::KILL);
        let answer = answer.ok().and_then(Result::ok).ok_or_else(not_stead)?;
        serde_json::from_slice(&answer).map_err(|_| not_stead())
    }

    async fn spawn_as(
        &self,
        spec: SpawnSpec,
        descriptors: Vec<OwnedFd>,
        quiet: bool,
    ) -> Result<Child, SpawnError> {
        let program = spec.program.to_string_lossy().into_owned();
        let context = spec.context();
        let receiver = match self.request_spawn(spec, descriptors, quiet) {
            Err(Broken::Header) => return Err(too_large(program)),
            Err(Broken::Full | Broken::Io(_)) => return Err(SpawnError::KeeperGone),
            Ok(receiver) => receiver,
        };
        match receiver.await {
            Err(_) => Err(SpawnError::KeeperGone),
            Ok(Err(failure)) => Err(failure.into_error(program, context)),
            Ok(Ok(mut arrival)) => Ok(arrival.child.take().expect("a child arrives once")),
        }
    }

    fn request_spawn(
        &self,
        spec: SpawnSpec,
        descriptors: Vec<OwnedFd>,
        quiet: bool,
    ) -> Result<oneshot::Receiver<Answer>, Broken> {
        let (answer, receiver) = oneshot::channel();
        let request = {
            let mut state = self.lock();
            let request = state.next_request;
            state.next_request += 1;
            state.waiting.insert(request, Waiting { answer, quiet });
            request
        };
        let descriptors = descriptors.into_iter().map(Arc::new).collect();
        if let Err(broken) = self.send(&ToKeeper::Spawn { request, spec: Box::new(spec) }, descriptors) {
            self.lock().waiting.remove(&request);
            return Err(broken);
        }
        Ok(receiver)
    }

    pub(super) fn send(&self, message: &ToKeeper, descriptors: Vec<Arc<OwnedFd>>) -> Result<(), Broken> {
        let body = serde_json::to_vec(message).expect("messages have string keys only");
        let mut state = self.lock();
        if state.lost || state.handed_over {
            return Err(Broken::Io(io::ErrorKind::BrokenPipe.into()));
        }
        state.outgoing.push(&body, descriptors)?;
        let all_written = state.outgoing.flush(&self.shared.socket);
        drop(state);
        // An error is the task's to find, as it finds the end of the stream.
        if !matches!(all_written, Ok(true)) {
            self.shared.queued.notify_one();
        }
        Ok(())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_large(program: String) -> SpawnError {
    let source = io::Error::from_raw_os_error(libc::E2BIG);
    SpawnError::Other { program, step: Step::Preparing, source }
}

async fn read_to_end(socket: OwnedFd) -> io::Result<Vec<u8>> {
    let socket = UnixStream::from_std(socket.into())?;
    let mut bytes = vec![0; FORMATS_BYTES_MAX];
    let mut filled = 0;
    loop {
        socket.readable().await?;
        match socket.try_read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
