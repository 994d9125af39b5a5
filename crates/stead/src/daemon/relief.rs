//! The change of guard: this daemon makes room for another that runs beside it already, or takes over from one that leaves.
//!
//! | the one that leaves | the one that comes |
//! |---|---|
//! | stops accepting; clients between two requests go to the other | |
//! | apps stop listening to workers and write down where they are | |
//! | tells the keeper | gets descriptors, children and states from the keeper, and resumes |
//! | finishes the requests it has, asks the other for connections to workers | says that it serves |
//! | ends | |

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use stead_balancer::Moved;
use stead_control::{Progress, Refusal, RefusalKind, Steps};
use stead_process::keeper::{Formats, PeerSender, peer};
use tokio::sync::{mpsc, oneshot};

use super::app::AppTask;
use super::message::Message;
use super::pool::Pool;
use super::resume;
use super::shared::Shared;
use super::state;
use super::successor::{self, Handed, Way};
use super::worker::Link;
use crate::cli::{self, ExitCode, Report};

/// Steps that may wait for a slow reader.
const PROGRESS_MAX: usize = 16;
/// For tunnels and streams to end once they were told to.
const CUT_WAIT: Duration = Duration::from_secs(2);
/// What the one that comes says when it serves.
const SERVING: &[u8] = b"serving";

/// Asks the keeper for a daemon from `program` to take over. Told in steps.
pub(super) async fn begin(shared: &Shared, program: &Path) -> Steps {
    let (sender, receiver) = mpsc::channel(PROGRESS_MAX);
    {
        let mut waiting = shared.upgrading();
        if waiting.is_some() || shared.is_stopping() {
            let reason = if waiting.is_some() { "an upgrade is under way" } else { "Stead is stopping" };
            return Err(Refusal::new(RefusalKind::Conflict, reason));
        }
        *waiting = Some(sender);
    }
    match shared.keeper.upgrade(program, &formats()).await {
        Ok(new) => note(shared, &format!("version {} is started", new.version)),
        Err(error) => {
            shared.upgrading().take();
            let report = Report::of(ExitCode::Failure, &error);
            return Err(report.hint("the running version goes on; nothing was interrupted").into());
        }
    }
    Ok(receiver)
}

/// What this version leaves to the next, in numbers.
pub fn formats() -> Formats {
    Formats::new(env!("CARGO_PKG_VERSION"), state::FORMAT)
}

/// The other did not come up: this daemon goes on.
pub(super) fn failed(shared: &Shared, reason: &str) {
    shared.console.say(None, &format!("the upgrade failed: {reason}; this version goes on"));
    let failed = Progress::Failed {
        app: String::new(),
        reason: reason.to_owned(),
        hint: Some("the running version goes on; nothing was interrupted".to_owned()),
        done: 0,
        of: 1,
    };
    tell(shared, failed);
}

/// Makes room, and returns when nothing is left to finish.
pub(super) async fn hand_over(shared: &Arc<Shared>, socket: OwnedFd) {
    note(shared, "the new version is up and takes over");
    shared.folder.leave();
    let Ok((sender, mut receiver)) = peer(socket) else { return };
    let way = shared.successor.begin(sender);
    shared.exchange.freeze();
    let (moves, moved) = mpsc::unbounded_channel();
    shared.lanes.retire(&moves);
    let (nothing_left, ended) = oneshot::channel();
    let passing = tokio::spawn(pass_on(moved, way.clone(), ended));
    let mut leaving = Vec::new();
    for app in shared.registry.all() {
        let (done, left) = oneshot::channel();
        // An app that ends at this moment has nothing to hand over.
        drop(app.inbox.send(Message::HandOver { done }));
        leaving.push(left);
    }
    for left in leaving {
        drop(left.await);
    }
    shared.exchange.hand_over();
    shared.keeper.handed_over();
    if matches!(receiver.next().await, Ok(Some((word, _))) if word == SERVING) {
        tell(shared, Progress::Done { apps: Vec::new() });
    }
    finish(shared).await;
    // Clients that have left the lanes may still be on their way to the successor.
    let _unheard = nothing_left.send(());
    drop(passing.await);
    way.flush().await;
    shared.access.flush().await;
}

