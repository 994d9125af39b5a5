//! Who there is: apps, their workers, and what is known of each. What they say is understood here and passed to whoever does it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::carrier::{Carrier, Delivery, Kind, Parcel, Turn};
use crate::envelope::{Envelope, Malformed, Word, envelope};
use crate::leader::{Leader, View};
use crate::note::Note;
use crate::requests::{Asker, Requests};
use crate::routing::{Outcome, Post, Sender};
use crate::values::{Change, Values};
use crate::{AppId, Code, Fault, Limits, WorkerId};

/// How soon it is tried again to tell a worker what it had no room for.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// Of what goes wrong in messages that nobody waits for, one in this time is written to the log of each worker's app.
const COMPLAINT_EVERY: Duration = Duration::from_secs(1);
/// A longer piece of a sentence is cut.
const QUOTE_CHARACTERS_MAX: usize = 200;

/// A worker of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Its app.
    pub app: AppId,
    /// Which of its processes.
    pub worker: WorkerId,
}

/// Everything there is to know about messages in one instance.
#[derive(Debug)]
pub struct Switchboard {
    pub(crate) apps: BTreeMap<AppId, App>,
    pub(crate) requests: Requests,
    /// Another for each process of ours; part of the names of questions.
    pub(crate) process: u32,
    pub(crate) next: u64,
    /// Who is owed a word; looked after again at that time.
    pub(crate) owed: BTreeSet<Member>,
    pub(crate) retry_at: Option<Instant>,
    /// Nothing is delivered any more: what would be, waits for the next process.
    pub(crate) parked: Option<Vec<(Member, Value)>>,
}

/// What a worker waits for that was refused, by what it knows it.
enum Call {
    /// An answer of another worker.
    Request(Option<Value>),
    /// Only to hear what became of it, if at all.
    Act(Option<Value>),
}

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) limits: Limits,
    pub(crate) stations: BTreeMap<WorkerId, Station>,
    pub(crate) values: Values,
    pub(crate) leader: Leader,
    /// Those that have ever sent an envelope.
    pub(crate) speakers: BTreeSet<WorkerId>,
}

/// One worker.
#[derive(Debug)]
pub(crate) struct Station {
    pub(crate) slot: u32,
    pub(crate) ready: bool,
    pub(crate) leaving: bool,
    pub(crate) owed: Owed,
    /// What it was told last about the leader.
    pub(crate) told: Option<View>,
    /// Messages dropped since it last took one.
    pub(crate) dropped: u64,
    /// Questions it was asked and has not answered.
    pub(crate) asked: usize,
    /// Questions it has asked and that were not answered.
    pub(crate) asking: usize,
    /// When it was asked last, in the order of all questions.
    pub(crate) asked_last: u64,
    complained: Option<Instant>,
}

/// What a worker has yet to be told.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    pub(crate) resumed: bool,
    pub(crate) leader: bool,
    /// Shared values by name, and the version of the change.
    pub(crate) values: BTreeMap<String, u64>,
    /// Since when.
    pub(crate) since: Option<Instant>,
}

impl App {
    pub(crate) fn new(name: &str, limits: Limits) -> Self {
        Self {
            name: name.to_owned(),
            limits,
            stations: BTreeMap::new(),
            values: Values::default(),
            leader: Leader::default(),
            speakers: BTreeSet::new(),
        }
    }

    pub(crate) fn called(&self, worker: WorkerId) -> Option<String> {
        self.stations.get(&worker).map(|station| format!("{}.{}", self.name, station.slot))
    }
}

impl Switchboard {
    /// An empty one. `process` is another number for each process of ours that keeps it.
    pub fn new(process: u32) -> Self {
        Self {
            apps: BTreeMap::new(),
            requests: Requests::default(),
            process,
            next: 1,
            owed: BTreeSet::new(),
            retry_at: None,
            parked: None,
        }
    }

    /// There is an app, or its name or limits are others by now.
    pub fn add_app(&mut self, id: AppId, name: &str, limits: Limits) {
        let app = self.apps.entry(id).or_insert_with(|| App::new(name, limits));
        name.clone_into(&mut app.name);
        app.limits = limits;
    }

    /// An app is gone, and with it all that was shared.
    pub fn remove_app(&mut self, id: AppId, carrier: &mut impl Carrier) {
        let workers: Vec<WorkerId> =
            self.apps.get(&id).into_iter().flat_map(|app| app.stations.keys().copied()).collect();
        for worker in workers {
            self.gone(Member { app: id, worker }, carrier);
        }
        if self.apps.remove(&id).is_some() {
            carrier.note(&Note::Forgotten { app: id });
        }
    }

    /// A worker was started, or is there still.
    pub fn join(&mut self, member: Member, slot: u32) {
        let Some(app) = self.apps.get_mut(&member.app) else { return };
        app.stations.entry(member.worker).or_insert_with(|| Station::new(slot));
    }

