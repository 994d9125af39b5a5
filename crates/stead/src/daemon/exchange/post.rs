//! Carries what the switchboard decides: into channels and streams, as far as they have room, to calls, notes and the log.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use stead_control::Heard;
use stead_messages::{Answer, AppId, Carrier, Delivery, Kind, Limits, Member, Note, Parcel};
use stead_process::node::Channel;
use tokio::sync::{mpsc, oneshot};

use super::journal::Journal;
use super::mailbox::Mailbox;
use super::stream::Stream;

/// Writes a line into the log of an app.
pub(crate) type Say = Arc<dyn Fn(String) + Send + Sync>;

/// An app.
pub(super) struct Subscriber {
    pub(super) limits: Limits,
    /// As whom its workers run, if not as the daemon does.
    pub(super) user: Option<u32>,
    pub(super) say: Say,
}

pub(super) struct PostOffice {
    pub(super) journal: Journal,
    apps: BTreeMap<AppId, Subscriber>,
    mailboxes: HashMap<Member, Mailbox>,
    calls: HashMap<u64, oneshot::Sender<Answer>>,
    next_call: u64,
    /// A worker that does not keep up with what it was just sent.
    pub(super) slow: Option<Member>,
}

impl PostOffice {
    pub(super) fn new(journal: Journal) -> Self {
        Self {
            journal,
            apps: BTreeMap::new(),
            mailboxes: HashMap::new(),
            calls: HashMap::new(),
            next_call: 0,
            slow: None,
        }
    }

    pub(super) fn know(&mut self, app: AppId, subscriber: Subscriber) {
        let of_app = self.mailboxes.iter_mut().filter(|(member, _)| member.app == app);
        of_app.for_each(|(_, mailbox)| mailbox.limits = subscriber.limits);
        self.apps.insert(app, subscriber);
    }

    /// Whether workers of some app run as this user.
    pub(super) fn is_user(&self, user: u32) -> bool {
        self.apps.values().any(|app| app.user == Some(user))
    }

    /// Whether its workers, and its commands, run as this user.
    pub(super) fn runs_as(&self, app: AppId, user: u32) -> bool {
        self.apps.get(&app).is_some_and(|app| app.user == Some(user))
    }

    pub(super) fn forget(&mut self, app: AppId) {
        self.apps.remove(&app);
    }

    pub(super) fn join(&mut self, member: Member, pid: u32) {
        if let Some(Subscriber { limits, .. }) = self.apps.get(&member.app) {
            self.mailboxes.insert(member, Mailbox::new(pid, *limits));
        }
    }

    /// Its channel has not ended.
    pub(super) fn has_channel(&self, member: Member) -> bool {
        self.mailboxes.get(&member).is_some_and(|mailbox| mailbox.channel.is_some())
    }

    /// See [`Mailbox::lag`].
    pub(super) fn lag(&mut self, member: Member) -> Option<u64> {
        self.mailboxes.get_mut(&member)?.lag()
    }

    /// See [`Mailbox::judge`].
    pub(super) fn judge(&mut self, member: Member, before: u64) {
        if let Some(mailbox) = self.mailboxes.get_mut(&member) {
            mailbox.judge(before);
        }
    }

    pub(super) fn part(&mut self, member: Member) {
        self.mailboxes.remove(&member);
    }

    pub(super) fn connect(&mut self, member: Member, channel: Channel) {
        if let Some(mailbox) = self.mailboxes.get_mut(&member) {
            mailbox.channel = Some(channel);
        }
    }

    pub(super) fn disconnect(&mut self, member: Member) {
        if let Some(mailbox) = self.mailboxes.get_mut(&member) {
            mailbox.channel = None;
        }
    }

    /// A worker listens over HTTP; the stream before this one ends.
    pub(super) fn listen(&mut self, member: Member) -> mpsc::Receiver<Heard> {
        let most = self.apps.get(&member.app).map_or(1, |app| app.limits.queue_max.saturating_mul(2));
        let (stream, receiver) = Stream::open(most);
        if let Some(mailbox) = self.mailboxes.get_mut(&member) {
            mailbox.stream = Some(stream);
        }
        receiver
    }

    /// A call that will be answered, by its number.
    pub(super) fn call(&mut self) -> (u64, oneshot::Receiver<Answer>) {
        let (sender, answer) = oneshot::channel();
        self.next_call += 1;
        self.calls.insert(self.next_call, sender);
        (self.next_call, answer)
    }

    /// Nobody waits for it any more.
    pub(super) fn hang_up(&mut self, call: u64) {
        self.calls.remove(&call);
    }

    /// The processes of an app's workers.
    pub(super) fn pids(&self) -> impl Iterator<Item = (Member, u32)> {
        self.mailboxes.iter().map(|(member, mailbox)| (*member, mailbox.pid))
    }
}

impl Carrier for PostOffice {
    fn deliver(&mut self, to: Member, parcel: &Parcel<'_>) -> Delivery {
        let Some(mailbox) = self.mailboxes.get_mut(&to) else { return Delivery::Absent };
        let delivery = mailbox.put(parcel.kind, parcel.envelope);
        if parcel.kind == Kind::Message && delivery == Delivery::Done && mailbox.lag().is_some() {
            self.slow = Some(to);
        }
        delivery
    }

    fn answer(&mut self, call: u64, answer: Answer) {
        if let Some(waiting) = self.calls.remove(&call) {
            // Whoever asked may have gone.
            drop(waiting.send(answer));
        }
    }

    fn note(&mut self, note: &Note) {
        self.journal.write(note);
    }

    fn say(&mut self, app: AppId, text: String) {
        if let Some(app) = self.apps.get(&app) {
            (app.say)(text);
        }
    }
}