impl AppTask {
    /// Stops listening to workers, writes down where they are, and lets what was begun be finished.
    pub(super) async fn hand_over(
        mut self,
        mut messages: mpsc::UnboundedReceiver<Message>,
        done: oneshot::Sender<()>,
    ) {
        for (id, process) in &mut self.workers {
            process.let_go().await;
            process.checkup = None;
            if let Link::Node(link) = &mut process.link
                && let Some(left) = &mut link.left
            {
                resume::pass_on(self.id, *id, left, &self.shared.successor);
            }
        }
        self.drop_hooks();
        self.computing.clear();
        self.let_go_schedules().await;
        // The last that workers said to this process.
        while let Ok(message) = messages.try_recv() {
            match message {
                Message::Node { worker, received } => self.hear_node(worker, received),
                Message::ScheduleBegan { schedule, child } => self.schedule_began(&schedule, child),
                Message::ScheduleWaits { schedule, reason } => self.schedule_waits(&schedule, &reason),
                Message::ScheduleGiven { schedule } => self.schedule_given(&schedule),
                Message::ScheduleEnded { schedule, outcome } => self.schedule_ended(&schedule, outcome),
                message => self.pass_on_connection(message),
            }
        }
        self.left_pool = self.pool.as_ref().map(Pool::hand_over);
        self.save();
        for process in self.workers.values_mut() {
            process.belongings.files.clear();
        }
        // Nobody waits if the keeper has given up meanwhile.
        let _unheard = done.send(());
        // The pools go on until this process ends; what they tell is the successor's business now.
        while let Some(message) = messages.recv().await {
            self.pass_on_connection(message);
        }
    }

    /// What the daemon before this one still asks for is asked of the next one.
    fn pass_on_connection(&self, message: Message) {
        if let (Message::Connect { worker, key, connection }, Some(way)) =
            (message, self.shared.successor.get())
        {
            // A successor that is gone leaves the connection closed, which its other side notices.
            drop(way.send(Handed::Connect { app: self.id, worker, key, connection }));
        }
    }
}

/// What was begun here ends here, within the grace period.
async fn finish(shared: &Shared) {
    let grace = shared.grace();
    if tokio::time::timeout(grace, shared.lanes.idle()).await.is_err() {
        shared.lanes.cut();
        // What does not end then is ended with this process.
        drop(tokio::time::timeout(CUT_WAIT, shared.lanes.idle()).await);
    }
    // The one before this one may still pass on clients, which then go on to the next.
    let predecessor = shared.predecessor.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(predecessor) = predecessor {
        drop(tokio::time::timeout(grace, predecessor).await);
    }
}

async fn pass_on(mut moved: mpsc::UnboundedReceiver<Moved>, way: Way, mut ended: oneshot::Receiver<()>) {
    loop {
        let next = tokio::select! {
            biased;
            next = moved.recv() => next,
            // Nobody is left who could leave.
            _ = &mut ended => return,
        };
        let Some(moved) = next else { return };
        // A successor that is gone cannot be given anything; the client sees its connection close.
        drop(way.send(Handed::Client(moved)));
    }
}

/// Takes in what the one that leaves passes on.
pub(super) async fn take_in(shared: Arc<Shared>, socket: OwnedFd) {
    let Ok((sender, receiver)) = peer(socket) else { return };
    say_serving(sender).await;
    let received = successor::receive(receiver, |handed| match handed {
        Handed::Client(moved) => {
            // Not served here any more: the next one is on duty already. A listener that is closed has no clients either.
            if let (Err(moved), Some(way)) = (shared.lanes.adopt(moved), shared.successor.get()) {
                drop(way.send(Handed::Client(moved)));
            }
        }
        Handed::Connect { app, worker, key, connection } => {
            if let Some(app) = shared.registry.by_id(app) {
                // An app that ends at this moment connects nobody.
                drop(app.inbox.send(Message::Connect { worker, key, connection }));
            }
        }
    });
    if let Err(error) = received.await {
        let text =
            format!("the old version left before it had passed on everything: {}", cli::in_one_line(&error));
        shared.console.say(None, &text);
    }
}

async fn say_serving(mut sender: PeerSender) {
    // One that is gone already does not wait for it.
    drop(sender.send(SERVING, Vec::new()).await);
}

fn note(shared: &Shared, text: &str) {
    shared.console.say(None, text);
    if let Some(waiting) = shared.upgrading().as_ref() {
        // Whoever asked may have gone.
        drop(waiting.try_send(Progress::Note { text: text.to_owned() }));
    }
}

fn tell(shared: &Shared, last: Progress) {
    if let Some(waiting) = shared.upgrading().take() {
        // Whoever asked may have gone.
        drop(waiting.try_send(last));
    }
}