    /// Messages can reach a worker from now on; it is told what all know already.
    pub fn open(&mut self, member: Member, resumed: bool, turn: &mut Turn<'_, impl Carrier>) {
        let Some(app) = self.apps.get_mut(&member.app) else { return };
        let Some(station) = app.stations.get_mut(&member.worker) else { return };
        station.told = None;
        station.owed.resumed = resumed && app.speakers.contains(&member.worker);
        station.owed.leader = app.leader.view(member.worker).is_some();
        let values = app.values.all().iter();
        station.owed.values = values.map(|(name, shared)| (name.clone(), shared.version)).collect();
        self.pay(member, turn);
    }

    /// A worker can take requests and roles, or no longer.
    pub fn set_ready(&mut self, member: Member, ready: bool, turn: &mut Turn<'_, impl Carrier>) {
        if let Some(station) = self.station(member) {
            station.ready = ready;
            station.leaving &= !ready;
        }
        self.settle_leader(member.app, turn);
    }

    /// A worker is about to end: it gets no requests and has to let go of its role.
    pub fn leave(&mut self, member: Member, turn: &mut Turn<'_, impl Carrier>) {
        if let Some(station) = self.station(member) {
            station.ready = false;
            station.leaving = true;
        }
        self.settle_leader(member.app, turn);
    }

    /// A worker is dead.
    pub fn gone(&mut self, member: Member, carrier: &mut impl Carrier) {
        let Some(app) = self.apps.get_mut(&member.app) else { return };
        let known = app.speakers.remove(&member.worker)
            || app.leader.candidates().contains(&member.worker)
            || app.leader.holder().is_some_and(|(holder, _)| holder == member.worker);
        let name = app.called(member.worker).unwrap_or_else(|| app.name.clone());
        app.stations.remove(&member.worker);
        app.leader.gone(member.worker);
        self.owed.remove(&member);
        if known {
            carrier.note(&Note::Gone { member });
        }
        self.end_requests_of(member, &name, carrier);
    }

    /// Whoever follows a worker that is [gone](Self::gone) may begin. Apart from that, because it can come later.
    pub fn succeed(&mut self, app: AppId, turn: &mut Turn<'_, impl Carrier>) {
        self.settle_leader(app, turn);
    }

    /// A worker has sent an envelope that concerns pools: it speaks, as one that sends messages does.
    pub fn spoke(&mut self, member: Member, carrier: &mut impl Carrier) {
        let Some(app) = self.apps.get_mut(&member.app) else { return };
        if app.called(member.worker).is_some() && app.speakers.insert(member.worker) {
            carrier.note(&Note::Speaks { member });
        }
    }

    /// A worker has sent an envelope that [concerns](crate::concern_of) messages.
    pub fn hear(&mut self, member: Member, message: Value, turn: &mut Turn<'_, impl Carrier>) {
        let Some(app) = self.apps.get_mut(&member.app) else { return };
        let Some(name) = app.called(member.worker) else { return };
        if app.speakers.insert(member.worker) {
            turn.carrier.note(&Note::Speaks { member });
        }
        let Envelope { id, word, data } = match Envelope::parse(message) {
            Ok(envelope) => envelope,
            Err(Malformed { id, request, text }) => {
                let call = if request.is_some() { Call::Request(request) } else { Call::Act(id) };
                return self.refuse(member, call, (&Fault::new(Code::BadMessage, text), turn));
            }
        };
        let sender = Sender::worker(member, name);
        if let Word::Request { to, topic, id, timeout } = word {
            let post = Post { to, topic, include_self: false, data, timeout };
            let asker = Asker::Worker(member, id.clone());
            if let Err(fault) = self.request(&sender, (post, asker), turn) {
                self.refuse(member, Call::Request(Some(id)), (&fault, turn));
            }
            return;
        }
        match (self.act(&sender, member, (word, data, turn)), id) {
            (Ok((mut stead, data)), Some(id)) => {
                stead["ack"] = id;
                self.deliver(member, (Kind::Answer, &envelope(stead, data)), turn.carrier);
            }
            (Ok(_), None) => (),
            (Err(fault), id) => self.refuse(member, Call::Act(id), (&fault, turn)),
        }
    }

