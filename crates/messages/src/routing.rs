//! How a message, a question and its answer get to whom they are for.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::address::{Address, Which, app_and_slot};
use crate::carrier::{Carrier, Delivery, Kind, Turn};
use crate::envelope::envelope;
use crate::limits::weight;
use crate::requests::{Asker, Request, Token};
use crate::switchboard::{Member, Switchboard};
use crate::{AppId, Code, Fault, WorkerId};

/// A deadline farther away is as good as none.
const PATIENCE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// What a message from elsewhere than a worker comes from.
pub(crate) const OUTSIDE: &str = "outside";

/// Who sends.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The worker, if it is one.
    pub(crate) member: Option<Member>,
    /// The app that it speaks for; nothing: somebody outside.
    pub(crate) app: Option<AppId>,
    /// `shop.1`, `shop`, or `outside`.
    pub(crate) name: String,
}

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct Post {
    /// To whom.
    pub to: Address,
    /// What it is about.
    pub topic: Option<String>,
    /// The sender gets it too, if it is meant.
    pub include_self: bool,
    /// What it says.
    pub data: Value,
    /// How long an answer is waited for, if it is a question and says so.
    pub timeout: Option<Duration>,
}

/// How many got a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// It is on its way to so many.
    pub receivers: usize,
    /// So many had no room for it.
    pub dropped: usize,
}

/// For whom a message is, found out.
enum Target {
    /// Workers of all these apps.
    Each(Vec<AppId>),
    /// The first of these that takes it.
    First(Vec<Member>),
}

impl Sender {
    /// Nobody's worker.
    pub fn outside() -> Self {
        Self { member: None, app: None, name: OUTSIDE.to_owned() }
    }

    /// A worker, by its name.
    pub fn worker(member: Member, name: String) -> Self {
        Self { member: Some(member), app: Some(member.app), name }
    }

    /// What belongs to an app and is none of its workers: a hook, a scheduled command.
    pub fn of_app(app: AppId, name: String) -> Self {
        Self { member: None, app: Some(app), name }
    }
}

impl Switchboard {
    /// Sends a message.
    ///
    /// # Errors
    /// Nobody can be meant, it is too large, or the one who is meant has no room.
    pub fn send(
        &mut self,
        sender: &Sender,
        post: Post,
        turn: &mut Turn<'_, impl Carrier>,
    ) -> Result<Outcome, Fault> {
        self.check_size(sender, &post)?;
        let target = self.target(sender, &post)?;
        let include_self = post.include_self;
        let envelope = message(sender, post, None);
        match target {
            Target::Each(apps) => {
                let mut all = Outcome::default();
                for member in self.members_of(&apps) {
                    if include_self || sender.member != Some(member) {
                        let one = self.send_one(member, &envelope, turn.carrier);
                        all.receivers += one.receivers;
                        all.dropped += one.dropped;
                    }
                }
                Ok(all)
            }
            Target::First(members) => {
                let mut full = None;
                for member in members {
                    match self.deliver(member, (Kind::Message, &envelope), turn.carrier) {
                        Delivery::Done => return Ok(self.count(member, Delivery::Done, turn.carrier)),
                        Delivery::Full => full = full.or(Some(member)),
                        Delivery::Absent => (),
                    }
                }
                // Dropped is only what nobody has room for.
                full.map(|member| self.count(member, Delivery::Full, turn.carrier)).ok_or_else(deaf)
            }
        }
    }

    fn send_one(&mut self, member: Member, envelope: &Value, carrier: &mut impl Carrier) -> Outcome {
        let delivery = self.deliver(member, (Kind::Message, envelope), carrier);
        self.count(member, delivery, carrier)
    }

    /// Counts what became of a message to a worker, and tells when it begins to be dropped and when that ends.
    fn count(&mut self, member: Member, delivery: Delivery, carrier: &mut impl Carrier) -> Outcome {
        let Some(app) = self.apps.get_mut(&member.app) else { return Outcome::default() };
        let Some(station) = app.stations.get_mut(&member.worker) else { return Outcome::default() };
        let name = format_args!("{}.{}", app.name, station.slot);
        match delivery {
            Delivery::Done => {
                let dropped = std::mem::take(&mut station.dropped);
                if dropped > 0 {
                    carrier
                        .say(member.app, format!("{name} reads its messages again; {dropped} were dropped"));
                }
                Outcome { receivers: 1, dropped: 0 }
            }
            Delivery::Full => {
                station.dropped += 1;
                if station.dropped == 1 {
                    let text =
                        format!("{name} does not read its messages; new ones are dropped until it does");
                    carrier.say(member.app, text);
                }
                Outcome { receivers: 0, dropped: 1 }
            }
            Delivery::Absent => Outcome::default(),
        }
    }

