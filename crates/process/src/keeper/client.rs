//! The daemon's side, on tokio.
//!
//! One task reads and writes the socket. A call first writes directly and only what the socket does not take is left to
//! the task. When the keeper is gone the task kills every child it knows before it says so: the kernel killed their
//! leaders already, and nobody but us still knows their groups.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::process::{Pid, kill_process_group};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc, oneshot};

use super::connect::{ConnectError, Welcome, inherited_socket, read_welcome, wait_for};
use super::frame::{BODY_BYTES_MAX, Broken, Fill, Frame, Incoming, Outgoing};
use super::protocol::{ChildId, Exit, HELD_MAX, NAME_BYTES_MAX, Signal, ToDaemon, ToKeeper};
use crate::spawn::{SpawnError, SpawnFailure, SpawnSpec, Step};

/// What the keeper may leave unread; it reads at once, so this much means that it is stuck.
const UNREAD_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// Events the daemon may leave untaken before the task waits for it.
const EVENTS_MAX: usize = 1024;

/// How long [`Keeper::finish`] waits for the keeper to take the message.
const FINISH_WAIT: Duration = Duration::from_secs(2);

/// The connection to the keeper. Clones share it.
#[derive(Debug, Clone)]
pub struct Keeper {
    shared: Arc<Shared>,
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
}

/// What the keeper has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A child and its whole group are dead. Can be seen before the call to [`Keeper::spawn`] has returned to its caller.
    Exited {
        /// Which one.
        child: ChildId,
        /// How it ended.
        exit: Exit,
    },
    /// The keeper got SIGINT, SIGTERM, SIGHUP or SIGUSR2.
    Signal(Signal),
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
struct Shared {
    socket: UnixStream,
    state: Mutex<State>,
    /// Something was queued that the socket did not take at once.
    queued: Notify,
}

#[derive(Debug)]
struct State {
    outgoing: Outgoing,
    next_request: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    /// The process groups of children that were handed out and have not exited.
    alive: HashMap<ChildId, Pid>,
    held: HashSet<String>,
    lost: bool,
}

type Answer = Result<Arrival, SpawnFailure>;

/// A child on its way to the caller of `spawn`. If that caller has gone, the child has nobody, and is killed.
#[derive(Debug)]
struct Arrival {
    child: Option<Child>,
    keeper: Keeper,
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
    /// Connects to the keeper that started this process, and takes what names it out of the environment.
    ///
    /// To be called once, inside a tokio runtime, before anything else looks at the environment. Waits for the keeper's
    /// first message, which is there already.
    ///
    /// # Errors
    /// Every [`ConnectError`]; a second call finds [`ConnectError::NoKeeper`].
    pub fn connect() -> Result<(Self, Events, Welcome), ConnectError> {
        let socket = inherited_socket()?;
        let mut incoming = Incoming::default();
        let welcome = read_welcome(&socket, &mut incoming).map_err(ConnectError::Socket)?;
        let state = State {
            outgoing: Outgoing::new(UNREAD_BYTES_MAX),
            next_request: 1,
            waiting: HashMap::new(),
            alive: HashMap::new(),
            held: welcome.held.iter().map(|(name, _)| name.clone()).collect(),
            lost: false,
        };
        let socket = UnixStream::from_std(socket.into()).map_err(ConnectError::Socket)?;
        let shared = Arc::new(Shared { socket, state: Mutex::new(state), queued: Notify::new() });
        let keeper = Self { shared };
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        tokio::spawn(keeper.clone().drive(incoming, sender));
        Ok((keeper, Events { receiver }, welcome))
    }

    /// Starts a child with `descriptors` at the numbers that `spec.descriptors` names; they are closed here once sent.
    ///
    /// If the returned future is dropped, a child that was started nevertheless is killed.
    ///
    /// # Errors
    /// Every [`SpawnError`]; nothing is left running then.
    pub async fn spawn(&self, spec: SpawnSpec, descriptors: Vec<OwnedFd>) -> Result<Child, SpawnError> {
        let program = spec.program.to_string_lossy().into_owned();
        let directory = spec.directory.clone();
        let receiver = match self.request_spawn(spec, descriptors) {
            Err(Broken::Header) => return Err(too_large(program)),
            Err(Broken::Full | Broken::Io(_)) => return Err(SpawnError::KeeperGone),
            Ok(receiver) => receiver,
        };
        match receiver.await {
            Err(_) => Err(SpawnError::KeeperGone),
            Ok(Err(failure)) => Err(failure.into_error(program, directory)),
            Ok(Ok(mut arrival)) => Ok(arrival.child.take().expect("a child arrives once")),
        }
    }

    /// Sends a signal to a child's whole process group. One that has exited is no error.
    pub fn signal(&self, child: ChildId, signal: Signal) {
        // A keeper that is gone has killed the child better than any signal.
        let _ = self.send(&ToKeeper::Signal { child, signal }, Vec::new());
    }

    /// Has the keeper keep a duplicate of `descriptor`, and hand it to the next daemon if this one dies. Replaces an
    /// earlier one of the same name.
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