    /// Does what a worker wants, which is not a question; what it is told if it wants to know.
    fn act<C: Carrier>(
        &mut self,
        sender: &Sender,
        member: Member,
        (word, data, turn): (Word, Value, &mut Turn<'_, C>),
    ) -> Result<(Value, Option<Value>), Fault> {
        let nothing = json!({});
        let id = member.app;
        match word {
            Word::Send { to, topic, include_self } => {
                let post = Post { to, topic, include_self, data, timeout: None };
                let Outcome { receivers, dropped } = self.send(sender, post, turn)?;
                Ok((json!({ "receivers": receivers, "dropped": dropped }), None))
            }
            Word::Reply { token, error } => {
                let answer = error.map_or(Ok(data), |error| Err(Fault::told_by_worker(&error)));
                self.reply(member, (&token, answer), turn.carrier)?;
                Ok((nothing, None))
            }
            Word::Set { name, if_version } => {
                let version = self.share((id, &name), Change { data: Some(data), if_version }, turn)?;
                Ok((json!({ "version": version }), None))
            }
            Word::Unset { name, if_version } => {
                let version = self.share((id, &name), Change { data: None, if_version }, turn)?;
                Ok((json!({ "version": version }), None))
            }
            Word::Get { name } => Ok(self.shared(id, &name)),
            Word::Candidate(candidate) => {
                self.candidate(member, candidate, turn);
                Ok((nothing, None))
            }
            Word::Released(term) => {
                self.released(member, term, turn)?;
                Ok((nothing, None))
            }
            Word::Request { .. } => Ok((nothing, None)),
        }
    }

    /// Says no to a worker, in the way it waits for; to one that does not wait, in the log.
    fn refuse<C: Carrier>(&mut self, member: Member, call: Call, (fault, turn): (&Fault, &mut Turn<'_, C>)) {
        let stead = match call {
            Call::Request(id) => json!({ "reply": id, "error": fault.to_value() }),
            Call::Act(Some(id)) => json!({ "ack": id, "error": fault.to_value() }),
            Call::Act(None) => return self.complain(member, fault, turn),
        };
        self.deliver(member, (Kind::Answer, &envelope(stead, None)), turn.carrier);
    }

    fn complain(&mut self, member: Member, fault: &Fault, turn: &mut Turn<'_, impl Carrier>) {
        let (name, now) = (self.name_of(member), turn.now);
        let Some(station) = self.station(member) else { return };
        let since = station.complained.map(|last| now.saturating_duration_since(last));
        if since.is_none_or(|since| since >= COMPLAINT_EVERY) {
            station.complained = Some(now);
            let text: String = fault.message.chars().take(QUOTE_CHARACTERS_MAX).collect();
            turn.carrier.say(member.app, format!("a message of {name} was refused: {text}"));
        }
    }

    /// One parcel for one worker, or for the next process.
    pub(crate) fn deliver(
        &mut self,
        to: Member,
        (kind, envelope): (Kind, &Value),
        carrier: &mut impl Carrier,
    ) -> Delivery {
        let Some(parked) = &mut self.parked else { return carrier.deliver(to, &Parcel { kind, envelope }) };
        // The next process tells everybody the values by itself.
        let most = self.apps.get(&to.app).map_or(0, |app| app.limits.queue_max);
        if kind == Kind::Value || parked.len() >= most {
            return Delivery::Full;
        }
        parked.push((to, envelope.clone()));
        Delivery::Done
    }

    /// The time at which [`wake`](Self::wake) is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.requests.deadline().into_iter().chain(self.retry_at).min()
    }

    /// The time has come.
    pub fn wake(&mut self, turn: &mut Turn<'_, impl Carrier>) {
        self.expire_requests(turn.now, turn.carrier);
        if self.retry_at.is_some_and(|retry_at| retry_at <= turn.now) {
            self.retry_at = None;
            for member in std::mem::take(&mut self.owed) {
                self.pay(member, turn);
            }
        }
    }

    /// It could not be told everything.
    pub(crate) fn owe(&mut self, member: Member, now: Instant) {
        self.owed.insert(member);
        self.retry_at.get_or_insert(now + RETRY_AFTER);
    }

    pub(crate) fn station(&mut self, member: Member) -> Option<&mut Station> {
        self.apps.get_mut(&member.app)?.stations.get_mut(&member.worker)
    }

    /// `shop.1`.
    pub fn name_of(&self, member: Member) -> String {
        let app = self.apps.get(&member.app);
        app.and_then(|app| app.called(member.worker)).unwrap_or_else(|| "a worker that is gone".to_owned())
    }

    /// The app of this name.
    pub fn app_called(&self, name: &str) -> Option<AppId> {
        self.apps.iter().find(|(_, app)| app.name == name).map(|(id, _)| *id)
    }

    /// Messages of a worker that are on their way to others, for the daemon that follows.
    pub fn freeze(&mut self, carrier: &mut impl Carrier) {
        self.parked.get_or_insert_default();
        for call in self.requests.calls() {
            let text = "the daemon is being replaced; the question may have been understood";
            carrier.answer(call, Err(Fault::new(Code::Unavailable, text)));
        }
    }
}

impl Station {
    fn new(slot: u32) -> Self {
        Self {
            slot,
            ready: false,
            leaving: false,
            owed: Owed::default(),
            told: None,
            dropped: 0,
            asked: 0,
            asking: 0,
            asked_last: 0,
            complained: None,
        }
    }
}
