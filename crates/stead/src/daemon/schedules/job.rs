//! One run of a scheduled command, from the record of its beginning to its end. It does not end with the daemon: the next one
//! takes it over, with what it prints.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use stead_process::keeper::{ChildId, Exit, Keeper, Signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::errand::{Begun, Errand, ErrandError};
use super::super::message::Message;

/// How long the end of a process that was killed is waited for.
const KILLED_WAIT: Duration = Duration::from_secs(10);

/// How a run is seen to its end.
pub(super) struct Watch {
    pub(super) schedule: String,
    pub(super) keeper: Keeper,
    /// Under this name the keeper holds the pipe of what it prints.
    pub(super) held_as: String,
    /// What is left of its time.
    pub(super) limit: Duration,
    /// From SIGTERM to SIGKILL.
    pub(super) kill_after: Duration,
    pub(super) inbox: mpsc::UnboundedSender<Message>,
}

/// A run.
pub(super) struct Job {
    /// Known as soon as it has begun.
    pub(super) child: Option<ChildId>,
    instructions: Option<oneshot::Sender<Instruction>>,
    task: JoinHandle<()>,
}

enum Instruction {
    /// It is to end.
    End,
    /// It is another daemon's from now on.
    LetGo,
}

impl Job {
    /// Begins once its record is on the disk.
    pub(super) fn begin(watch: Watch, errand: Errand, recorded: oneshot::Receiver<io::Result<()>>) -> Self {
        let (instructions, heard) = oneshot::channel();
        let task = tokio::spawn(async move {
            if let Ok(Err(error)) = recorded.await {
                let text = format!("schedule `{}` may run twice after a crash: {error}", watch.schedule);
                watch.tell(Message::Say(text));
            }
            match watch.start(errand).await {
                Ok(begun) => {
                    let (schedule, child) = (watch.schedule.clone(), begun.child);
                    watch.tell(Message::ScheduleBegan { schedule, child });
                    watch.see_through(begun, heard).await;
                }
                Err(error) => watch.ended(Err(crate::cli::in_one_line(&error))),
            }
        });
        Self { child: None, instructions: Some(instructions), task }
    }

    /// Goes on with a run of the daemon before this one.
    pub(super) fn resume(watch: Watch, errand: Errand, (child, reader): (ChildId, OwnedFd)) -> Self {
        let (instructions, heard) = oneshot::channel();
        let begun = errand.attend(child, reader);
        let task = tokio::spawn(watch.see_through(begun, heard));
        Self { child: Some(child), instructions: Some(instructions), task }
    }

    /// Asks it to end, as a worker is asked.
    pub(super) fn end(&mut self) {
        if let Some(instructions) = self.instructions.take() {
            // It may have ended just now.
            drop(instructions.send(Instruction::End));
        }
    }

    /// Stops reading what it prints, and leaves it to the next daemon.
    pub(super) async fn let_go(&mut self) {
        let heard = self
            .instructions
            .take()
            .is_some_and(|instructions| instructions.send(Instruction::LetGo).is_ok());
        if !heard {
            // It is ending. What it still prints is for the next daemon.
            self.task.abort();
        }
        drop((&mut self.task).await);
    }
}

impl Watch {
    async fn start(&self, errand: Errand) -> Result<Begun, ErrandError> {
        let (reader, writer) = io::pipe()?;
        self.keeper.hold(&self.held_as, reader.as_fd())?;
        let errors = writer.try_clone()?;
        errand.begin(reader.into(), [writer, errors]).await
    }

    async fn see_through(self, mut begun: Begun, mut instructions: oneshot::Receiver<Instruction>) {
        let (exit, reason) = tokio::select! {
            exit = begun.exit() => (exit, None),
            () = tokio::time::sleep(self.limit) => {
                (self.end(&mut begun).await, Some("it took longer than its `timeout`"))
            }
            instruction = &mut instructions => match instruction {
                Ok(Instruction::End) => (self.end(&mut begun).await, Some("the app was stopped")),
                Ok(Instruction::LetGo) | Err(_) => return begun.let_go().await,
            },
        };
        let line = begun.last_line().await;
        self.ended(match reason {
            None if exit.code == Some(0) => Ok(()),
            None => Err(ErrandError::Failed { exit, line }.to_string()),
            Some(reason) => Err(reason.to_owned()),
        });
    }

    /// Politely first.
    async fn end(&self, begun: &mut Begun) -> Exit {
        self.keeper.signal(begun.child, Signal::TERM);
        if let Ok(exit) = timeout(self.kill_after, begun.exit()).await {
            return exit;
        }
        self.keeper.signal(begun.child, Signal::KILL);
        timeout(KILLED_WAIT, begun.exit()).await.unwrap_or_default()
    }

    fn ended(self, outcome: Result<(), String>) {
        self.keeper.release(&self.held_as);
        let schedule = self.schedule.clone();
        self.tell(Message::ScheduleEnded { schedule, outcome });
    }

    fn tell(&self, message: Message) {
        // An app that has ended meanwhile does not mind.
        drop(self.inbox.send(message));
    }
}