    /// Asks one worker. The answer goes to the asker, once.
    pub(crate) fn request(
        &mut self,
        sender: &Sender,
        (post, asker): (Post, Asker),
        turn: &mut Turn<'_, impl Carrier>,
    ) -> Result<(), Fault> {
        self.check_size(sender, &post)?;
        let members = match self.target(sender, &post)? {
            Target::First(members) => members,
            Target::Each(apps) => match apps.as_slice() {
                [app] => self.by_load(*app, sender.member.filter(|_| !post.include_self)),
                _ => {
                    let text = "a request is for one worker, and not for all";
                    return Err(Fault::new(Code::BadMessage, text));
                }
            },
        };
        let Some(limits) =
            members.first().and_then(|member| self.apps.get(&member.app)).map(|app| app.limits)
        else {
            return Err(Fault::new(Code::NoReceiver, "no worker that could answer is ready"));
        };
        self.admit(&asker, limits.queue_max)?;
        let token = Token(self.process, self.next);
        let patience = post.timeout.unwrap_or(limits.timeout).min(PATIENCE_MAX);
        let envelope = message(sender, post, Some(token));
        let mut full = false;
        for member in members {
            match self.deliver(member, (Kind::Message, &envelope), turn.carrier) {
                Delivery::Done => {
                    self.next += 1;
                    self.under_way((&asker, member), token.1, true);
                    self.requests.add(token, (asker, member), turn.now + patience);
                    return Ok(());
                }
                Delivery::Full => full = true,
                Delivery::Absent => (),
            }
        }
        match full {
            true => Err(Fault::new(Code::Full, "no worker that could answer has room for a request")),
            false => Err(deaf()),
        }
    }

    /// Asks one worker for somebody outside, or for a worker that waits for the answer to a call of this number.
    ///
    /// # Errors
    /// Nobody can be asked, it is too large, or nobody has room.
    pub fn call(
        &mut self,
        sender: &Sender,
        (post, call): (Post, u64),
        turn: &mut Turn<'_, impl Carrier>,
    ) -> Result<(), Fault> {
        self.request(sender, (post, Asker::Call(call)), turn)
    }

    /// Nobody waits for the answer to this call any more.
    pub fn hang_up(&mut self, call: u64) {
        if let Some((token, request)) = self.requests.find_call(call) {
            self.requests.take(token);
            self.under_way((&request.asker, request.receiver), 0, false);
        }
    }

    /// A worker answers.
    ///
    /// # Errors
    /// It was not asked, or its answer came too late.
    pub fn reply(
        &mut self,
        member: Member,
        (token, answer): (&str, Result<Value, Fault>),
        carrier: &mut impl Carrier,
    ) -> Result<(), Fault> {
        let found = Token::parse(token).and_then(|token| self.requests.answered(token, member));
        let Some(request) = found else {
            let text = "no request of this name waits for an answer; it may have come too late";
            return Err(Fault::new(Code::UnknownRequest, text));
        };
        let from = self.name_of(member);
        self.conclude(&request, answer.map(|data| (from, data)), carrier);
        Ok(())
    }

    pub(crate) fn expire_requests(&mut self, now: Instant, carrier: &mut impl Carrier) {
        while let Some(request) = self.requests.expired(now) {
            let name = self.name_of(request.receiver);
            let fault = Fault::new(Code::Timeout, format!("{name} did not answer in time"));
            self.conclude(&request, Err(fault), carrier);
        }
    }

    pub(crate) fn end_requests_of(&mut self, member: Member, name: &str, carrier: &mut impl Carrier) {
        for request in self.requests.of(member) {
            let fault = Fault::new(Code::WorkerGone, format!("{name} ended before it had answered"));
            self.conclude(&request, Err(fault), carrier);
        }
    }

    fn conclude(
        &mut self,
        request: &Request,
        answer: Result<(String, Value), Fault>,
        carrier: &mut impl Carrier,
    ) {
        self.under_way((&request.asker, request.receiver), 0, false);
        match &request.asker {
            Asker::Call(call) => carrier.answer(*call, answer),
            Asker::Worker(member, id) => {
                let envelope = match answer {
                    Ok((from, data)) => envelope(json!({ "reply": id, "from": from }), Some(data)),
                    Err(fault) => envelope(json!({ "reply": id, "error": fault.to_value() }), None),
                };
                self.deliver(*member, (Kind::Answer, &envelope), carrier);
            }
        }
    }

    /// Counts what each of both has under way.
    fn under_way(&mut self, (asker, receiver): (&Asker, Member), number: u64, begins: bool) {
        let change = |count: &mut usize| *count = if begins { *count + 1 } else { count.saturating_sub(1) };
        if let Some(station) = self.station(receiver) {
            change(&mut station.asked);
            station.asked_last = station.asked_last.max(number);
        }
        if let Asker::Worker(asker, _) = asker
            && let Some(station) = self.station(*asker)
        {
            change(&mut station.asking);
        }
    }

    fn admit(&mut self, asker: &Asker, queue_max: usize) -> Result<(), Fault> {
        let under_way = match asker {
            Asker::Worker(asker, _) => self.station(*asker).map_or(0, |station| station.asking),
            Asker::Call(_) => self.requests.calls_waiting(),
        };
        match under_way < queue_max {
            true => Ok(()),
            false => {
                Err(Fault::new(Code::Full, format!("{under_way} requests wait for their answers already")))
            }
        }
    }

