//! What workers ask for over the API, put to the switchboard; and who they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_control::{
    Caller, Fault, Heard, Leadership, Messenger, Peer, Post, Posted, Reply, Share, SharedValue,
};
use stead_messages::{self as messages, Address, Member, Sender};
use tokio::sync::mpsc;

use super::super::operator::Desk;
use super::{Exchange, State};

/// A worker's process may have so many between itself and the one that asks.
const ANCESTORS_MAX: usize = 64;

impl Messenger for Desk {
    fn admits(&self, peer: Peer) -> bool {
        is_own(peer.user) || self.0.exchange.with(|state| state.post.is_user(peer.user))
    }

    async fn post(&self, caller: Caller, post: Post) -> Result<Posted, Fault> {
        let timeout = post.patience();
        let Post { to, topic, data, include_self, request, .. } = post;
        let to = Address::parse(&to).map_err(|text| Fault::new("bad_message", text))?;
        let post = messages::Post { to, topic, include_self, data, timeout };
        let exchange = &self.0.exchange;
        let sender = exchange.sender(&caller)?;
        if !request {
            let (sent, slow) =
                exchange.act(|board, turn| (board.send(&sender, post, turn), turn.carrier.slow.take()));
            if let Some(slow) = slow {
                exchange.give_way(slow).await;
            }
            let messages::Outcome { receivers, dropped } = sent.map_err(fault)?;
            return Ok(Posted::Sent { receivers, dropped });
        }
        let waiting = exchange.act(|board, turn| {
            let (call, answer) = turn.carrier.call();
            let asked = board.call(&sender, (post, call), turn);
            asked.map(|()| (call, answer)).inspect_err(|_| turn.carrier.hang_up(call))
        });
        let (call, answer) = waiting.map_err(fault)?;
        let _line = Line { exchange: Arc::clone(exchange), call };
        let answer = answer.await.map_err(|_| Fault::new("unavailable", "the daemon ends"))?;
        answer.map(|(from, data)| Posted::Answered { from, data }).map_err(fault)
    }

    async fn listen(&self, caller: Caller) -> Result<mpsc::Receiver<Heard>, Fault> {
        let member = self.0.exchange.member(&caller)?;
        Ok(self.0.exchange.with(|state| {
            let receiver = state.post.listen(member);
            state.opened(member);
            receiver
        }))
    }

    fn reply(&self, caller: Caller, token: &str, reply: Reply) -> Result<(), Fault> {
        let member = self.0.exchange.member(&caller)?;
        let answer = match reply.error {
            Some(error) => Err(messages::Fault::told_by_worker(&error)),
            None => Ok(reply.data),
        };
        self.0.exchange.act(|board, turn| board.reply(member, (token, answer), turn.carrier)).map_err(fault)
    }

    fn shared_values(&self, app: &str) -> Result<BTreeMap<String, SharedValue>, Fault> {
        self.0.exchange.with(|state| {
            let id = state.app(app)?;
            let values = state.board.values(id).into_iter().flatten();
            let value = |shared: &messages::Shared| SharedValue {
                version: shared.version,
                data: shared.data.clone(),
            };
            Ok(values.map(|(name, shared)| (name.clone(), value(shared))).collect())
        })
    }

    fn share(&self, app: &str, name: &str, share: Share) -> Result<u64, Fault> {
        self.0.exchange.check_open()?;
        self.0.exchange.with(|state| {
            let id = state.app(app)?;
            let Share { data, if_version } = share;
            let (board, mut turn) = state.turn();
            board.share((id, name), messages::Change { data, if_version }, &mut turn).map_err(fault)
        })
    }

    fn leader(&self, app: &str) -> Result<Leadership, Fault> {
        self.0.exchange.with(|state| Ok(state.leadership(state.app(app)?)))
    }

    fn candidate(&self, caller: Caller, candidate: bool) -> Result<(), Fault> {
        let member = self.0.exchange.member(&caller)?;
        self.0.exchange.act(|board, turn| board.candidate(member, candidate, turn));
        Ok(())
    }

    fn released(&self, caller: Caller, term: u64) -> Result<(), Fault> {
        let member = self.0.exchange.member(&caller)?;
        self.0.exchange.act(|board, turn| board.released(member, term, turn)).map_err(fault)
    }
}

/// A call that waits; whoever hangs up is not waited for.
struct Line {
    exchange: Arc<Exchange>,
    call: u64,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.exchange.with(|state| {
            state.post.hang_up(self.call);
            state.board.hang_up(self.call);
        });
    }
}