    /// Says that this process is about to exit and is not to be started again; the keeper then ends what is left and
    /// exits with `code`. Returns once the keeper can no longer miss it (at most 2 seconds).
    pub fn finish(&self, code: u8) {
        // A keeper that is gone waits for no code.
        let _ = self.send(&ToKeeper::Finish { code }, Vec::new());
        let deadline = Instant::now() + FINISH_WAIT;
        let socket = &self.shared.socket;
        while matches!(self.lock().outgoing.flush(socket), Ok(false)) {
            if wait_for(socket, PollFlags::OUT, deadline).is_err() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request_spawn(
        &self,
        spec: SpawnSpec,
        descriptors: Vec<OwnedFd>,
    ) -> Result<oneshot::Receiver<Answer>, Broken> {
        let (sender, receiver) = oneshot::channel();
        let request = {
            let mut state = self.lock();
            let request = state.next_request;
            state.next_request += 1;
            state.waiting.insert(request, sender);
            request
        };
        let descriptors = descriptors.into_iter().map(Arc::new).collect();
        if let Err(broken) = self.send(&ToKeeper::Spawn { request, spec }, descriptors) {
            self.lock().waiting.remove(&request);
            return Err(broken);
        }
        Ok(receiver)
    }

    fn send(&self, message: &ToKeeper, descriptors: Vec<Arc<OwnedFd>>) -> Result<(), Broken> {
        let body = serde_json::to_vec(message).expect("messages have string keys only");
        let mut state = self.lock();
        if state.lost {
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

    // ## The task

    async fn drive(self, mut incoming: Incoming, events: mpsc::Sender<Event>) {
        // Whatever the reason, the connection is of no use any more, and the keeper will see it closed.
        let _reason = self.exchange(&mut incoming, &events).await;
        let alive = {
            let mut state = self.lock();
            state.lost = true;
            state.waiting.clear();
            std::mem::take(&mut state.alive)
        };
        for group in alive.into_values() {
            // ESRCH: nothing but the leader was in it, and that is dead.
            let _ = kill_process_group(group, rustix::process::Signal::KILL);
        }
        // The daemon may be ending and not listen any more.
        let _ = events.send(Event::Lost).await;
    }

    async fn exchange(&self, incoming: &mut Incoming, events: &mpsc::Sender<Event>) -> Result<(), Broken> {
        loop {
            while let Some(frame) = incoming.next()? {
                self.handle(frame, events).await;
            }
            tokio::select! {
                ready = self.shared.socket.readable() => {
                    ready?;
                    if self.fill(incoming)? == Fill::End {
                        return Ok(());
                    }
                }
                flushed = self.flush() => flushed?,
            }
        }
    }

    fn fill(&self, incoming: &mut Incoming) -> Result<Fill, Broken> {
        let socket = &self.shared.socket;
        let filled = socket.try_io(Interest::READABLE, || match incoming.fill(socket) {
            // Said in the runtime's words, so that it waits for more.
            Ok(Fill::Nothing) => Err(io::ErrorKind::WouldBlock.into()),
            other => Ok(other),
        });
        match filled {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Fill::Nothing),
            filled => filled?,
        }
    }

    /// Writes what is queued, now or when something is.
    async fn flush(&self) -> Result<(), Broken> {
        if self.lock().outgoing.is_empty() {
            self.shared.queued.notified().await;
        }
        let socket = &self.shared.socket;
        socket.writable().await?;
        let flushed = socket.try_io(Interest::WRITABLE, || match self.lock().outgoing.flush(socket)? {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        });
        match flushed {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            flushed => Ok(flushed?),
        }
    }

    async fn handle(&self, frame: Frame, events: &mpsc::Sender<Event>) {
        let Ok(message) = serde_json::from_slice(&frame.body) else { return };
        let event = match message {
            ToDaemon::Welcome { .. } => return,
            ToDaemon::Spawned { request, child: id, pid } => {
                let pidfd = frame.descriptors.ok().and_then(|mut descriptors| descriptors.pop());
                let child = pidfd.map(|pidfd| Child { id, pid, pidfd });
                return self.arrive(request, id, child);
            }
            ToDaemon::NotSpawned { request, failure } => return self.answer(request, Err(failure)),
            ToDaemon::Exited { child, exit } => match self.lock().alive.remove(&child) {
                Some(_) => Event::Exited { child, exit },
                None => return,
            },
            ToDaemon::Signal { signal } => Event::Signal(signal),
        };
        // The daemon may be ending and not listen any more.
        let _ = events.send(event).await;
    }

    fn arrive(&self, request: u64, id: ChildId, child: Option<Child>) {
        let group = child.as_ref().and_then(|child| Pid::from_raw(child.pid.cast_signed()));
        // Without its pidfd: this process has too many descriptors open to be given one more.
        let (Some(group), Some(child)) = (group, child) else {
            self.signal(id, Signal::KILL);
            return self.answer(request, Err(SpawnFailure { step: Step::Preparing, errno: libc::EMFILE }));
        };
        self.lock().alive.insert(id, group);
        self.answer(request, Ok(Arrival { child: Some(child), keeper: self.clone() }));
    }

    fn answer(&self, request: u64, answer: Answer) {
        let sender = self.lock().waiting.remove(&request);
        // What nobody waits for any more is dropped, which kills it; not while the state is locked.
        drop(sender.map(|sender| sender.send(answer)));
    }
}

fn too_large(program: String) -> SpawnError {
    let source = io::Error::from_raw_os_error(libc::E2BIG);
    SpawnError::Other { program, step: Step::Preparing, source }
}
