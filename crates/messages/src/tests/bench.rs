//! An instance on the table: workers that hear, or do not, and what is noted, said and answered.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Answer, AppId, Carrier, Delivery, Kind, Limits, Member, Note, Parcel, Switchboard, Turn};

pub(super) const LIMITS: Limits = Limits {
    message_bytes_max: 1000,
    queue_max: 3,
    queue_bytes_max: 10_000,
    timeout: Duration::from_secs(30),
    shared_bytes_max: 5000,
};

/// What everybody has heard, and how full their queues are.
#[derive(Default)]
pub(super) struct Post {
    pub(super) heard: BTreeMap<Member, Vec<Value>>,
    /// Messages that wait for those who do not read.
    pub(super) waiting: HashMap<Member, usize>,
    pub(super) notes: Vec<Note>,
    pub(super) said: Vec<String>,
    pub(super) answers: Vec<(u64, Answer)>,
}

impl Carrier for Post {
    fn deliver(&mut self, to: Member, parcel: &Parcel<'_>) -> Delivery {
        let Some(heard) = self.heard.get_mut(&to) else { return Delivery::Absent };
        let waiting = self.waiting.get_mut(&to);
        let room = match parcel.kind {
            Kind::Value => 1,
            Kind::Message => LIMITS.queue_max,
            Kind::Answer => 2 * LIMITS.queue_max,
        };
        if let Some(waiting) = waiting {
            if *waiting >= room {
                return Delivery::Full;
            }
            *waiting += 1;
        }
        heard.push(parcel.envelope.clone());
        Delivery::Done
    }

    fn answer(&mut self, call: u64, answer: Answer) {
        self.answers.push((call, answer));
    }

    fn note(&mut self, note: &Note) {
        self.notes.push(note.clone());
    }

    fn say(&mut self, _app: AppId, text: String) {
        self.said.push(text);
    }
}

pub(super) struct Bench {
    pub(super) board: Switchboard,
    pub(super) post: Post,
    pub(super) now: Instant,
}

impl Bench {
    /// Apps by name, and how many workers each has: all ready, the first app's are numbered 0.0, 0.1 and so on.
    pub(super) fn of(apps: &[(&str, u32)]) -> Bench {
        let mut bench = Bench { board: Switchboard::new(1), post: Post::default(), now: Instant::now() };
        for (id, (name, workers)) in apps.iter().enumerate() {
            bench.board.add_app(id as AppId, name, LIMITS);
            for slot in 0..*workers {
                bench.start(id as AppId, slot, slot.into());
            }
        }
        bench
    }

    pub(super) fn act<T>(&mut self, act: impl FnOnce(&mut Switchboard, &mut Turn<'_, Post>) -> T) -> T {
        act(&mut self.board, &mut Turn { now: self.now, carrier: &mut self.post })
    }

    pub(super) fn start(&mut self, app: AppId, slot: u32, worker: u64) {
        let member = Member { app, worker };
        self.board.join(member, slot);
        self.post.heard.insert(member, Vec::new());
        self.act(|board, turn| board.open(member, false, turn));
        self.act(|board, turn| board.set_ready(member, true, turn));
    }

    pub(super) fn kill(&mut self, app: AppId, worker: u64) {
        let member = Member { app, worker };
        self.post.heard.remove(&member);
        self.board.gone(member, &mut self.post);
        self.act(|board, turn| board.succeed(app, turn));
    }

    /// It stops reading.
    pub(super) fn stall(&mut self, app: AppId, worker: u64) {
        self.post.waiting.insert(Member { app, worker }, 0);
    }

    /// It reads again.
    pub(super) fn read(&mut self, app: AppId, worker: u64) {
        self.post.waiting.remove(&Member { app, worker });
    }

    pub(super) fn says(&mut self, app: AppId, worker: u64, message: Value) {
        self.act(|board, turn| board.hear(Member { app, worker }, message, turn));
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.act(|board, turn| board.wake(turn));
    }

    /// What a worker has heard since it was asked last: what is in `stead`, and the data behind an arrow.
    #[track_caller]
    pub(super) fn hears(&mut self, app: AppId, worker: u64, expected: &[&str]) {
        let heard = std::mem::take(self.post.heard.get_mut(&Member { app, worker }).expect("it lives"));
        let text = |envelope: &Value| match envelope.get("data") {
            Some(data) => format!("{} -> {data}", envelope["stead"]),
            None => envelope["stead"].to_string(),
        };
        let found: Vec<String> = heard.iter().map(text).collect();
        assert_eq!(found, expected, "worker {app}.{worker}");
    }

    /// The only thing it has heard, which is a question; its token.
    #[track_caller]
    pub(super) fn is_asked(&mut self, app: AppId, worker: u64) -> String {
        let heard = std::mem::take(self.post.heard.get_mut(&Member { app, worker }).expect("it lives"));
        assert_eq!(heard.len(), 1, "{heard:?}");
        heard[0]["stead"]["request"].as_str().expect("a question has a token").to_owned()
    }

    /// The process that keeps all this dies, or ends in order, and another goes on.
    pub(super) fn replace(&mut self, in_order: bool) {
        let mut notes = std::mem::take(&mut self.post.notes);
        if in_order {
            self.board.freeze(&mut self.post);
            notes.push(self.board.hand_over(self.now));
        }
        // What is written is read by another version.
        let text: Vec<String> = notes.iter().map(|note| serde_json::to_string(note).unwrap()).collect();
        let mut board = Switchboard::new(2);
        for line in text {
            board.restore(serde_json::from_str(&line).unwrap(), self.now);
        }
        self.board = board;
        self.post.notes = self.board.notes();
    }
}

pub(super) fn to(to: impl Into<Value>, data: impl Into<Value>) -> Value {
    json!({ "stead": { "to": to.into() }, "data": data.into() })
}