    fn check_size(&self, sender: &Sender, post: &Post) -> Result<(), Fault> {
        // One outside has the limits of the most generous app.
        let limits = |app: &crate::switchboard::App| app.limits.message_bytes_max;
        let most = match sender.app {
            Some(app) => self.apps.get(&app).map(limits),
            None => self.apps.values().map(limits).max(),
        };
        let bytes = weight(&post.data) + post.topic.as_ref().map_or(0, String::len);
        match most.filter(|most| bytes > *most) {
            Some(most) => {
                let text = format!("the message has about {bytes} bytes, and `message_bytes_max` is {most}");
                Err(Fault::new(Code::TooLarge, text))
            }
            None => Ok(()),
        }
    }

    fn target(&self, sender: &Sender, post: &Post) -> Result<Target, Fault> {
        let own = || {
            let text = "the sender is no worker, so it has no app of its own; name one";
            sender.app.ok_or_else(|| Fault::new(Code::BadMessage, text))
        };
        match &post.to {
            Address::All => Ok(Target::Each(self.apps.keys().copied().collect())),
            Address::App => Ok(Target::Each(vec![own()?])),
            Address::Leader => self.which(own()?, Which::Leader, sender),
            Address::Any => self.which(own()?, Which::One, sender),
            Address::Parts { app, which } => {
                let id = self.app_called(app).ok_or_else(|| self.no_app(app))?;
                which.map_or(Ok(Target::Each(vec![id])), |which| self.which(id, which, sender))
            }
            Address::Name(name) => match (self.app_called(name), app_and_slot(name)) {
                (Some(id), _) => Ok(Target::Each(vec![id])),
                (None, Some((app, slot))) => {
                    let id = self.app_called(app).ok_or_else(|| self.no_app(app))?;
                    self.which(id, Which::Slot(slot), sender)
                }
                (None, None) => Err(self.no_app(name)),
            },
        }
    }

    fn which(&self, id: AppId, which: Which, sender: &Sender) -> Result<Target, Fault> {
        let app = &self.apps[&id];
        let member = |worker| Member { app: id, worker };
        let (found, missing) = match which {
            Which::One => (self.by_load(id, sender.member), "no worker that is ready".to_owned()),
            Which::Leader => {
                let holder = app.leader.holder().map(|(worker, _)| member(worker));
                (
                    holder.into_iter().collect(),
                    "no leader; a worker leads when it has said `candidate`".to_owned(),
                )
            }
            Which::Slot(slot) => {
                let mut of_slot: Vec<_> =
                    app.stations.iter().filter(|(_, station)| station.slot == slot).collect();
                // While one takes the place of another, it is for the one that serves.
                of_slot.sort_by_key(|(worker, station)| std::cmp::Reverse((station.ready, **worker)));
                (
                    of_slot.into_iter().map(|(worker, _)| member(*worker)).collect(),
                    format!("no worker in slot {slot}"),
                )
            }
        };
        match found.is_empty() {
            true => Err(Fault::new(Code::NoReceiver, format!("app `{}` has {missing}", app.name))),
            false => Ok(Target::First(found)),
        }
    }

    /// Its ready workers, the one with the fewest questions first, then in turn; the sender, if it is one of them, last.
    fn by_load(&self, id: AppId, sender: Option<Member>) -> Vec<Member> {
        let Some(app) = self.apps.get(&id) else { return Vec::new() };
        let member = |worker: &WorkerId| Member { app: id, worker: *worker };
        let mut ready: Vec<_> = app.stations.iter().filter(|(_, station)| station.ready).collect();
        ready.sort_by_key(|(worker, station)| {
            (sender == Some(member(worker)), station.asked, station.asked_last)
        });
        ready.into_iter().map(|(worker, _)| member(worker)).collect()
    }

    fn members_of(&self, apps: &[AppId]) -> Vec<Member> {
        let members = |id: &AppId| {
            let app = *id;
            let stations = self.apps.get(id).into_iter().flat_map(|app| app.stations.keys());
            stations.map(move |worker| Member { app, worker: *worker })
        };
        apps.iter().flat_map(members).collect()
    }

    pub(crate) fn no_app(&self, name: &str) -> Fault {
        let known: Vec<String> = self.apps.values().map(|app| format!("`{}`", app.name)).collect();
        Fault::new(Code::NoReceiver, format!("there is no app `{name}`; there are {}", known.join(", ")))
    }
}

fn deaf() -> Fault {
    let text = "it takes no messages: only Node.js programs do, and workers with an open stream";
    Fault::new(Code::NoReceiver, text)
}

fn message(sender: &Sender, post: Post, token: Option<Token>) -> Value {
    let mut stead = json!({ "from": sender.name });
    if let Some(topic) = post.topic {
        stead["topic"] = topic.into();
    }
    if let Some(token) = token {
        stead["request"] = token.to_string().into();
    }
    envelope(stead, Some(post.data))
}
