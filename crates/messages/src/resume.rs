//! Goes on with what another process knew: everything there is as notes, and back again.

use std::time::Instant;

use crate::carrier::{Carrier, Kind, Turn};
use crate::note::Note;
use crate::switchboard::{App, Member, Switchboard};
use crate::{AppId, Limits, WorkerId};

/// Of an app that is known by its number alone, until it [is there](Switchboard::add_app).
const NO_LIMITS: Limits = Limits {
    message_bytes_max: 0,
    queue_max: 0,
    queue_bytes_max: 0,
    timeout: std::time::Duration::ZERO,
    shared_bytes_max: 0,
};

impl Switchboard {
    /// Everything that must outlive this process, as the shortest list of notes.
    pub fn notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        for (id, app) in &self.apps {
            let id = *id;
            notes.push(Note::Version { app: id, version: app.values.version() });
            notes.extend(app.values.all().iter().map(|(name, shared)| Note::Value {
                app: id,
                name: name.clone(),
                version: shared.version,
                data: vec![shared.data.clone()],
            }));
            notes.push(app.leader_note(id));
            let member = |worker: &WorkerId| Member { app: id, worker: *worker };
            let candidates = app.leader.candidates().iter();
            notes
                .extend(candidates.map(|worker| Note::Candidate { member: member(worker), candidate: true }));
            notes.extend(app.speakers.iter().map(|worker| Note::Speaks { member: member(worker) }));
        }
        notes
    }

    /// What is under way at the end of a process that ends in order; nothing may be asked of it afterwards.
    pub fn hand_over(&mut self, now: Instant) -> Note {
        let parked = self.parked.take().unwrap_or_default();
        Note::HandedOver { parked, requests: self.requests.saved(now) }
    }

    /// Reads a note of the process before this one.
    pub fn restore(&mut self, note: Note, now: Instant) {
        match note {
            Note::Version { app, version } => self.known(app).values.put_version(version),
            Note::Value { app, name, version, data } => {
                self.known(app).values.put(&name, version, data.into_iter().next());
            }
            Note::Leader { app, term, holder } => self.known(app).leader.resume(term, holder),
            Note::Candidate { member, candidate } => {
                self.known(member.app).leader.candidate(member.worker, candidate);
            }
            Note::Speaks { member } => drop(self.known(member.app).speakers.insert(member.worker)),
            Note::Gone { member } => {
                let app = self.known(member.app);
                app.speakers.remove(&member.worker);
                app.leader.gone(member.worker);
            }
            Note::Forgotten { app } => drop(self.apps.remove(&app)),
            Note::HandedOver { requests, .. } => {
                requests.into_iter().for_each(|waiting| self.requests.resume(waiting, now));
            }
        }
    }

    fn known(&mut self, id: AppId) -> &mut App {
        self.apps.entry(id).or_insert_with(|| App::new("", NO_LIMITS))
    }

    /// All apps and workers that go on [have joined](Self::join): what is known of others is of dead ones.
    pub fn resumed(&mut self, turn: &mut Turn<'_, impl Carrier>) {
        let ids: Vec<AppId> = self.apps.keys().copied().collect();
        for id in ids {
            let app = &self.apps[&id];
            if app.name.is_empty() {
                self.remove_app(id, turn.carrier);
                continue;
            }
            let holder = app.leader.holder().map(|(worker, _)| worker);
            let known = app.speakers.iter().chain(app.leader.candidates()).copied().chain(holder);
            let dead: Vec<WorkerId> = known.filter(|worker| !app.stations.contains_key(worker)).collect();
            for worker in dead {
                self.gone(Member { app: id, worker }, turn.carrier);
            }
            self.settle_leader(id, turn);
        }
        for member in self.requests.receivers() {
            if self.station(member).is_none() {
                self.end_requests_of(member, "the worker that was asked", turn.carrier);
            }
        }
    }

    /// Messages that the process before this one had taken and could not deliver any more.
    pub fn deliver_parked(&mut self, parked: Vec<(Member, serde_json::Value)>, carrier: &mut impl Carrier) {
        for (to, envelope) in parked {
            // One that has no room now has none for an older message either.
            self.deliver(to, (Kind::Answer, &envelope), carrier);
        }
    }
}
