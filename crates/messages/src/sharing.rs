//! Shared values: a change goes to all workers of the app. One that has no room is told the last value when it has, and never one
//! after another.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::carrier::{Carrier, Delivery, Kind, Turn};
use crate::envelope::{check_name, envelope};
use crate::note::Note;
use crate::switchboard::{App, Member, Switchboard};
use crate::values::{Change, Shared};
use crate::{AppId, Code, Fault};

/// A worker that always has something else waiting gets a value this often.
const PATIENCE: Duration = Duration::from_secs(1);

impl Switchboard {
    /// Sets a shared value of an app, or forgets it; only if it has this version, if one is given. Returns the version.
    ///
    /// # Errors
    /// It has another version, or is too large.
    pub fn share(
        &mut self,
        (id, name): (AppId, &str),
        change: Change,
        turn: &mut Turn<'_, impl Carrier>,
    ) -> Result<u64, Fault> {
        check_name(name).map_err(|text| Fault::new(Code::BadMessage, text))?;
        let Some(app) = self.apps.get_mut(&id) else {
            return Err(Fault::new(Code::NoReceiver, "the app is gone"));
        };
        let note = change.data.clone();
        let Some(version) = app.values.change(name, change, &app.limits)? else {
            return Ok(app.values.version());
        };
        let (name, data) = (name.to_owned(), note.into_iter().collect());
        turn.carrier.note(&Note::Value { app: id, name: name.clone(), version, data });
        let workers: Vec<_> = app.stations.keys().copied().collect();
        for worker in workers {
            let member = Member { app: id, worker };
            if let Some(station) = self.station(member) {
                station.owed.values.insert(name.clone(), version);
            }
            self.pay(member, turn);
        }
        Ok(version)
    }

    /// A shared value in the words of an answer.
    pub(crate) fn shared(&self, id: AppId, name: &str) -> (Value, Option<Value>) {
        let shared = self.apps.get(&id).and_then(|app| app.values.get(name));
        let version = shared.map_or(0, |shared| shared.version);
        (json!({ "version": version }), shared.map(|shared| shared.data.clone()))
    }

    /// All shared values of an app.
    pub fn values(&self, id: AppId) -> Option<&BTreeMap<String, Shared>> {
        self.apps.get(&id).map(|app| app.values.all())
    }

    /// Tells a worker what it is owed, as far as it has room.
    pub(crate) fn pay(&mut self, member: Member, turn: &mut Turn<'_, impl Carrier>) {
        match self.pay_all(member, turn) {
            Delivery::Done => {
                if let Some(station) = self.station(member) {
                    station.owed.since = None;
                }
            }
            Delivery::Full => {
                if let Some(station) = self.station(member) {
                    station.owed.since.get_or_insert(turn.now);
                }
                self.owe(member, turn.now);
            }
            // It is told everything when it can be reached.
            Delivery::Absent => {
                if let Some(station) = self.station(member) {
                    station.owed = crate::switchboard::Owed::default();
                    station.told = None;
                }
            }
        }
    }

    fn pay_all(&mut self, member: Member, turn: &mut Turn<'_, impl Carrier>) -> Delivery {
        while let Some((kind, envelope, mark)) = self.next_owed(member, turn.now) {
            match self.deliver(member, (kind, &envelope), turn.carrier) {
                Delivery::Done => self.paid(member, mark),
                other => return other,
            }
        }
        Delivery::Done
    }

    fn next_owed(&mut self, member: Member, now: Instant) -> Option<(Kind, Value, Mark)> {
        let app = self.apps.get(&member.app)?;
        let station = app.stations.get(&member.worker)?;
        if station.owed.resumed {
            return Some((Kind::Answer, envelope(json!({ "resumed": true }), None), Mark::Resumed));
        }
        if station.owed.leader {
            return Some(match app.role_of(member.worker) {
                Some((view, stead)) => (Kind::Answer, envelope(stead, None), Mark::Leader(Some(view))),
                None => return self.nothing_about_the_leader(member, now),
            });
        }
        let (name, version) = station.owed.values.first_key_value()?;
        let waits = station.owed.since.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE);
        let kind = if waits { Kind::Message } else { Kind::Value };
        Some((kind, app.announcement(name, *version), Mark::Value(name.clone())))
    }

    fn nothing_about_the_leader(&mut self, member: Member, now: Instant) -> Option<(Kind, Value, Mark)> {
        self.station(member)?.owed.leader = false;
        self.next_owed(member, now)
    }

    fn paid(&mut self, member: Member, mark: Mark) {
        let Some(station) = self.station(member) else { return };
        match mark {
            Mark::Resumed => station.owed.resumed = false,
            Mark::Leader(view) => {
                station.owed.leader = false;
                station.told = view;
            }
            Mark::Value(name) => drop(station.owed.values.remove(&name)),
        }
    }
}

/// Which of the things that were owed.
enum Mark {
    Resumed,
    Leader(Option<crate::View>),
    Value(String),
}

impl App {
    fn announcement(&self, name: &str, version: u64) -> Value {
        match self.values.get(name) {
            Some(Shared { version, data }) => {
                envelope(json!({ "shared": name, "version": version }), Some(data.clone()))
            }
            None => envelope(json!({ "shared": name, "version": version, "gone": true }), None),
        }
    }
}
