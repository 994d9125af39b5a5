//! The leader of each app, among the other things that workers are told.

use serde_json::{Value, json};

use crate::carrier::{Carrier, Turn};
use crate::leader::{Standing, View};
use crate::note::Note;
use crate::switchboard::{App, Member, Switchboard};
use crate::{AppId, Code, Fault, WorkerId};

impl Switchboard {
    /// A worker wants to lead its app, or no longer.
    pub fn candidate(&mut self, member: Member, candidate: bool, turn: &mut Turn<'_, impl Carrier>) {
        let Some(app) = self.apps.get_mut(&member.app) else { return };
        if !app.stations.contains_key(&member.worker) {
            return;
        }
        if app.leader.candidate(member.worker, candidate) {
            turn.carrier.note(&Note::Candidate { member, candidate });
        }
        if let Some(station) = self.station(member) {
            // Whoever asks is told again.
            station.told = None;
        }
        self.settle_leader(member.app, turn);
    }

    /// A worker has let go of the role.
    ///
    /// # Errors
    /// It does not have it, or not in this term.
    pub fn released(
        &mut self,
        member: Member,
        term: u64,
        turn: &mut Turn<'_, impl Carrier>,
    ) -> Result<(), Fault> {
        let Some(app) = self.apps.get_mut(&member.app) else { return Ok(()) };
        let was_candidate = app.leader.candidates().contains(&member.worker);
        if !app.leader.released(member.worker, term) {
            let text = format!("{} does not lead in term {term}", self.name_of(member));
            return Err(Fault::new(Code::NotLeader, text));
        }
        if was_candidate && !app.leader.candidates().contains(&member.worker) {
            turn.carrier.note(&Note::Candidate { member, candidate: false });
        }
        turn.carrier.note(&app.leader_note(member.app));
        self.settle_leader(member.app, turn);
        Ok(())
    }

    /// Who leads an app, and in which term.
    pub fn leader(&self, id: AppId) -> Option<(Option<Member>, u64)> {
        let app = self.apps.get(&id)?;
        let holder = app.leader.holder().map(|(worker, _)| Member { app: id, worker });
        Some((holder, app.leader.term()))
    }

    /// Lets the role go where it has to, and tells whom it concerns.
    pub(crate) fn settle_leader(&mut self, id: AppId, turn: &mut Turn<'_, impl Carrier>) {
        let Some(app) = self.apps.get_mut(&id) else { return };
        let App { leader, stations, .. } = app;
        let standing = |worker: WorkerId| match stations.get(&worker) {
            Some(station) if station.leaving => Standing::Leaving,
            Some(station) if station.ready => Standing::Ready,
            // One that nothing is known of yet: the daemon before this one knew it.
            _ => Standing::NotReady,
        };
        if leader.settle(standing) {
            turn.carrier.note(&app.leader_note(id));
        }
        let changed = |(worker, station): (&WorkerId, &mut crate::switchboard::Station)| {
            let view = app.leader.view(*worker);
            station.owed.leader = view.is_some() && view != station.told;
            station.owed.leader.then_some(*worker)
        };
        let workers: Vec<WorkerId> = app.stations.iter_mut().filter_map(changed).collect();
        for worker in workers {
            self.pay(Member { app: id, worker }, turn);
        }
    }
}

impl App {
    pub(crate) fn leader_note(&self, id: AppId) -> Note {
        Note::Leader { app: id, term: self.leader.term(), holder: self.leader.holder() }
    }

    /// What a worker is to be told about the leader.
    pub(crate) fn role_of(&self, worker: WorkerId) -> Option<(View, Value)> {
        let view = self.leader.view(worker)?;
        let stead = match view {
            View::Leads { term } => {
                json!({ "leader": true, "term": term, "who": self.called(worker) })
            }
            View::Releases { term } => json!({ "leader": false, "term": term, "who": null }),
            View::Follows { term, who } => json!({ "leader": false, "term": term, "who": self.called(who) }),
        };
        Some((view, stead))
    }
}