impl Exchange {
    /// Whether what is asked here can still be done here.
    fn check_open(&self) -> Result<(), Fault> {
        match self.with(|state| state.over) {
            false => Ok(()),
            true => Err(Fault::new("unavailable", "the daemon has been replaced; ask again")),
        }
    }

    fn sender(&self, caller: &Caller) -> Result<Sender, Fault> {
        self.check_open()?;
        match &caller.worker {
            None => Ok(Sender::outside()),
            Some(name) => match self.with(|state| state.spoken_for(name)) {
                Some(app) => self.of_app(app, caller),
                None => Ok(Sender::worker(self.member(caller)?, name.clone())),
            },
        }
    }

    /// A command of an app's, beside its workers. It is known by its user alone, and can do no more than somebody outside.
    fn of_app(&self, app: u32, caller: &Caller) -> Result<Sender, Fault> {
        let name = caller.worker.clone().unwrap_or_default();
        let user = caller.peer.user;
        if self.with(|state| state.may_speak_for(app, user)) {
            return Ok(Sender::of_app(app, name));
        }
        Err(Fault::new("forbidden", format!("user {user} runs nothing of app `{name}`")))
    }

    /// The worker that asks. Of those in the slot it names, the one whose process, or a descendant of it, is at the other end;
    /// and its user must be the app's, because the number of a process that has ended is given to another.
    fn member(&self, caller: &Caller) -> Result<Member, Fault> {
        self.check_open()?;
        let Some(name) = caller.worker.as_deref() else {
            let text = "only a worker can ask that, and the header `Stead-Worker` is missing";
            return Err(Fault::new("bad_message", text).with_hint("its value is that of STEAD_WORKER"));
        };
        let mut named: Vec<(Member, u32)> = self.with(|state| {
            state.post.pids().filter(|(member, _)| state.board.name_of(*member) == name).collect()
        });
        if named.is_empty() {
            return Err(Fault::new("no_receiver", format!("no worker is called `{name}`")));
        }
        let Peer { pid, user } = caller.peer;
        self.with(|state| named.retain(|(member, _)| state.may_speak_for(member.app, user)));
        if named.is_empty() {
            return Err(Fault::new("forbidden", format!("user {user} does not run worker `{name}`")));
        }
        let Some(pid) = pid else { return Ok(newest(&named)) };
        let ancestors = ancestors(pid);
        let found = named.iter().find(|(_, pid)| ancestors.contains(pid));
        found
            .map(|(member, _)| *member)
            .ok_or_else(|| Fault::new("forbidden", format!("process {pid} is no part of worker `{name}`")))
    }

    /// Who leads an app.
    pub(in super::super) fn leadership(&self, app: u32) -> Leadership {
        self.with(|state| state.leadership(app))
    }
}

impl State {
    fn app(&self, name: &str) -> Result<u32, Fault> {
        self.board
            .app_called(name)
            .ok_or_else(|| Fault::new("no_such_app", format!("there is no app `{name}`")))
    }

    /// The app of this name, unless a worker is called so.
    fn spoken_for(&self, name: &str) -> Option<u32> {
        let is_worker = self.post.pids().any(|(member, _)| self.board.name_of(member) == name);
        self.board.app_called(name).filter(|_| !is_worker)
    }

    fn may_speak_for(&self, app: u32, user: u32) -> bool {
        is_own(user) || self.post.runs_as(app, user)
    }

    fn leadership(&self, app: u32) -> Leadership {
        let (who, term) = self.board.leader(app).unwrap_or_default();
        Leadership { who: who.map(|member| self.board.name_of(member)), term }
    }
}

/// One who may do anything with this instance.
fn is_own(user: u32) -> bool {
    user == 0 || user == rustix::process::geteuid().as_raw()
}

fn newest(named: &[(Member, u32)]) -> Member {
    named.iter().map(|(member, _)| *member).max().expect("somebody was found")
}

/// A process, its group, its parents and theirs. A process that has left both its parents and its group is nobody's.
fn ancestors(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = pid;
    while let Some((parent, group)) = parent_and_group(next) {
        all.extend([parent, group]);
        if parent <= 1 || all.len() > 2 * ANCESTORS_MAX {
            break;
        }
        next = parent;
    }
    all
}

fn parent_and_group(pid: u32) -> Option<(u32, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(1);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn fault(fault: messages::Fault) -> Fault {
    Fault::new(fault.code, fault.message)
}
